#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/elementary.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {
namespace {

struct MultislerpOptions {
  std::vector<double> weights;
  double eps = 0;
  bool relative = false;
};

// |sum_i mean_i x_i|^2, summed from the elements.
class MeanSquare final : public TypedStatistic<MeanSquare> {
 public:
  explicit MeanSquare(std::span<const double> mean) : mean_(mean) {}

  template <class T>
  void absorb_block(const Block<T>& block) {
    for (std::size_t k = 0; k < block.count; ++k) {
      double sum = 0;
      for (std::size_t i = 0; i < mean_.size(); ++i) {
        const T x = block.members[i][k];
        sum += mean_[i] * static_cast<double>(block.base == nullptr ? x : x - block.base[k]);
      }
      total_ += sum * sum;
    }
  }
  void combine_with(const MeanSquare& right) { total_ += right.total_; }
  double total() const { return total_; }

 private:
  std::span<const double> mean_;
  double total_ = 0;
};

// The unit vectors' weighted mean, back on the sphere, at the weighted mean norm. The projection
// onto the tangent space at mu in the definition, v = sum_i w_i (u_i - <u_i, mu> mu), is zero
// identically, because sum_i w_i u_i is a multiple of mu; so |v| + eps = eps, and what is left of
// the exponential map is the factor cos(eps).
class MultislerpMerge final : public TypedMerge<MultislerpMerge> {
 public:
  MultislerpMerge(const MergeUnit& unit, MultislerpOptions options)
      : options_(std::move(options)), tensor_(unit.tensors.front().name) {}

  bool needs_pass() const override { return stage_ != Stage::solved; }
  std::unique_ptr<Statistic> make_statistic() const override {
    if (stage_ == Stage::length) return std::make_unique<MeanSquare>(mean_);
    return std::make_unique<PairStatistic>(
        options_.weights.size(),
        options_.relative ? PairSums::difference_products : PairSums::products);
  }
  void solve(std::unique_ptr<Statistic> total) override {
    if (total == nullptr) {
      stage_ = Stage::solved;  // no elements: nothing to solve, and nothing to apply
    } else if (stage_ == Stage::length) {
      finish(std::sqrt(static_cast<MeanSquare&>(*total).total()));
    } else {
      solve_products(static_cast<PairStatistic&>(*total).matrix());
    }
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    combination_.apply(block, out);
  }

 private:
  enum class Stage { products, length, solved };

  void solve_products(const SmallMatrix& products) {
    double shares = 0;
    for (std::size_t i = 0; i < products.size(); ++i) {
      const double norm = std::sqrt(products(i, i));
      mean_.push_back(options_.weights[i] / (norm + options_.eps));
      scale_ += options_.weights[i] * norm;
      shares += std::abs(options_.weights[i]);
      all_zero_ = all_zero_ && norm == 0.0;
    }
    const double length = std::sqrt(std::max(0.0, quadratic_form(products, mean_)));
    // From products the squared length has an error of about 1e-16, which is too much where the
    // directions nearly cancel.
    constexpr double kPrecise = 1e-3;
    if (length < kPrecise * shares && !all_zero_) {
      stage_ = Stage::length;
    } else {
      finish(length);
    }
  }

  void finish(double length) {
    stage_ = Stage::solved;
    combination_ = {.weights = options_.weights, .relative = options_.relative};
    if (length < options_.eps) {
      // Where no member has anything to add, every mean of them is the same.
      if (mean_.size() == 2 || all_zero_) return;
      throw InputError(
          "multislerp: the weighted directions of tensor '{}' cancel out (their mean has norm"
          " {:.3g}, expected at least eps = {:.3g}); change the weights or use method linear",
          tensor_, length, options_.eps);
    }
    for (std::size_t i = 0; i < mean_.size(); ++i) {
      combination_.weights[i] = cosine(options_.eps) * mean_[i] / length * scale_;
    }
  }

  MultislerpOptions options_;
  std::string tensor_;
  Stage stage_ = Stage::products;
  std::vector<double> mean_;  // of the directions, as a combination of the members
  double scale_ = 0;          // the mean norm
  bool all_zero_ = true;
  Combination combination_;
};

class Multislerp final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "multislerp",
        .summary =
            "Weighted mean of directions at the mean norm, of any number of models; of their"
            " task vectors if a base is given.",
        .source = "mergekit",
        .base = BaseUse::optional,
        .min_members = 2,
        .parameters = {{.name = "weight", .doc = "Share of the member.", .per_member = true},
                       {.name = "normalize_weights",
                        .kind = ParameterInfo::Kind::flag,
                        .doc = "Divide the weights by their sum.",
                        .default_value = true},
                       {.name = "eps",
                        .doc = "Added to norms; a mean direction shorter than this is an error.",
                        .default_value = 1e-8,
                        .low = 0,
                        .high = 1,
                        .low_open = true}},
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::tensor; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"reduce: products of all pairs, and the length of the mean if directions nearly cancel",
            "apply: weighted sum"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    const TensorView& tensor = unit.tensors.front();
    MultislerpOptions options{.weights = member_numbers(unit, "weight"),
                              .eps = tensor.rule.number("eps"),
                              .relative = tensor.has_base};
    if (tensor.rule.flag("normalize_weights")) {
      double sum = 0;
      for (const double weight : options.weights) sum += weight;
      if (std::abs(sum) < 1e-8) {
        throw InputError(
            "multislerp: the weights of tensor '{}' sum to {}, which cannot be normalised;"
            " expected a sum other than zero, or normalize_weights: false",
            tensor.name, sum);
      }
      for (double& weight : options.weights) weight /= sum;
    }
    return std::make_unique<MultislerpMerge>(unit, std::move(options));
  }
};

}  // namespace

const MergeRule& multislerp() {
  static const Multislerp kRule;
  return kRule;
}

}  // namespace amalgam::rules
