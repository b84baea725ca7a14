#include <algorithm>
#include <numeric>

#include "amalgam/labels/weak/weak_learner.hpp"

namespace amalgam::labels {
namespace {

// The number of examples times the Gini impurity.
double impurity(std::span<const double> counts, double total) {
  double squares = 0;
  for (const double count : counts) squares += count * count;
  return total > 0 ? total - squares / total : 0;
}

struct BestSplit {
  bool found = false;
  std::size_t column = 0;
  double threshold = 0;
  double impurity = 0;
};

class Growth {
 public:
  explicit Growth(const LabelledRows& data) : data_(data) {}

  std::size_t grow(std::vector<std::size_t> rows, std::size_t depth) {
    const std::size_t here = tree_.nodes.size();
    tree_.nodes.emplace_back();
    std::vector<double> counts(data_.classes);
    for (const std::size_t row : rows) counts[data_.labels[row]] += 1;
    const auto total = static_cast<double>(rows.size());
    const BestSplit split = depth > 0 ? best_split(rows, counts) : BestSplit{};
    if (!split.found) {
      for (double& count : counts) count /= total;
      tree_.nodes[here].shares = std::move(counts);
      return here;
    }
    const auto middle = std::stable_partition(rows.begin(), rows.end(), [&](std::size_t row) {
      return data_.features.at(row, split.column) <= split.threshold;
    });
    const std::vector<std::size_t> right(middle, rows.end());
    rows.erase(middle, rows.end());
    tree_.nodes[here].column = static_cast<std::int64_t>(split.column);
    tree_.nodes[here].threshold = split.threshold;
    const std::size_t left_node = grow(std::move(rows), depth - 1);
    const std::size_t right_node = grow(right, depth - 1);
    tree_.nodes[here].left = left_node;
    tree_.nodes[here].right = right_node;
    return here;
  }

  DecisionTree take() { return std::move(tree_); }

 private:
  BestSplit best_split(const std::vector<std::size_t>& rows,
                       const std::vector<double>& counts) const {
    BestSplit best;
    const auto total = static_cast<double>(rows.size());
    best.impurity = impurity(counts, total);
    if (!(best.impurity > 0)) return best;  // pure
    best.impurity = total;                  // more than any split leaves
    std::vector<std::size_t> order = rows;
    std::vector<double> left(data_.classes);
    std::vector<double> right(data_.classes);
    for (std::size_t column = 0; column < data_.features.columns; ++column) {
      std::ranges::stable_sort(order, {},
                               [&](std::size_t row) { return data_.features.at(row, column); });
      std::ranges::fill(left, 0.0);
      right = counts;
      for (std::size_t i = 0; i + 1 < order.size(); ++i) {
        const Label label = data_.labels[order[i]];
        left[label] += 1;
        right[label] -= 1;
        const double value = data_.features.at(order[i], column);
        const double next = data_.features.at(order[i + 1], column);
        if (!(value < next)) continue;
        const auto below = static_cast<double>(i + 1);
        const double after = impurity(left, below) + impurity(right, total - below);
        if (after >= best.impurity - 1e-12 * total) continue;
        // Half-way may be rounded to `next`, which belongs to the right.
        const double half = value + (next - value) / 2;
        best = {true, column, half < next ? half : value, after};
      }
    }
    return best;
  }

  const LabelledRows& data_;
  DecisionTree tree_;
};

}  // namespace

void DecisionTree::probabilities(std::span<const double> input,
                                 std::span<double> probabilities) const {
  std::size_t at = 0;
  while (nodes[at].column >= 0) {
    const double value = input[static_cast<std::size_t>(nodes[at].column)];
    at = value <= nodes[at].threshold ? nodes[at].left : nodes[at].right;
  }
  std::ranges::copy(nodes[at].shares, probabilities.begin());
}

DecisionTree fit_tree(const LabelledRows& data, std::size_t depth) {
  check_labelled(data, "decision tree");
  std::vector<std::size_t> rows(data.features.rows);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  Growth growth(data);
  growth.grow(std::move(rows), depth);
  return growth.take();
}

}  // namespace amalgam::labels
