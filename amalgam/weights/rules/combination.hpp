#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "amalgam/weights/rules/member_kernels.hpp"
#include "amalgam/weights/rules/small_matrix.hpp"
#include "amalgam/weights/rules/typed.hpp"
#include "amalgam/weights/sent_statistic.hpp"

namespace amalgam {

/// What a pass sums over all pairs of members.
enum class PairSums {
  products,             ///< <x_i, x_j>
  products_with_base,   ///< the same with the base as number 0 before the members
  difference_products,  ///< <x_i - base, x_j - base>
  squared_distances,    ///< |x_i - x_j|^2, without cancellation; the same with or without a base
};

/// The symmetric matrix of PairSums over all elements of a unit: all that rules need to know of the
/// members to find angles, norms, distances and subspaces. Sums add, so the state is the same for
/// any split of the elements up to rounding, and bit for bit in the engine's fixed tree.
class PairStatistic final : public TypedStatistic<PairStatistic>, public SentStatistic {
 public:
  PairStatistic(std::size_t members, PairSums kind)
      : vectors_(members + (kind == PairSums::products_with_base ? 1 : 0)),
        kind_(kind),
        sums_(kernels::pair_count(vectors_)) {}

  template <class T>
  void absorb_block(const Block<T>& block);
  void combine_with(const PairStatistic& right);
  void archive(StateArchive& archive) override { archive(sums_); }

  SmallMatrix matrix() const { return SmallMatrix::from_upper(sums_, vectors_); }

 private:
  std::size_t vectors_;
  PairSums kind_;
  std::vector<double> sums_;
};

/// A linear combination of the members. Members of weight exactly 0 are not looked at, so what was
/// rejected cannot leak into the result, not even as NaN.
struct Combination {
  std::vector<double> weights;  ///< one per member
  /// false: sum_i w_i x_i + base_weight base; true: base + sum_i w_i (x_i - base).
  bool relative = false;
  double base_weight = 0;

  /// In double, in the order of the members, the base last.
  template <class T>
  void apply(const Block<T>& block, std::span<double> out) const;
};

/// A merge of one unit whose tensors are all the same combination of the members, with weights
/// found from the pair sums of the whole unit.
class CombinationMerge final : public TypedMerge<CombinationMerge> {
 public:
  using Solver = std::function<Combination(const SmallMatrix& pair_sums)>;

  CombinationMerge(const MergeUnit& unit, PairSums kind, Solver solver)
      : members_(unit.member_count), kind_(kind), solver_(std::move(solver)) {}

  bool needs_pass() const override { return !solved_; }
  std::unique_ptr<Statistic> make_statistic() const override {
    return std::make_unique<PairStatistic>(members_, kind_);
  }
  void solve(std::unique_ptr<Statistic> total) override;

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    combination_.apply(block, out);
  }

 private:
  std::size_t members_;
  PairSums kind_;
  Solver solver_;
  Combination combination_;
  bool solved_ = false;
};

/// The per-member parameter `name` of the unit's first tensor.
std::vector<double> member_numbers(const MergeUnit& unit, std::string_view name);

}  // namespace amalgam
