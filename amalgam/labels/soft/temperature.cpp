#include "amalgam/labels/soft/temperature.hpp"

#include <algorithm>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/weak/minimise.hpp"

namespace amalgam::labels::soft {
namespace {

constexpr double kLowestLog = -15;
constexpr std::size_t kItemsAtATime = 1024;

double floored_log(double p) { return p > 0 ? std::max(portable_log(p), kLowestLog) : kLowestLog; }

/// The softmax of logits / temperature.
void temper(std::span<const double> logits, double temperature, std::span<double> out) {
  const double most = *std::ranges::max_element(logits);
  double sum = 0;
  for (std::size_t k = 0; k < logits.size(); ++k) {
    out[k] = portable_exp((logits[k] - most) / temperature);
    sum += out[k];
  }
  for (double& value : out) value /= sum;
}

/// Part of the objective and of its gradient by the logarithms of the temperatures.
struct Disagreement {
  double value = 0;
  std::vector<double> gradient;

  void combine(Disagreement&& right) {
    value += right.value;
    for (std::size_t m = 0; m < gradient.size(); ++m) gradient[m] += right.gradient[m];
  }
};

class Ensemble {
 public:
  Ensemble(std::span<const SoftLabels> members, const Parallel& parallel)
      : parallel_(parallel),
        members_(members.size()),
        items_(members[0].items),
        classes_(members[0].classes),
        logits_(members.size() * members[0].values.size()) {
    for (std::size_t m = 0; m < members_; ++m) {
      for (std::size_t i = 0; i < members[m].values.size(); ++i) {
        const std::size_t item = i / classes_;
        logits_[(item * members_ + m) * classes_ + i % classes_] =
            floored_log(members[m].values[i]);
      }
    }
  }

  double value(std::span<const double> log_temperatures, std::span<double> gradient) const {
    check_interrupt();
    std::vector<double> temperatures(members_);
    for (std::size_t m = 0; m < members_; ++m) temperatures[m] = portable_exp(log_temperatures[m]);
    const std::size_t blocks = (items_ + kItemsAtATime - 1) / kItemsAtATime;
    Disagreement all = *fold(parallel_, blocks, [&](std::size_t block, std::size_t) {
      Disagreement part{0, std::vector<double>(members_, 0)};
      std::vector<double> rows(members_ * classes_);
      const std::size_t end = std::min(items_, (block + 1) * kItemsAtATime);
      for (std::size_t item = block * kItemsAtATime; item < end; ++item) {
        add_item(item, temperatures, rows, part);
      }
      return part;
    });
    constexpr double kPenalty = 1e-3;
    const double pairs = static_cast<double>(items_ * members_ * (members_ - 1)) / 2;
    double value = all.value / pairs;
    for (std::size_t m = 0; m < members_; ++m) {
      const double square = temperatures[m] * temperatures[m];
      value += kPenalty * square;
      gradient[m] = all.gradient[m] / pairs + 2 * kPenalty * square;
    }
    return value;
  }

 private:
  std::span<const double> logits_of(std::size_t item, std::size_t member) const {
    return {logits_.data() + (item * members_ + member) * classes_, classes_};
  }

  void add_item(std::size_t item, std::span<const double> temperatures, std::vector<double>& rows,
                Disagreement& part) const {
    const auto row = [&](std::size_t m) {
      return std::span<double>(rows.data() + m * classes_, classes_);
    };
    // d JS(p, q) / d ln T of p, whose logits are z: the sum over k of
    // 1/2 ln(p_k / mid_k) p_k (mean z - z_k) / T.
    std::vector<double> mean_logits(members_, 0);
    for (std::size_t m = 0; m < members_; ++m) {
      temper(logits_of(item, m), temperatures[m], row(m));
      for (std::size_t k = 0; k < classes_; ++k) {
        mean_logits[m] += row(m)[k] * logits_of(item, m)[k];
      }
    }
    for (std::size_t a = 0; a < members_; ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        for (std::size_t k = 0; k < classes_; ++k) {
          const double p = std::max(row(a)[k], 1e-300);
          const double q = std::max(row(b)[k], 1e-300);
          const double log_middle = portable_log((p + q) / 2);
          const double from_a = p * (portable_log(p) - log_middle) / 2;
          const double from_b = q * (portable_log(q) - log_middle) / 2;
          part.value += from_a + from_b;
          part.gradient[a] += from_a * (mean_logits[a] - logits_of(item, a)[k]) / temperatures[a];
          part.gradient[b] += from_b * (mean_logits[b] - logits_of(item, b)[k]) / temperatures[b];
        }
      }
    }
  }

  const Parallel& parallel_;
  std::size_t members_;
  std::size_t items_;
  std::size_t classes_;
  std::vector<double> logits_;  // [items, members, classes]
};

}  // namespace

SoftLabels tempered_labels(const SoftLabels& soft, double temperature) {
  if (!(temperature > 0)) {
    throw InputError("temperature {}: expected a number above 0", temperature);
  }
  SoftLabels tempered(soft.items, soft.classes);
  std::vector<double> logits(soft.classes);
  for (std::size_t item = 0; item < soft.items; ++item) {
    for (std::size_t k = 0; k < soft.classes; ++k) logits[k] = floored_log(soft.row(item)[k]);
    temper(logits, temperature, tempered.row(item));
  }
  return tempered;
}

std::vector<double> ensemble_temperatures(std::span<const SoftLabels> members,
                                          const Parallel& parallel) {
  if (members.size() < 2) return std::vector<double>(members.size(), 1);
  const Ensemble ensemble(members, parallel);
  std::vector<double> temperatures =
      minimise([&](std::span<const double> at,
                   std::span<double> gradient) { return ensemble.value(at, gradient); },
               std::vector<double>(members.size(), portable_log(1.5)));
  for (double& temperature : temperatures) temperature = portable_exp(temperature);
  return temperatures;
}

}  // namespace amalgam::labels::soft
