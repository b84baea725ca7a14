#include "amalgam/predictions/agreement.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kBins = 15;

void check_together(const LogitTable& first, const LogitTable& other,
                    std::span<const std::uint32_t> labels) {
  check_logits(other);
  if (other.examples != first.examples || other.classes != first.classes) {
    throw InputError("{}: logits [{}, {}], but {} has [{}, {}]", other.name, other.examples,
                     other.classes, first.name, first.examples, first.classes);
  }
  if (labels.size() != first.examples) {
    throw InputError("{}: {} examples, but there are {} labels", first.name, first.examples,
                     labels.size());
  }
}

void check_labels(const LogitTable& table, std::span<const std::uint32_t> labels) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < table.classes) continue;
    throw InputError("the label of example {} is {}; expected one below {}", i, labels[i],
                     table.classes);
  }
}

double largest_probability(std::span<const float> logits) {
  const double most = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - most);
  return 1 / sum;
}

// Sums over bins of confidence.
class Calibration {
 public:
  void absorb(double confidence, bool right) {
    const auto bin = std::min(static_cast<std::size_t>(confidence * kBins), kBins - 1);
    confidence_[bin] += confidence;
    right_[bin] += right ? 1.0 : 0.0;
    ++examples_;
  }
  double mean_confidence() const {
    return std::accumulate(confidence_.begin(), confidence_.end(), 0.0) / examples();
  }
  double error() const {
    double sum = 0;
    for (std::size_t bin = 0; bin < kBins; ++bin) sum += std::abs(confidence_[bin] - right_[bin]);
    return sum / examples();
  }

 private:
  double examples() const { return static_cast<double>(std::max<std::uint64_t>(examples_, 1)); }

  std::array<double, kBins> confidence_{};
  std::array<double, kBins> right_{};
  std::uint64_t examples_ = 0;
};

double centred_squares(const LogitTable& table) {
  double sum = 0;
  for (std::size_t i = 0; i < table.examples; ++i) {
    const auto row = table.row(i);
    const double mean =
        std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(row.size());
    for (const float logit : row) sum += (logit - mean) * (logit - mean);
  }
  return sum;
}

double ratio_of(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

}  // namespace

void check_logits(const LogitTable& table) {
  if (table.classes == 0 || table.logits.size() != table.examples * table.classes) {
    throw InputError("{}: {} logits for {} examples and {} classes", table.name,
                     table.logits.size(), table.examples, table.classes);
  }
  const auto bad = std::ranges::find_if(table.logits, [](float x) { return !std::isfinite(x); });
  if (bad == table.logits.end()) return;
  const auto place = static_cast<std::size_t>(bad - table.logits.begin());
  throw InputError("{}: the logit of example {}, class {} is {}", table.name, place / table.classes,
                   place % table.classes, *bad);
}

Predictions predictions_of(const LogitTable& table) {
  Predictions predictions;
  predictions.classes.reserve(table.examples);
  for (std::size_t i = 0; i < table.examples; ++i) {
    const auto row = table.row(i);
    const auto best = std::ranges::max_element(row);
    predictions.classes.push_back(static_cast<std::uint32_t>(best - row.begin()));
    predictions.ties += std::ranges::count(row, *best) > 1 ? 1U : 0U;
  }
  return predictions;
}

void Agreement::combine(const Agreement& right) {
  for (std::size_t i = 0; i < cells_.size(); ++i) cells_[i] += right.cells_[i];
}

std::uint64_t Agreement::total() const {
  return std::accumulate(cells_.begin(), cells_.end(), std::uint64_t{0});
}

double Agreement::share(bool first, bool second, bool merged) const {
  return ratio_of(count(first, second, merged), total());
}

double Agreement::accuracy(std::size_t bit) const {
  std::uint64_t right = 0;
  for (std::size_t i = 0; i < cells_.size(); ++i) right += (i & bit) != 0 ? cells_[i] : 0;
  return ratio_of(right, total());
}

double Agreement::first_accuracy() const { return accuracy(4); }
double Agreement::second_accuracy() const { return accuracy(2); }
double Agreement::merged_accuracy() const { return accuracy(1); }

BalanceReport compare_balance(const LogitTable& first, const LogitTable& second,
                              const LogitTable& merged, std::span<const std::uint32_t> labels) {
  for (const LogitTable* table : {&first, &second, &merged}) check_together(first, *table, labels);
  check_labels(first, labels);
  const Predictions a = predictions_of(first);
  const Predictions b = predictions_of(second);
  const Predictions m = predictions_of(merged);
  BalanceReport report;
  report.ties = a.ties + b.ties + m.ties;
  std::array<Calibration, 3> calibration;
  std::uint64_t errors = 0;
  std::uint64_t overruled = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool a_right = a.classes[i] == labels[i];
    const bool b_right = b.classes[i] == labels[i];
    const bool m_right = m.classes[i] == labels[i];
    report.agreement.absorb(a_right, b_right, m_right);
    calibration[0].absorb(largest_probability(first.row(i)), a_right);
    calibration[1].absorb(largest_probability(second.row(i)), b_right);
    calibration[2].absorb(largest_probability(merged.row(i)), m_right);
    errors += m_right ? 0 : 1;
    overruled += !m_right && a_right && m.classes[i] == b.classes[i] ? 1 : 0;
  }
  report.first_confidence = calibration[0].mean_confidence();
  report.second_confidence = calibration[1].mean_confidence();
  report.merged_confidence = calibration[2].mean_confidence();
  report.first_ece = calibration[0].error();
  report.second_ece = calibration[1].error();
  report.merged_ece = calibration[2].error();
  const double spread = centred_squares(first);
  report.spread_ratio = spread > 0 ? std::sqrt(centred_squares(second) / spread)
                                   : std::numeric_limits<double>::infinity();
  report.overruled = ratio_of(overruled, errors);
  return report;
}

std::vector<double> scaled_ensemble_accuracy(const LogitTable& first, const LogitTable& second,
                                             std::span<const std::uint32_t> labels,
                                             std::span<const double> scales, double share) {
  for (const LogitTable* table : {&first, &second}) check_together(first, *table, labels);
  check_labels(first, labels);
  std::vector<double> accuracies;
  for (const double scale : scales) {
    std::uint64_t right = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const auto a = first.row(i);
      const auto b = second.row(i);
      std::size_t best = 0;
      double most = -std::numeric_limits<double>::infinity();
      for (std::size_t c = 0; c < a.size(); ++c) {
        const double logit = (1 - share) * a[c] + share * scale * b[c];
        if (logit > most) {
          most = logit;
          best = c;
        }
      }
      right += best == labels[i] ? 1 : 0;
    }
    accuracies.push_back(ratio_of(right, labels.size()));
  }
  return accuracies;
}

}  // namespace amalgam
