#include <algorithm>
#include <cmath>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/rules/arc.hpp"
#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {
namespace {

// What is a vector: the whole tensor, a row of the last axis, or a column: the elements that agree
// in all indices but the first.
enum class Vectors { tensor, rows, columns };

Vectors vectors_of(const Parameters& parameters) {
  if (parameters.flag("nuslerp_flatten")) return Vectors::tensor;
  return parameters.flag("nuslerp_row_wise") ? Vectors::columns : Vectors::rows;
}

double share_of_second(const MergeUnit& unit) {
  const std::vector<double> weights = member_numbers(unit, "weight");
  const double sum = weights[0] + weights[1];
  return std::abs(sum) < 1e-6 ? 0.5 : weights[1] / sum;
}

ArcWeights weights_between(double aa, double ab, double bb, double t) {
  const double angle = arc_cosine(cosine_between(aa, ab, bb));
  if (sine(angle) < 1e-8) return straight_weights(t);
  return arc_weights(angle, t);
}

class RowMerge final : public TypedMerge<RowMerge> {
 public:
  explicit RowMerge(const MergeUnit& unit)
      : row_(row_length(unit.tensors.front().shape)), t_(share_of_second(unit)) {}

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    kernels::PairScratch scratch;
    for (std::size_t first = 0; first < block.count; first += row_) {
      const std::array<const T*, 2> members{block.members[0] + first, block.members[1] + first};
      Block<T> row{.tensor = block.tensor, .first = block.first + first, .count = row_};
      row.members = members;
      row.base = block.base == nullptr ? nullptr : block.base + first;
      std::array<double, 3> sums{};
      kernels::add_products(members, row.base, row_, scratch, sums);
      const ArcWeights weights = weights_between(sums[0], sums[1], sums[2], t_);
      const Combination combination{.weights = {weights.a, weights.b},
                                    .relative = row.base != nullptr};
      combination.apply(row, out.subspan(first, row_));
    }
  }

 private:
  std::size_t row_;
  double t_;
};

// |a|^2, <a, b>, |b|^2 of a range of columns.
class ColumnStatistic final : public TypedStatistic<ColumnStatistic> {
 public:
  ColumnStatistic(std::uint64_t columns, std::uint64_t first, std::size_t count)
      : columns_(columns), first_(first), sums_(3 * count) {}

  template <class T>
  void absorb_block(const Block<T>& block) {
    const std::uint64_t end = first_ + sums_.size() / 3;
    std::uint64_t column = block.first % columns_;
    for (std::size_t k = 0; k < block.count; column = 0) {
      const auto run =
          static_cast<std::size_t>(std::min<std::uint64_t>(block.count - k, columns_ - column));
      const std::uint64_t from = std::max(column, first_);
      const std::uint64_t to = std::min(column + run, end);
      for (std::uint64_t c = from; c < to; ++c) {
        const std::size_t at = k + static_cast<std::size_t>(c - column);
        const T base = block.base == nullptr ? T{0} : block.base[at];
        const double a = block.members[0][at] - base;
        const double b = block.members[1][at] - base;
        double* const sums = &sums_[3 * static_cast<std::size_t>(c - first_)];
        sums[0] += a * a;
        sums[1] += a * b;
        sums[2] += b * b;
      }
      k += run;
    }
  }
  void combine_with(const ColumnStatistic& right) {
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += right.sums_[i];
  }
  std::span<const double> sums() const { return sums_; }

 private:
  std::uint64_t columns_;
  std::uint64_t first_;
  std::vector<double> sums_;
};

// Takes as many columns per pass as the memory for statistics allows: every leaf of the fold has a
// state of three sums per column. A column's sums are over the same elements in the same tree
// however the columns are grouped, so the result does not depend on it.
class ColumnMerge final : public TypedMerge<ColumnMerge> {
 public:
  explicit ColumnMerge(const MergeUnit& unit)
      : columns_(unit.tensors.front().elements / unit.tensors.front().shape.front()),
        t_(share_of_second(unit)) {
    const TensorView& tensor = unit.tensors.front();
    if (columns_ * sizeof(ArcWeights) > unit.statistics_memory) {
      throw InputError(
          "nuslerp: tensor '{}' of shape {} has {} columns, whose weights do not fit"
          " into memory; raise --memory or use nuslerp_flatten: true",
          tensor.name, format_shape(tensor.shape), columns_);
    }
    constexpr std::uint64_t kStates = 64;  // alive at the same time, at most
    per_pass_ = std::clamp<std::uint64_t>(unit.statistics_memory / (kStates * 3 * sizeof(double)),
                                          1024, columns_ + 1024);
    per_pass_ = std::min(per_pass_, columns_);
  }

  bool needs_pass() const override { return weights_.size() < columns_; }
  std::unique_ptr<Statistic> make_statistic() const override {
    return std::make_unique<ColumnStatistic>(columns_, weights_.size(), next_count());
  }
  bool wants_block(std::size_t, std::uint64_t first) const override {
    const std::uint64_t begin = first % columns_;
    const std::uint64_t wanted = weights_.size();
    // A block longer than a row, or running on into the next one, may hold any column.
    return begin + kBlockElements > columns_ ||
           (begin < wanted + next_count() && wanted < begin + kBlockElements);
  }
  void solve(std::unique_ptr<Statistic> total) override {
    const std::span<const double> sums = static_cast<ColumnStatistic&>(*total).sums();
    for (std::size_t i = 0; i < sums.size(); i += 3) {
      weights_.push_back(weights_between(sums[i], sums[i + 1], sums[i + 2], t_));
    }
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    std::uint64_t column = block.first % columns_;
    for (std::size_t k = 0; k < block.count; ++k) {
      const ArcWeights& weights = weights_[column];
      if (++column == columns_) column = 0;
      const T base = block.base == nullptr ? T{0} : block.base[k];
      const auto a = static_cast<double>(block.members[0][k] - base);
      const auto b = static_cast<double>(block.members[1][k] - base);
      const double value = weights.a * a + weights.b * b;
      out[k] = block.base == nullptr ? value : base + value;
    }
  }

 private:
  std::size_t next_count() const {
    return static_cast<std::size_t>(std::min<std::uint64_t>(per_pass_, columns_ - weights_.size()));
  }

  std::uint64_t columns_;
  double t_;
  std::uint64_t per_pass_ = 0;
  std::vector<ArcWeights> weights_;
};

class Nuslerp final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "nuslerp",
        .summary =
            "SLERP of two models by weight, of whole tensors, rows or columns; of their task"
            " vectors if a base is given.",
        .source = "mergekit",
        .base = BaseUse::optional,
        .min_members = 2,
        .max_members = 2,
        .parameters =
            {{.name = "weight",
              .doc = "t is the second weight's share of the sum (0.5 if the sum is below 1e-6).",
              .per_member = true},
             {.name = "nuslerp_flatten",
              .kind = ParameterInfo::Kind::flag,
              .doc = "Take each tensor as one vector.",
              .default_value = true},
             {.name = "nuslerp_row_wise",
              .kind = ParameterInfo::Kind::flag,
              .doc =
                  "With nuslerp_flatten: false, interpolate along the first axis (column vectors)"
                  " instead of the last.",
              .default_value = false}},
        .common_submatrix = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters& parameters) const override {
    return vectors_of(parameters) == Vectors::rows ? Scope::row : Scope::tensor;
  }
  std::vector<std::string> passes(const Parameters& parameters) const override {
    switch (vectors_of(parameters)) {
      case Vectors::rows:
        return {"apply: angle and weighted sum of each row"};
      case Vectors::columns:
        return {"reduce: norms and angles of columns", "apply: weighted sum"};
      default:
        return {"reduce: norms and angle", "apply: weighted sum"};
    }
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    const TensorView& tensor = unit.tensors.front();
    switch (vectors_of(tensor.rule)) {
      case Vectors::rows:
        return std::make_unique<RowMerge>(unit);
      case Vectors::columns:
        // With one axis or none, a column is the whole tensor.
        if (tensor.shape.size() >= 2 && tensor.elements > 0) {
          return std::make_unique<ColumnMerge>(unit);
        }
        [[fallthrough]];
      default:
        break;
    }
    const bool relative = tensor.has_base;
    return std::make_unique<CombinationMerge>(
        unit, relative ? PairSums::difference_products : PairSums::products,
        [relative, t = share_of_second(unit)](const SmallMatrix& products) {
          const ArcWeights weights =
              weights_between(products(0, 0), products(0, 1), products(1, 1), t);
          return Combination{.weights = {weights.a, weights.b}, .relative = relative};
        });
  }
};

}  // namespace

const MergeRule& nuslerp() {
  static const Nuslerp kRule;
  return kRule;
}

}  // namespace amalgam::rules
