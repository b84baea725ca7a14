#include <algorithm>
#include <optional>

#include "amalgam/tensor/kernels.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/typed.hpp"

namespace amalgam::rules {
namespace {

class PassthroughMerge final : public TypedMerge<PassthroughMerge> {
 public:
  explicit PassthroughMerge(const MergeUnit& unit) {
    for (const TensorView& tensor : unit.tensors) {
      const Parameters& member = tensor.members[0];
      scales_.push_back(member.has("scale") ? std::optional(member.number("scale")) : std::nullopt);
    }
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    const std::span<const T> x(block.members[0], block.count);
    if (const std::optional<double>& scale = scales_[block.tensor]; scale.has_value()) {
      kernels::scale(*scale, x, out);
    } else {
      std::copy(x.begin(), x.end(), out.begin());
    }
  }

 private:
  std::vector<std::optional<double>> scales_;
};

class Passthrough final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "passthrough",
        .summary = "Takes tensors as they are: for stacking layers of one or more models.",
        .source = "mergekit's passthrough",
        .base = BaseUse::ignored,
        .max_members = 1,
        .parameters = {{.name = "scale",
                        .doc = "Factor on the tensor.",
                        .optional = true,
                        .default_text = "none, values unchanged",
                        .per_member = true}},
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::element; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"apply: copy or scale"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return std::make_unique<PassthroughMerge>(unit);
  }
};

}  // namespace

const MergeRule& passthrough() {
  static const Passthrough kRule;
  return kRule;
}

}  // namespace amalgam::rules
