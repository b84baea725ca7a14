#include "amalgam/weights/rules/elementwise_kernels.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/typed.hpp"

namespace amalgam::rules {
namespace {

class NearswapMerge final : public TypedMerge<NearswapMerge> {
 public:
  explicit NearswapMerge(const MergeUnit& unit) {
    for (const TensorView& tensor : unit.tensors) t_.push_back(tensor.rule.number("t"));
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    nearswap_tile(std::span(block.members[0], block.count), block.base, t_[block.tensor],
                  out.data());
  }

 private:
  std::vector<double> t_;
};

class Nearswap final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "nearswap",
        .summary =
            "Takes the member where it is near the base, and moves towards the base where it "
            "is far.",
        .source = "mergekit's nearswap",
        .base = BaseUse::required,
        .max_members = 1,
        .parameters = {{.name = "t",
                        .doc = "Distance up to which the member's value is taken whole.",
                        .low = 0}},
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::element; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"apply: interpolate by distance"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return std::make_unique<NearswapMerge>(unit);
  }
};

}  // namespace

const MergeRule& nearswap() {
  static const Nearswap kRule;
  return kRule;
}

}  // namespace amalgam::rules
