#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/robust.hpp"

namespace amalgam::rules {
namespace {

class Krum final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "krum",
        .summary = "The one member that is nearest to most others.",
        .source = "Blanchard et al. 2017, Machine Learning with Adversaries (squared distances)",
        .base = BaseUse::optional,
        .min_members = 3,
        .parameters = {fault_parameter(), robust_scope_parameter()},
        .robust = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters& parameters) const override { return robust_scope(parameters); }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"reduce: distances of all pairs", "apply: copy the selected member"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    const std::size_t f = fault_count(unit, "krum", 2, 3);
    return std::make_unique<CombinationMerge>(
        unit, PairSums::squared_distances, [f](const SmallMatrix& distances) {
          Combination combination{.weights = std::vector<double>(distances.size())};
          combination.weights[krum_order(distances, f).front()] = 1;
          return combination;
        });
  }
};

}  // namespace

const MergeRule& krum() {
  static const Krum kRule;
  return kRule;
}

}  // namespace amalgam::rules
