#include <algorithm>
#include <cmath>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {
namespace {

// The ratio t of the members' mean in the merge, the rest being the base, from the products of task
// vectors. `place` names the tensor or row in errors.
template <class Place>
double interpolation_ratio(const SmallMatrix& products, const Place& place) {
  const std::size_t members = products.size();
  double sum = 0;
  for (std::size_t i = 0; i < members; ++i) {
    for (std::size_t j = i + 1; j < members; ++j) {
      const double norms = std::sqrt(products(i, i)) * std::sqrt(products(j, j));
      sum += std::clamp(products(i, j) / std::max(norms, 1e-6), -1.0, 1.0);
    }
  }
  const auto n = static_cast<double>(members);
  const double mean = sum / (n * (n - 1) / 2);
  const double denominator = 1 + (n - 1) * mean;
  if (denominator <= 1e-6) {
    throw InputError(
        "model_stock: the task vectors of {} cancel out (mean cosine {:.6g} of {} members), so that"
        " no ratio to the base can be computed; leave out a member or use method linear",
        place(), mean, members);
  }
  return n * mean / denominator;
}

Combination stock_combination(double ratio, std::size_t members) {
  return {.weights = std::vector<double>(members, ratio / static_cast<double>(members)),
          .base_weight = 1 - ratio};
}

class FilterMerge final : public TypedMerge<FilterMerge> {
 public:
  explicit FilterMerge(const MergeUnit& unit)
      : tensor_(unit.tensors.front()), row_(row_length(tensor_.shape)) {}

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    const std::size_t n = block.members.size();
    kernels::PairScratch scratch;
    std::vector<const T*> members(n);
    std::vector<double> sums(kernels::pair_count(n));
    for (std::size_t first = 0; first < block.count; first += row_) {
      for (std::size_t i = 0; i < n; ++i) members[i] = block.members[i] + first;
      Block<T> row{.tensor = block.tensor, .first = block.first + first, .count = row_};
      row.members = members;
      row.base = block.base + first;
      std::fill(sums.begin(), sums.end(), 0.0);
      kernels::add_products(row.members, row.base, row_, scratch, sums);
      const double ratio = interpolation_ratio(SmallMatrix::from_upper(sums, n), [&] {
        return fmt::format("row {} of tensor '{}'", row.first / row_, tensor_.name);
      });
      stock_combination(ratio, n).apply(row, out.subspan(first, row_));
    }
  }

 private:
  const TensorView& tensor_;
  std::size_t row_;
};

class ModelStock final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "model_stock",
        .summary =
            "The members' mean drawn towards the base by as much as their task vectors"
            " disagree in direction.",
        .source = "Jang et al. 2024, Model Stock (arXiv 2403.19522), eq. 2; as in mergekit",
        .base = BaseUse::required,
        .min_members = 2,
        .parameters = {{.name = "filter_wise",
                        .kind = ParameterInfo::Kind::flag,
                        .doc = "A ratio for each row of the last axis instead of each tensor.",
                        .default_value = false}},
        .common_submatrix = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters& parameters) const override {
    return parameters.flag("filter_wise") ? Scope::row : Scope::tensor;
  }
  std::vector<std::string> passes(const Parameters& parameters) const override {
    if (parameters.flag("filter_wise")) return {"apply: angles and weighted sum of each row"};
    return {"reduce: products of all pairs of task vectors", "apply: weighted sum"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    const TensorView& tensor = unit.tensors.front();
    if (tensor.rule.flag("filter_wise")) return std::make_unique<FilterMerge>(unit);
    return std::make_unique<CombinationMerge>(
        unit, PairSums::difference_products, [name = tensor.name](const SmallMatrix& products) {
          const double ratio =
              interpolation_ratio(products, [&] { return fmt::format("tensor '{}'", name); });
          return stock_combination(ratio, products.size());
        });
  }
};

}  // namespace

const MergeRule& model_stock() {
  static const ModelStock kRule;
  return kRule;
}

}  // namespace amalgam::rules
