#include "amalgam/weights/rules/coordinate_merge.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {
namespace {

class Median final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "median",
        .summary = "The median of the members, element by element.",
        .source =
            "Yin et al. 2018, Byzantine-Robust Distributed Learning (arXiv 1803.01498), Definition "
            "1",
        .base = BaseUse::optional,
        .min_members = 1,
        .robust = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::element; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"apply: median of the members"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return std::make_unique<CoordinateMerge>(kernels::CoordinateMean::median(unit.member_count));
  }
};

}  // namespace

const MergeRule& median() {
  static const Median kRule;
  return kRule;
}

}  // namespace amalgam::rules
