#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace amalgam {

/// Logits of one model for a number of examples, row by row.
struct LogitTable {
  std::string name;  ///< what errors call it
  std::span<const float> logits;
  std::size_t examples = 0;
  std::size_t classes = 0;

  std::span<const float> row(std::size_t example) const {
    return logits.subspan(example * classes, classes);
  }
};

/// InputError naming the table unless it has a finite logit for every example and class and at
/// least one class.
void check_logits(const LogitTable& table);

/// The class of the largest logit of each example; of equal ones the lowest.
struct Predictions {
  std::vector<std::uint32_t> classes;
  std::uint64_t ties = 0;  ///< examples with several largest logits
};
Predictions predictions_of(const LogitTable& table);

/// How often two models and one made of them are right on the same examples (Lin et al. 2024, arXiv
/// 2309.17230, section 3): the cell (false, false, true) counts examples that only the merged one
/// gets right. Counts add.
class Agreement {
 public:
  void absorb(bool first, bool second, bool merged) { ++cells_[cell(first, second, merged)]; }
  void combine(const Agreement& right);

  std::uint64_t total() const;
  std::uint64_t count(bool first, bool second, bool merged) const {
    return cells_[cell(first, second, merged)];
  }
  /// The share of all examples in this cell; 0 if there are none.
  double share(bool first, bool second, bool merged) const;
  double first_accuracy() const;
  double second_accuracy() const;
  double merged_accuracy() const;

 private:
  static std::size_t cell(bool first, bool second, bool merged) {
    return (first ? 4U : 0U) + (second ? 2U : 0U) + (merged ? 1U : 0U);
  }
  double accuracy(std::size_t bit) const;

  std::array<std::uint64_t, 8> cells_{};
};

/// How two models and one made of them compare on the same labelled examples.
struct BalanceReport {
  Agreement agreement;
  std::uint64_t ties = 0;  ///< of all three
  /// The mean of the largest probability.
  double first_confidence = 0;
  double second_confidence = 0;
  double merged_confidence = 0;
  /// Expected calibration error over 15 equal bins of confidence (Naeini et al. 2015).
  double first_ece = 0;
  double second_ece = 0;
  double merged_ece = 0;
  /// How much larger the second model's logits are: the ratio of the root mean squares of centred
  /// logits (each example's mean taken away). Infinite if the first one's are all equal.
  double spread_ratio = 0;
  /// Of the merged model's errors, the share in which it says what the second model says while the
  /// first was right: the second overruled it.
  double overruled = 0;
};

/// InputError for tables of other sizes, logits that are not finite and labels without a class.
BalanceReport compare_balance(const LogitTable& first, const LogitTable& second,
                              const LogitTable& merged, std::span<const std::uint32_t> labels);

/// The accuracy of the ensemble (1 - share) first + share scale second of logits, for each scale:
/// what the second model's confidence does to it.
std::vector<double> scaled_ensemble_accuracy(const LogitTable& first, const LogitTable& second,
                                             std::span<const std::uint32_t> labels,
                                             std::span<const double> scales, double share = 0.5);

}  // namespace amalgam
