#include "amalgam/weights/rules/ram.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {
namespace {

class RamPlus final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "ramplus_tl",
        .summary =
            "As ram, with the changes that one member makes alone scaled up by how much that "
            "member shares, tensor by tensor.",
        .source = "mergekit's ramplus_tl (reinforced agent merging)",
        .base = BaseUse::required,
        .parameters =
            {{.name = "epsilon",
              .doc = "A member touches a position where its change is larger than this.",
              .default_value = 1e-5,
              .low = 0,
              .low_open = true},
             {.name = "r", .doc = "Strength of the scaling.", .default_value = 0.1, .low = 0},
             {.name = "alpha",
              .doc = "Largest ratio of shared to unique positions that counts.",
              .default_value = 0.2,
              .low = 0}},
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::tensor; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"count positions touched by one and by several members", "apply: merge by overlap"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return begin_ram(unit, /*plus=*/true);
  }
};

}  // namespace

const MergeRule& ramplus_tl() {
  static const RamPlus kRule;
  return kRule;
}

}  // namespace amalgam::rules
