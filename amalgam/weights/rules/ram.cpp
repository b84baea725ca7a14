#include "amalgam/weights/rules/ram.hpp"

#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {
namespace {

class Ram final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "ram",
        .summary =
            "Keeps changes that one member makes whole and averages those that several make.",
        .source = "mergekit's ram (reinforced agent merging)",
        .base = BaseUse::required,
        .parameters = {{.name = "epsilon",
                        .doc = "A member touches a position where its change is larger than this.",
                        .default_value = 1e-5,
                        .low = 0}},
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::element; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"apply: merge by overlap"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return begin_ram(unit, /*plus=*/false);
  }
};

}  // namespace

const MergeRule& ram() {
  static const Ram kRule;
  return kRule;
}

}  // namespace amalgam::rules
