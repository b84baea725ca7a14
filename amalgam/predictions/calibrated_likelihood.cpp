#include "amalgam/predictions/calibrated_likelihood.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam {
namespace {

/// The mean -ln p over examples at 1 / T = inverse, with its two derivatives by `inverse`.
struct Loss {
  double value = 0;
  double slope = 0;
  double bend = 0;
};

Loss loss_at(const LogitTable& table, std::span<const std::uint32_t> labels,
             std::span<const std::size_t> examples, double inverse) {
  Loss loss;
  for (const std::size_t example : examples) {
    const std::span<const float> row = table.row(example);
    const double most = *std::ranges::max_element(row);
    double sum = 0;
    double first = 0;
    double second = 0;
    for (const float logit : row) {
      const double above = logit - most;
      const double p = std::exp(inverse * above);
      sum += p;
      first += p * above;
      second += p * above * above;
    }
    const double mean = first / sum;
    const double own = row[labels[example]] - most;
    loss.value += std::log(sum) - inverse * own;
    loss.slope += mean - own;
    loss.bend += second / sum - mean * mean;
  }
  const auto count = static_cast<double>(examples.size());
  return {loss.value / count, loss.slope / count, loss.bend / count};
}

}  // namespace

double fitted_temperature(const LogitTable& table, std::span<const std::uint32_t> labels,
                          std::span<const std::size_t> examples) {
  // The loss is convex in 1 / T: its slope's zero is kept between `low` and `high`.
  constexpr int kMostSteps = 200;
  double low = 1e-3;
  double high = 1e3;
  double inverse = 1 / 1.5;
  for (int step = 0; step < kMostSteps && high - low > 1e-12 * high; ++step) {
    const Loss loss = loss_at(table, labels, examples, inverse);
    if (loss.slope == 0) break;
    (loss.slope > 0 ? high : low) = inverse;
    const double newton = loss.bend > 0 ? inverse - loss.slope / loss.bend : high;
    const double next = newton > low && newton < high ? newton : std::sqrt(low * high);
    if (std::abs(next - inverse) <= 1e-12 * inverse) break;
    inverse = next;
  }
  return 1 / inverse;
}

double calibrated_log_likelihood(const LogitTable& table, std::span<const std::uint32_t> labels,
                                 std::uint64_t seed, std::size_t splits) {
  check_logits(table);
  if (table.examples < 2 || labels.size() != table.examples) {
    throw InputError("{}: {} examples and {} labels; expected as many, and at least 2", table.name,
                     table.examples, labels.size());
  }
  for (const std::uint32_t label : labels) {
    if (label >= table.classes) {
      throw InputError("{}: label {} of {} classes", table.name, label, table.classes);
    }
  }
  double sum = 0;
  for (std::size_t split = 0; split < splits; ++split) {
    RandomStream random(seed, "calibration half " + std::to_string(split));
    std::vector<std::size_t> order(table.examples);
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = order.size() - 1; i > 0; --i)
      std::swap(order[i], order[random.below(i + 1)]);
    const std::span<const std::size_t> all(order);
    const auto fitted_on = all.first(order.size() / 2);
    const auto scored = all.subspan(order.size() / 2);
    const double temperature = fitted_temperature(table, labels, fitted_on);
    sum -= loss_at(table, labels, scored, 1 / temperature).value;
  }
  return sum / static_cast<double>(splits);
}

}  // namespace amalgam
