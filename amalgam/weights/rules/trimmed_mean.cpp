#include "amalgam/weights/rules/coordinate_merge.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/robust.hpp"

namespace amalgam::rules {
namespace {

class TrimmedMean final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "trimmed_mean",
        .summary = "The mean without the f lowest and f highest values, element by element.",
        .source =
            "Yin et al. 2018, Byzantine-Robust Distributed Learning (arXiv 1803.01498), Definition "
            "2",
        .base = BaseUse::optional,
        .min_members = 1,
        .parameters = {fault_parameter()},
        .robust = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::element; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"apply: trimmed mean of the members"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    const std::size_t f = fault_count(unit, "trimmed_mean", 2, 1);
    return std::make_unique<CoordinateMerge>(
        kernels::CoordinateMean(unit.member_count, f, unit.member_count - f - 1));
  }
};

}  // namespace

const MergeRule& trimmed_mean() {
  static const TrimmedMean kRule;
  return kRule;
}

}  // namespace amalgam::rules
