#include "amalgam/core/error.hpp"
#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/robust.hpp"

namespace amalgam::rules {
namespace {

class MultiKrum final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "multi_krum",
        .summary = "The mean of the m members that are nearest to most others.",
        .source = "Blanchard et al. 2017, Machine Learning with Adversaries (squared distances)",
        .base = BaseUse::optional,
        .min_members = 3,
        .parameters = {fault_parameter(),
                       {.name = "m",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "How many members are averaged.",
                        .optional = true,
                        .default_text = "members - f - 2",
                        .low = 1,
                        .high = 1e6},
                       robust_scope_parameter()},
        .robust = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters& parameters) const override { return robust_scope(parameters); }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"reduce: distances of all pairs", "apply: mean of the selected members"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    const std::size_t f = fault_count(unit, "multi_krum", 2, 3);
    const Parameters& parameters = unit.tensors.front().rule;
    const std::size_t m = parameters.has("m") ? static_cast<std::size_t>(parameters.number("m"))
                                              : unit.member_count - f - 2;
    if (m > unit.member_count) {
      throw InputError("multi_krum: m = {} members cannot be selected from {}", m,
                       unit.member_count);
    }
    return std::make_unique<CombinationMerge>(
        unit, PairSums::squared_distances, [f, m](const SmallMatrix& distances) {
          Combination combination{.weights = std::vector<double>(distances.size())};
          const std::vector<std::size_t> order = krum_order(distances, f);
          for (std::size_t i = 0; i < m; ++i) {
            combination.weights[order[i]] = 1 / static_cast<double>(m);
          }
          return combination;
        });
  }
};

}  // namespace

const MergeRule& multi_krum() {
  static const MultiKrum kRule;
  return kRule;
}

}  // namespace amalgam::rules
