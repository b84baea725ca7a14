#include "amalgam/core/error.hpp"
#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {
namespace {

class WiseFtMerge final : public TypedMerge<WiseFtMerge> {
 public:
  explicit WiseFtMerge(const MergeUnit& unit) {
    const TensorView& tensor = unit.tensors.front();
    const double alpha = tensor.rule.number("alpha");
    if ((alpha < 0 || alpha > 1) && !tensor.rule.flag("extrapolate")) {
      throw InputError(
          "wise_ft: alpha = {} of tensor '{}' is outside [0, 1]; set extrapolate: true"
          " to go beyond the two models",
          alpha, tensor.name);
    }
    // A model of weight 0 is left out, which makes both ends exact.
    combination_ = {.weights = {alpha}, .base_weight = 1 - alpha};
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    combination_.apply(block, out);
  }

 private:
  Combination combination_;
};

class WiseFt final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "wise_ft",
        .summary =
            "The straight line from the base (alpha 0) to a model fine-tuned from it (alpha"
            " 1).",
        .source = "Wortsman et al. 2022, Robust fine-tuning of zero-shot models (arXiv 2109.01903)",
        .base = BaseUse::required,
        .min_members = 1,
        .max_members = 1,
        .parameters = {{.name = "alpha",
                        .doc =
                            "Share of the fine-tuned model, in [0, 1] unless extrapolate is true.",
                        .default_value = 0.5,
                        .low = -100,
                        .high = 100},
                       {.name = "extrapolate",
                        .kind = ParameterInfo::Kind::flag,
                        .doc = "Allow alpha outside [0, 1].",
                        .default_value = false}},
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::element; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"apply: interpolation"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return std::make_unique<WiseFtMerge>(unit);
  }
};

}  // namespace

const MergeRule& wise_ft() {
  static const WiseFt kRule;
  return kRule;
}

}  // namespace amalgam::rules
