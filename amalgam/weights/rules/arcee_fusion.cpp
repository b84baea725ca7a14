#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>

#include "amalgam/weights/rules/elementwise_kernels.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/selection.hpp"
#include "amalgam/weights/rules/selection_kernels.hpp"
#include "amalgam/weights/rules/softmax_divergence.hpp"
#include "amalgam/weights/rules/task_vector_kernels.hpp"
#include "amalgam/weights/rules/typed.hpp"

namespace amalgam::rules {
namespace {

// The unit is one tensor, its blocks whole rows.
class ArceeFusionMerge final : public TypedMerge<ArceeFusionMerge> {
 public:
  explicit ArceeFusionMerge(const MergeUnit& unit)
      : row_(static_cast<std::size_t>(row_length(unit.tensors[0].shape))) {
    const std::uint64_t elements = unit.tensors[0].elements;
    if (elements == 0) return;
    std::vector<RankTarget> targets;
    for (const double quantile : {0.25, 0.5, 0.75}) {
      const auto ascending =
          static_cast<std::uint64_t>(std::floor(quantile * static_cast<double>(elements - 1)));
      targets.push_back({.source = 0, .rank = elements - ascending});
    }
    selection_ = std::make_unique<Selection>(unit, 1, std::move(targets),
                                             selection_limits(unit.statistics_memory / 2, 1));
    const std::uint64_t rows = elements / row_;
    one_row_ = rows == 1;
    if (rows <= unit.statistics_memory / 2 / sizeof(double)) {
      divergences_ = std::make_unique_for_overwrite<double[]>(rows);
      std::fill_n(divergences_.get(), rows, kUnknown);
    }
  }

  bool needs_pass() const override { return selection_ && !selection_->done(); }
  std::unique_ptr<Statistic> make_statistic() const override {
    return std::make_unique<Importances>(*this);
  }
  bool wants_block(std::size_t tensor, std::uint64_t first) const override {
    return selection_->wants_block(tensor, first);
  }

  void solve(std::unique_ptr<Statistic> total) override {
    selection_->solve(total ? &static_cast<Importances&>(*total).tally : nullptr);
    if (!selection_->done()) return;
    const auto quantile = [&](std::size_t index) {
      return std::bit_cast<double>(selection_->cut(index).key);
    };
    threshold_ = quantile(1) + 1.5 * (quantile(2) - quantile(0));
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    for (std::size_t first = 0; first < block.count; first += row_) {
      take_over_tile(std::span(block.members[0] + first, row_), block.base + first,
                     divergence(block, first), threshold_, out.data() + first);
    }
  }

 private:
  static std::vector<double>& thread_scratch() {
    thread_local std::vector<double> scratch;
    return scratch;
  }

  // Of the row that begins at element `first` of the block. That of a single row would be a factor
  // of all importances and of the threshold, and changes nothing but which of them its roundings
  // make equal.
  template <class T>
  double divergence(const Block<T>& block, std::size_t first) const {
    if (one_row_) return 1;
    double* known = divergences_ ? &divergences_[(block.first + first) / row_] : nullptr;
    if (known != nullptr && *known >= 0) return *known;
    const double found = softmax_divergence(std::span(block.members[0] + first, row_),
                                            block.base + first, thread_scratch());
    if (known != nullptr) *known = found;
    return found;
  }

  struct Importances final : TypedStatistic<Importances> {
    explicit Importances(const ArceeFusionMerge& owner)
        : merge(owner), tally(owner.selection_->make_tally()) {}

    template <class T>
    void absorb_block(const Block<T>& block) {
      if (!tally.begin_block(block.tensor, block.first)) return;
      for (std::size_t first = 0; first < block.count; first += merge.row_) {
        const double divergence = merge.divergence(block, first);
        for (std::size_t offset = 0; offset < merge.row_; offset += kTile) {
          const std::size_t count = std::min(kTile, merge.row_ - offset);
          absorb_tile(std::span(block.members[0] + first + offset, count),
                      block.base + first + offset, divergence);
        }
      }
    }
    template <class T>
    void absorb_tile(std::span<const T> x, const T* base, double divergence) {
      if constexpr (sizeof(T) == sizeof(float)) {
        if (merge.row_ >= kLongRow) {
          std::array<std::uint32_t, kTile> keys;
          magnitude_keys(x, base, keys.data());
          tally.absorb_scaled(0, std::span(keys).first(x.size()), divergence);
          return;
        }
      }
      std::array<double, kTile> importances;
      std::array<std::uint64_t, kTile> keys;
      weigh(x, base, divergence, 1.0, importances.data());
      absolute_keys(std::span<const double>(importances).first(x.size()), keys.data());
      tally.absorb(0, std::span<const std::uint64_t>(keys).first(x.size()));
    }
    void combine_with(Importances& right) { tally.combine(std::move(right.tally)); }

    const ArceeFusionMerge& merge;
    SelectionTally tally;
  };

  static constexpr double kUnknown = -1;
  // From which on dividing the brackets by the divergence costs less than multiplying all by it.
  static constexpr std::size_t kLongRow = 256;

  std::size_t row_;
  bool one_row_ = false;
  std::unique_ptr<Selection> selection_;
  // Of each row, kept by the pass that first comes to it; null where there is no memory for them.
  std::unique_ptr<double[]> divergences_;
  double threshold_ = 0;
};

class ArceeFusion final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "arcee_fusion",
        .summary =
            "Takes over the member's changes where they are unusually important, by the size "
            "of the change times the divergence of the row.",
        .source = "mergekit's arcee_fusion",
        .base = BaseUse::required,
        .max_members = 1,
        .common_submatrix = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::tensor; }
  bool whole_rows(const Parameters&) const override { return true; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"sample importances", "count importances around the quartiles",
            "apply: take over important changes"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return std::make_unique<ArceeFusionMerge>(unit);
  }
};

}  // namespace

const MergeRule& arcee_fusion() {
  static const ArceeFusion kRule;
  return kRule;
}

}  // namespace amalgam::rules
