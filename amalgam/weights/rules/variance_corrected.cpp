#include <cmath>

#include "amalgam/core/log.hpp"
#include "amalgam/tensor/kernels.hpp"
#include "amalgam/weights/rules/member_kernels.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/typed.hpp"

namespace amalgam::rules {
namespace {

// Mean and sum of squares about it, of elements seen so far (Chan, Golub and LeVeque 1979): no
// difference of large sums, so small variances about large means survive.
struct Moments {
  double count = 0;
  double mean = 0;
  double squares = 0;

  template <class T>
  static Moments of(std::span<const T> values) {
    Moments moments{.count = static_cast<double>(values.size())};
    moments.mean = kernels::sum(values) / moments.count;
    moments.squares = kernels::sum_squares_about(values, moments.mean);
    return moments;
  }
  void combine(const Moments& right) {
    if (right.count == 0) return;
    const double total = count + right.count;
    const double step = right.mean - mean;
    mean += step * (right.count / total);
    squares += right.squares + step * step * (count * (right.count / total));
    count = total;
  }
  double variance() const { return count > 1 ? squares / (count - 1) : 0.0; }
};

template <class T>
void mean_of_members(const Block<T>& block, std::span<double> out) {
  const std::vector<double> ones(block.members.size(), 1.0);
  kernels::weighted_sum(block.members, ones, out);
  const auto number = static_cast<double>(block.members.size());
  for (double& value : out) value /= number;
}

// Moments of every member, and last of their mean.
class MomentStatistic final : public TypedStatistic<MomentStatistic> {
 public:
  explicit MomentStatistic(std::size_t members) : moments_(members + 1) {}

  template <class T>
  void absorb_block(const Block<T>& block) {
    for (std::size_t i = 0; i < block.members.size(); ++i) {
      moments_[i].combine(Moments::of(std::span(block.members[i], block.count)));
    }
    mean_.resize(block.count);
    mean_of_members(block, mean_);
    moments_.back().combine(Moments::of(std::span<const double>(mean_)));
  }
  void combine_with(const MomentStatistic& right) {
    for (std::size_t i = 0; i < moments_.size(); ++i) moments_[i].combine(right.moments_[i]);
  }
  double mean_variance_of_members() const {
    double sum = 0;
    for (std::size_t i = 0; i + 1 < moments_.size(); ++i) sum += moments_[i].variance();
    return sum / static_cast<double>(moments_.size() - 1);
  }
  const Moments& of_mean() const { return moments_.back(); }

 private:
  std::vector<Moments> moments_;
  std::vector<double> mean_;
};

class VarianceCorrectedMerge final : public TypedMerge<VarianceCorrectedMerge> {
 public:
  explicit VarianceCorrectedMerge(const MergeUnit& unit)
      : members_(unit.member_count),
        tensor_(unit.tensors.front()),
        // Biases and the parameters of normalisation layers have at most one dimension.
        solved_(tensor_.shape.size() < 2) {}

  bool needs_pass() const override { return !solved_; }
  std::unique_ptr<Statistic> make_statistic() const override {
    return std::make_unique<MomentStatistic>(members_);
  }
  void solve(std::unique_ptr<Statistic> total) override {
    solved_ = true;
    if (total == nullptr) return;
    const auto& statistic = static_cast<MomentStatistic&>(*total);
    const double target = statistic.mean_variance_of_members();
    const double variance = statistic.of_mean().variance();
    // A constant tensor is not noise that lost its variance.
    if (target < 1e-20) return;
    if (variance <= 1e-30 * target) {
      log::warn(
          "variance_corrected: the members of tensor '{}' cancel out; their mean has no"
          " variance left to correct and is kept as it is",
          tensor_.name);
      return;
    }
    const double guard = 1e-12 * (1 + target);
    const double full = std::sqrt((target + guard) / (variance + guard));
    const double factor = 1 + tensor_.rule.number("ratio") * (full - 1);
    if (std::abs(factor - 1) < 1e-12) return;
    if (factor > 10) {
      log::warn(
          "variance_corrected: tensor '{}' is scaled by {:.3g}: its members nearly cancel out",
          tensor_.name, factor);
    }
    factor_ = factor;
    centre_ = statistic.of_mean().mean;
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    mean_of_members(block, out);
    if (factor_ == 1.0) return;
    for (double& value : out) value = centre_ + factor_ * (value - centre_);
  }

 private:
  std::size_t members_;
  const TensorView& tensor_;
  bool solved_;
  double factor_ = 1;
  double centre_ = 0;
};

class VarianceCorrected final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "variance_corrected",
        .summary =
            "The mean of the members, each weight matrix rescaled about its mean to the"
            " variance the members had.",
        .source =
            "Tian et al. 2024, Vanishing Variance Problem in Fully Decentralized"
            " Neural-Network Systems (arXiv 2404.04616)",
        .base = BaseUse::ignored,
        .min_members = 2,
        .parameters = {{.name = "ratio",
                        .doc = "How much of the correction is made: 0 is the plain mean, 1 all.",
                        .default_value = 1.0,
                        .low = 0,
                        .high = 1}},
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::tensor; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"reduce: variances of the members and of their mean", "apply: mean, rescaled"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return std::make_unique<VarianceCorrectedMerge>(unit);
  }
};

}  // namespace

const MergeRule& variance_corrected() {
  static const VarianceCorrected kRule;
  return kRule;
}

}  // namespace amalgam::rules
