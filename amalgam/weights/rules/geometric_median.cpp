#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/robust.hpp"

namespace amalgam::rules {
namespace {

class GeometricMedian final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "geometric_median",
        .summary = "The point whose distances to the members have the smallest sum.",
        .source = "Weiszfeld 1937; Pillutla et al. 2022, Robust Aggregation (arXiv 1912.13445)",
        .base = BaseUse::optional,
        .min_members = 1,
        .parameters = {{.name = "iterations",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "Most Weiszfeld iterations.",
                        .default_value = 100.0,
                        .low = 1,
                        .high = 1e6},
                       {.name = "tolerance",
                        .doc = "Stop when the point moves by less, relative to its mean distance.",
                        .default_value = 1e-8,
                        .low = 0,
                        .high = 1},
                       {.name = "nu",
                        .doc =
                            "Distances below this count as this, so that none is divided by zero.",
                        .default_value = 1e-6,
                        .low = 0,
                        .low_open = true},
                       robust_scope_parameter()},
        .robust = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters& parameters) const override { return robust_scope(parameters); }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"reduce: distances of all pairs", "apply: weighted sum"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    require_common_parameters(unit, "geometric_median");
    const Parameters& parameters = unit.tensors.front().rule;
    const GeometricMedianOptions options{
        .iterations = static_cast<std::size_t>(parameters.number("iterations")),
        .tolerance = parameters.number("tolerance"),
        .smoothing = parameters.number("nu")};
    return std::make_unique<CombinationMerge>(
        unit, PairSums::squared_distances, [options](const SmallMatrix& distances) {
          return Combination{.weights = geometric_median_weights(distances, options)};
        });
  }
};

}  // namespace

const MergeRule& geometric_median() {
  static const GeometricMedian kRule;
  return kRule;
}

}  // namespace amalgam::rules
