#include "amalgam/weights/rules/coordinate_merge.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/robust.hpp"

namespace amalgam::rules {
namespace {

class Meamed final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "meamed",
        .summary = "The mean of the values nearest to the median, element by element.",
        .source =
            "Xie et al. 2018, Generalized Byzantine-tolerant SGD (arXiv 1802.10116), "
            "mean-around-median",
        .base = BaseUse::optional,
        .min_members = 1,
        .parameters = {fault_parameter()},
        .robust = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::element; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"apply: mean around the median"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    const std::size_t f = fault_count(unit, "meamed", 2, 1);
    return std::make_unique<CoordinateMerge>(
        kernels::CoordinateMean::median(unit.member_count, unit.member_count - f));
  }
};

}  // namespace

const MergeRule& meamed() {
  static const Meamed kRule;
  return kRule;
}

}  // namespace amalgam::rules
