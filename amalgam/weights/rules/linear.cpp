#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/tensor/kernels.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/typed.hpp"

namespace amalgam::rules {
namespace {

class LinearMerge final : public TypedMerge<LinearMerge> {
 public:
  explicit LinearMerge(const MergeUnit& unit) {
    for (const TensorView& tensor : unit.tensors) {
      Sum sum;
      double total = 0;
      for (const Parameters& member : tensor.members) {
        sum.weights.push_back(member.number("weight"));
        total += sum.weights.back();
      }
      if (tensor.rule.flag("normalize")) {
        if (std::abs(total) < 1e-8) {
          throw InputError(
              "linear: the weights of tensor '{}' sum to {}, which cannot be normalised;"
              " expected a sum other than zero, or normalize: false",
              tensor.name, total);
        }
        sum.divisor = total;
      }
      sums_.push_back(std::move(sum));
    }
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    const Sum& sum = sums_[block.tensor];
    kernels::scale(sum.weights[0], std::span(block.members[0], block.count), out);
    for (std::size_t m = 1; m < block.members.size(); ++m) {
      kernels::accumulate(sum.weights[m], std::span(block.members[m], block.count), out);
    }
    if (sum.divisor != 1.0) {
      for (double& value : out) value /= sum.divisor;
    }
  }

 private:
  struct Sum {
    std::vector<double> weights;
    double divisor = 1.0;
  };
  std::vector<Sum> sums_;
};

class Linear final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "linear",
        .summary = "Weighted average (or sum) of the members: a uniform model soup.",
        .source = "Wortsman et al. 2022, Model soups (arXiv 2203.05482)",
        .base = BaseUse::ignored,
        .parameters = {{.name = "weight", .doc = "Share of the member.", .per_member = true},
                       {.name = "normalize",
                        .kind = ParameterInfo::Kind::flag,
                        .doc = "Divide the sum by the sum of the weights.",
                        .default_value = true}},
        .common_submatrix = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::element; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"apply: weighted sum"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return std::make_unique<LinearMerge>(unit);
  }
};

}  // namespace

const MergeRule& linear() {
  static const Linear kRule;
  return kRule;
}

}  // namespace amalgam::rules
