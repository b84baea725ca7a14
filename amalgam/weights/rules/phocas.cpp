#include "amalgam/weights/rules/coordinate_merge.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/robust.hpp"

namespace amalgam::rules {
namespace {

class Phocas final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "phocas",
        .summary = "The mean of the values nearest to the trimmed mean, element by element.",
        .source = "Xie et al. 2018, Phocas (arXiv 1805.09682)",
        .base = BaseUse::optional,
        .min_members = 1,
        .parameters = {fault_parameter()},
        .robust = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::element; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"apply: mean around the trimmed mean"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    const std::size_t f = fault_count(unit, "phocas", 2, 1);
    const std::size_t n = unit.member_count;
    return std::make_unique<CoordinateMerge>(kernels::CoordinateMean(n, f, n - f - 1, n - f));
  }
};

}  // namespace

const MergeRule& phocas() {
  static const Phocas kRule;
  return kRule;
}

}  // namespace amalgam::rules
