#include <algorithm>
#include <cmath>

#include "amalgam/core/log.hpp"
#include "amalgam/weights/rules/arc.hpp"
#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {
namespace {

struct SlerpOptions {
  double t = 0;
  double threshold = 0;
  bool paper = false;
};

Combination slerp_combination(const SmallMatrix& products, const SlerpOptions& options,
                              const TensorView& tensor) {
  constexpr double kZeroNorm = 1e-8;
  const double norm_a = std::sqrt(products(0, 0));
  const double norm_b = std::sqrt(products(1, 1));
  const double cosine = cosine_between(products(0, 0), products(0, 1), products(1, 1));
  ArcWeights weights = straight_weights(options.t);
  if (cosine < -options.threshold && tensor.elements > 1) {
    log::warn(
        "slerp: tensor '{}' of the two models points in opposite directions (cosine {:.6f});"
        " interpolated linearly, which cancels most of it",
        tensor.name, cosine);
  } else if (options.paper && std::min(norm_a, norm_b) <= kZeroNorm) {
    // No direction: the straight line.
  } else if (!(std::abs(cosine) > options.threshold)) {
    weights = arc_weights(arc_cosine(cosine), options.t);
    if (options.paper) {
      // |a|^(1-t) |b|^t (s_a a / |a| + s_b b / |b|).
      weights.a *= power(norm_b / norm_a, options.t);
      weights.b *= power(norm_b / norm_a, options.t - 1);
    }
  }
  return {.weights = {weights.b}, .base_weight = weights.a};
}

class Slerp final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "slerp",
        .summary = "Two models met on the arc between them, tensor by tensor.",
        .source =
            "Shoemake 1985; as in mergekit, or as in Lu et al. 2025 (arXiv 2409.03444) with"
            " form: paper",
        .base = BaseUse::required,
        .min_members = 1,
        .max_members = 1,
        .parameters =
            {{.name = "t",
              .doc = "Share of the second model: 0 gives the base, 1 the other.",
              .low = 0,
              .high = 1},
             {.name = "form",
              .kind = ParameterInfo::Kind::choice,
              .doc = "raw weighs the tensors as they are (mergekit); paper weighs unit vectors and"
                     " gives the result the norm |a|^(1-t) |b|^t.",
              .default_value = std::string("raw"),
              .choices = {"raw", "paper"}},
             {.name = "threshold",
              .doc =
                  "Interpolate linearly where the cosine of the angle exceeds this in magnitude.",
              .default_value = 0.9995,
              .low = 0,
              .high = 1,
              .high_open = true}},
        .base_is_member = true,
        .common_submatrix = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::tensor; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"reduce: norms and angle", "apply: weighted sum"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    const TensorView& tensor = unit.tensors.front();
    const SlerpOptions options{.t = tensor.rule.number("t"),
                               .threshold = tensor.rule.number("threshold"),
                               .paper = tensor.rule.text("form") == "paper"};
    return std::make_unique<CombinationMerge>(unit, PairSums::products_with_base,
                                              [options, &tensor](const SmallMatrix& products) {
                                                return slerp_combination(products, options, tensor);
                                              });
  }
};

}  // namespace

const MergeRule& slerp() {
  static const Slerp kRule;
  return kRule;
}

}  // namespace amalgam::rules
