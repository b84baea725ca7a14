#include <cmath>

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

// The unit vectors' weighted mean, back on the sphere, at the weighted mean norm. The projection
// onto the tangent space at mu in the definition, v = sum_i w_i (u_i - <u_i, mu> mu), is zero
// identically, because sum_i w_i u_i is a multiple of mu; so |v| + eps = eps, and what is left of
// the exponential map is the factor cos(eps).
Combination multislerp_combination(const SmallMatrix& products, const MultislerpOptions& options,
                                   const std::string& tensor) {
  const std::size_t n = products.size();
  std::vector<double> mean(n);  // as a combination of the members
  double scale = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double norm = std::sqrt(products(i, i));
    mean[i] = options.weights[i] / (norm + options.eps);
    scale += options.weights[i] * norm;
  }
  const double length = std::sqrt(std::max(0.0, quadratic_form(products, mean)));
  bool all_zero = true;
  for (std::size_t i = 0; i < n; ++i) all_zero = all_zero && products(i, i) == 0.0;
  if (length < options.eps) {
    // Where no member has anything to add, every mean of them is the same.
    if (n == 2 || all_zero) return {.weights = options.weights, .relative = options.relative};
    throw InputError(
        "multislerp: the weighted directions of tensor '{}' cancel out (their mean has norm {:.3g},"
        " expected at least eps = {:.3g}); change the weights or use method linear",
        tensor, length, options.eps);
  }
  for (double& weight : mean) weight = cosine(options.eps) * weight / length * scale;
  return {.weights = mean, .relative = options.relative};
}

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
    return {"reduce: products of all pairs", "apply: weighted sum"};
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
    const PairSums kind = options.relative ? PairSums::difference_products : PairSums::products;
    return std::make_unique<CombinationMerge>(
        unit, kind, [options, name = tensor.name](const SmallMatrix& products) {
          return multislerp_combination(products, options, name);
        });
  }
};

}  // namespace

const MergeRule& multislerp() {
  static const Multislerp kRule;
  return kRule;
}

}  // namespace amalgam::rules
