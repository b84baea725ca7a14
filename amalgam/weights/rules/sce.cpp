#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>

#include "amalgam/weights/rules/difference_tile.hpp"
#include "amalgam/weights/rules/elementwise_kernels.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/selection.hpp"
#include "amalgam/weights/rules/selection_kernels.hpp"
#include "amalgam/weights/rules/typed.hpp"

namespace amalgam::rules {
namespace {

// Select the positions with the largest variance over the members, calculate each member's
// coefficient from the squares that remain, erase what is against the elected sign. The unit is one
// tensor.
class SceMerge final : public TypedMerge<SceMerge> {
 public:
  explicit SceMerge(const MergeUnit& unit)
      : elements_(unit.tensors[0].elements), coefficients_(unit.member_count) {
    const double share = unit.tensors[0].rule.number("select_topk");
    if (share < 1) {
      selection_ = std::make_unique<Selection>(
          unit, 1, std::vector<RankTarget>{{.source = 0, .share_of_nonzero = share}},
          selection_limits(unit.statistics_memory, 1));
    }
  }

  bool needs_pass() const override { return selecting() || !calculated_; }

  std::unique_ptr<Statistic> make_statistic() const override {
    if (selecting()) return std::make_unique<Variances>(*this);
    return std::make_unique<Squares>(*this);
  }

  bool wants_block(std::size_t tensor, std::uint64_t first) const override {
    return !selecting() || selection_->wants_block(tensor, first);
  }

  void solve(std::unique_ptr<Statistic> total) override {
    if (selecting()) {
      selection_->solve(total ? &static_cast<Variances&>(*total).tally : nullptr);
      return;
    }
    calculated_ = true;
    if (!total) return;
    double sum = 0;
    const std::vector<double>& squares = static_cast<const Squares&>(*total).sums;
    for (std::size_t m = 0; m < coefficients_.size(); ++m) {
      coefficients_[m] = squares[m] / static_cast<double>(elements_);
      sum += coefficients_[m];
    }
    for (double& coefficient : coefficients_) {
      coefficient =
          sum < 1e-6 ? 1.0 / static_cast<double>(coefficients_.size()) : coefficient / sum;
    }
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    for_each_tile(block,
                  [&](std::span<const double* const> d, std::size_t offset, std::size_t count) {
                    sce_tile(d, coefficients_, block.base + offset, count, out.data() + offset);
                  });
  }

 private:
  struct Scratch {
    DifferenceTile tile;
    std::vector<double> variance;
    std::vector<std::uint64_t> keys;
  };
  static Scratch& thread_scratch() {
    thread_local Scratch scratch;
    return scratch;
  }

  bool selecting() const { return selection_ && !selection_->done(); }

  // Calls use(d, offset, count) for the tiles of a block, `d` being 0 where nothing is selected.
  template <class T, class Use>
  void for_each_tile(const Block<T>& block, const Use& use) const {
    Scratch& scratch = thread_scratch();
    const std::size_t members = block.members.size();
    const std::size_t tile = DifferenceTile::size(members);
    scratch.variance.resize(kTile);
    const BlockPlace place{block.tensor, block.first};
    const Cut everything;
    const Cut& cut = selection_ ? selection_->cut(0) : everything;
    CutMembership belongs(cut, place);
    for (std::size_t offset = 0; offset < block.count; offset += tile) {
      const std::size_t count = std::min(tile, block.count - offset);
      const auto d = scratch.tile.load(block, offset, count);
      if (cut.ties_end_at(place)) {
        variance_tile(d, count, scratch.variance.data());
        for (std::size_t i = 0; i < count; ++i) {
          if (belongs(std::bit_cast<std::uint64_t>(scratch.variance[i]))) continue;
          for (std::size_t m = 0; m < members; ++m) scratch.tile.of(m)[i] = 0.0;
        }
      } else if (selection_) {
        keep_varied_tile(
            scratch.tile.writable(), count,
            {.low = cut.double_bound(place), .high = std::numeric_limits<std::int64_t>::max()});
      }
      use(d, offset, count);
    }
  }

  struct Variances final : TypedStatistic<Variances> {
    explicit Variances(const SceMerge& owner) : tally(owner.selection_->make_tally()) {}

    template <class T>
    void absorb_block(const Block<T>& block) {
      if (!tally.begin_block(block.tensor, block.first)) return;
      Scratch& scratch = thread_scratch();
      const std::size_t tile = DifferenceTile::size(block.members.size());
      scratch.variance.resize(kTile);
      scratch.keys.resize(kTile);
      for (std::size_t offset = 0; offset < block.count; offset += tile) {
        const std::size_t count = std::min(tile, block.count - offset);
        variance_tile(scratch.tile.load(block, offset, count), count, scratch.variance.data());
        absolute_keys(std::span<const double>(scratch.variance).first(count), scratch.keys.data());
        tally.absorb(0, std::span<const std::uint64_t>(scratch.keys).first(count));
      }
    }
    void combine_with(Variances& right) { tally.combine(std::move(right.tally)); }

    SelectionTally tally;
  };

  struct Squares final : TypedStatistic<Squares> {
    explicit Squares(const SceMerge& owner) : merge(owner), sums(owner.coefficients_.size()) {}

    template <class T>
    void absorb_block(const Block<T>& block) {
      std::vector<LaneSums> lanes(sums.size());
      merge.for_each_tile(block,
                          [&](std::span<const double* const> d, std::size_t, std::size_t count) {
                            for (std::size_t m = 0; m < d.size(); ++m)
                              add_squares({d[m], count}, lanes[m]);
                          });
      for (std::size_t m = 0; m < sums.size(); ++m) sums[m] += lanes[m].total();
    }
    void combine_with(const Squares& right) {
      for (std::size_t m = 0; m < sums.size(); ++m) sums[m] += right.sums[m];
    }

    const SceMerge& merge;
    std::vector<double> sums;
  };

  std::uint64_t elements_;
  std::unique_ptr<Selection> selection_;
  std::vector<double> coefficients_;
  bool calculated_ = false;
};

class Sce final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "sce",
        .summary =
            "Selects the positions whose change varies most over the members, weights members "
            "by the squares of their changes there, and merges those of the elected sign.",
        .source = "Wan et al. 2024, FuseChat (arXiv 2408.07990)",
        .base = BaseUse::required,
        .parameters = {{.name = "select_topk",
                        .doc = "Share of the positions of nonzero variance that is selected.",
                        .default_value = 1.0,
                        .low = 0,
                        .high = 1},
                       {.name = "int8_mask",
                        .kind = ParameterInfo::Kind::flag,
                        .doc = "Accepted as mergekit recipes have it; masks take no memory here.",
                        .optional = true}},
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::tensor; }
  std::vector<std::string> passes(const Parameters& parameters) const override {
    std::vector<std::string> passes;
    if (parameters.number("select_topk") < 1) {
      passes.emplace_back("sample variances");
      passes.emplace_back("count variances around the threshold");
    }
    passes.emplace_back("squares of the members' changes");
    passes.emplace_back("apply: weight, elect signs, merge");
    return passes;
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return std::make_unique<SceMerge>(unit);
  }
};

}  // namespace

const MergeRule& sce() {
  static const Sce kRule;
  return kRule;
}

}  // namespace amalgam::rules
