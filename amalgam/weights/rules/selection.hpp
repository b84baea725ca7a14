#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "amalgam/core/state_archive.hpp"
#include "amalgam/weights/rule.hpp"
#include "amalgam/weights/rules/scaled_keys.hpp"

// Exact order statistics of streams of keys (see selection_kernels.hpp) in bounded memory: a sample
// of blocks brackets the wanted rank, one counting pass keeps what falls inside the bracket and
// settles it. Where the bracket misses, or holds more than may be kept, further passes narrow it;
// the result is exact either way and never depends on the sample.
namespace amalgam::rules {

/// Where a block begins: orders blocks as the unit's elements are ordered.
struct BlockPlace {
  std::size_t tensor = 0;
  std::uint64_t first = 0;
  auto operator<=>(const BlockPlace&) const = default;
};

/// The set of the k largest keys of a source, ties at the threshold taken by lowest position. All
/// keys are compared as those of doubles (a float's key is that of its value as a double).
struct Cut {
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  std::uint64_t key = 0;  ///< the k-th largest key; kNone when k is 0
  bool all_ties = true;   ///< all keys equal to `key` belong; else those before the place below
  BlockPlace tie_block;   ///< the block in which the ties that belong end
  std::uint64_t ties_in_block = 0;  ///< how many ties of that block belong, in order

  /// How many ties of the block at `place` belong: all (SIZE_MAX), none or some.
  std::uint64_t ties_of(const BlockPlace& place) const;
  /// Whether some ties of the block at `place` may belong and others not, so that no bound tells.
  bool ties_end_at(const BlockPlace& place) const { return !all_ties && place == tie_block; }
  /// Elsewhere: the keys of the block at `place` that belong are those above this bound.
  std::int32_t float_bound(const BlockPlace& place) const;
  std::int64_t double_bound(const BlockPlace& place) const;
};

/// Tells, for the elements of a block in order, which belong to a cut whose ties may end in it.
class CutMembership {
 public:
  CutMembership(const Cut& cut, const BlockPlace& place)
      : key_(cut.key), ties_(cut.ties_of(place)) {}
  bool operator()(std::uint64_t key) {
    if (key != key_) return key > key_ && key_ != Cut::kNone;
    return ties_ > 0 && ties_-- > 0;
  }

 private:
  std::uint64_t key_;
  std::uint64_t ties_;
};

/// The smallest float key whose value is at least that of the double key; 2^31 if none is.
std::uint32_t float_key_at_least(std::uint64_t key);
/// The key of the same value as a double.
std::uint64_t widen_key(std::uint32_t key);

/// For each tensor of the unit the one that holds its data: itself, or for a tied tensor the last
/// earlier one of the same shape that is not tied.
std::vector<std::size_t> storage_tensors(const MergeUnit& unit);

/// What to find: the `rank`-th largest key (1-based) of a source.
struct RankTarget {
  std::size_t source = 0;
  std::uint64_t rank = 1;  ///< 1 <= rank <= keys of the source
  /// If set, the rank is floor(share * number of keys greater than 0), which the counting passes
  /// find out; `rank` is ignored and may turn out to be 0.
  std::optional<double> share_of_nonzero = std::nullopt;
};

/// Bounds on memory, and when to sample. The defaults are right; tests choose others to force the
/// rarer paths.
struct SelectionLimits {
  std::size_t candidates = std::size_t{1} << 22;        ///< keys kept in all, over targets
  std::size_t least_candidates = std::size_t{1} << 16;  ///< but this many for each target
  std::size_t unsampled = std::size_t{1} << 17;  ///< of so many elements all keys are candidates
  std::size_t sample_blocks = 128;               ///< blocks to sample at most, ...
  std::size_t sample_fraction = 32;              ///< ... one of this many, ...
  std::size_t least_sample_blocks = 8;           ///< ... but so many (all are averages)
  std::size_t sample_stride = 4;                 ///< of a sampled block, every so manieth key
  double bracket_errors = 3.5;                   ///< half width of the bracket in standard errors
  std::size_t bins = 4096;  ///< of the histogram that replaces too many candidates
};

/// The defaults, with less kept where all passes' states together may take only `memory` bytes.
SelectionLimits selection_limits(std::uint64_t memory, std::size_t sources);

class Selection;

/// What one pass has counted: the state of its fold. Blocks come in increasing order.
class SelectionTally {
 public:
  /// Announces a block; false if nothing of it counts (tied storage, counted elsewhere).
  bool begin_block(std::size_t tensor, std::uint64_t first);
  /// The next keys of the block, source by source, in order; at most kKeyTile at a time.
  void absorb(std::size_t source, std::span<const std::uint32_t> keys);
  void absorb(std::size_t source, std::span<const std::uint64_t> keys);
  /// The same as absorb of the floats' values times `scale` (scaled_key), but hardly a product is
  /// formed: the bracket is divided instead. Whole runs of tiles of one scale are fastest.
  void absorb_scaled(std::size_t source, std::span<const std::uint32_t> keys, double scale);
  void combine(SelectionTally&& right);
  /// All that was counted, to or from a tally of the same pass in another process.
  void archive(StateArchive& archive);

 private:
  friend class Selection;
  explicit SelectionTally(const Selection& selection);
  void collapse(std::size_t target);

  // Too many candidates to keep: how many fall into each of equal parts of the bracket, and between
  // which keys they lie there.
  struct Bin {
    std::uint64_t count = 0;
    std::uint64_t low = ~std::uint64_t{0};
    std::uint64_t high = 0;
  };
  struct PerTarget {
    std::uint64_t above = 0;
    std::uint64_t inside = 0;
    // A block's candidates are in the list of its own width.
    std::vector<std::uint32_t> narrow;
    std::vector<std::uint64_t> wide;
    std::vector<std::uint32_t> inside_of_block;  // one per block of `blocks_`
    std::vector<Bin> bins;                       // empty until the lists overflow
  };
  struct PerSource {
    std::vector<std::uint64_t> sample;
    std::vector<std::size_t> sample_of_block;
    std::size_t skip = 0;  // how many of the keys to come are passed over before the next sampled
    std::uint64_t nonzero = 0;
  };
  template <class Key>
  void absorb_keys(std::size_t source, std::span<const Key> keys);
  template <class Key>
  void keep(std::size_t target_index, std::span<const Key> keys);
  bool find_scaled_brackets(std::size_t source, double scale);
  template <class Key>
  void absorb_sample(PerSource& source, std::span<const Key> keys) const;
  template <class Key>
  void add_bins(std::vector<Bin>& bins, std::span<const Key> keys, std::size_t target) const;

  const Selection* selection_;
  std::vector<BlockPlace> blocks_;
  std::vector<bool> wide_block_;
  std::vector<PerTarget> targets_;
  std::vector<PerSource> sources_;
  // By target, of the source and scale that were last absorbed.
  std::vector<ScaledBracket> scaled_;
  std::size_t scaled_source_ = 0;
  double scale_ = -1;
  bool has_scaled_ = false;
};

/// Finds several order statistics of several sources of keys over the elements of a unit at once.
/// Every source has one key per element; tied tensors are left out.
class Selection {
 public:
  Selection(const MergeUnit& unit, std::size_t sources, std::vector<RankTarget> targets,
            const SelectionLimits& limits = {});

  bool done() const { return open_ == 0; }
  /// The place of a block, that of a tied tensor being the block of its storage tensor.
  BlockPlace place_of(std::size_t tensor, std::uint64_t first) const {
    return {storage_[tensor], first};
  }
  /// Whether the coming pass looks at the block.
  bool wants_block(std::size_t tensor, std::uint64_t first) const;
  SelectionTally make_tally() const { return SelectionTally(*this); }
  /// Takes the result of a pass; null if the unit has no elements.
  void solve(SelectionTally* total);
  /// The answer for target `index`, once done().
  const Cut& cut(std::size_t index) const { return targets_[index].cut; }

 private:
  friend class SelectionTally;
  struct Target {
    RankTarget wanted;
    // The bracket [low, high] as double keys, and the float keys that lie in it.
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::uint32_t low32 = 0;
    std::uint32_t high32 = 0;
    bool keep = true;  // whether keys must be kept: not in a bracket of a single key
    bool settled = false;
    Cut cut;
  };
  void set_bracket(Target& target, std::uint64_t low, std::uint64_t high) const;
  void bracket_from_sample(const SelectionTally::PerSource& source, Target& target) const;
  void settle(const SelectionTally& total, std::size_t index);
  static void settle_ties(const SelectionTally& total, const SelectionTally::PerTarget& tally,
                          std::uint64_t key, std::uint64_t wanted, bool counted, Cut& cut);

  SelectionLimits limits_;
  std::size_t source_count_;
  std::vector<Target> targets_;
  std::uint64_t elements_ = 0;
  std::size_t keep_limit_ = 0;
  bool sampling_ = false;
  double sample_probability_ = 0;
  std::vector<std::array<std::uint32_t, 2>> sample_keys_;  // Philox key of each tensor
  std::vector<std::size_t> storage_;                       // the tensor that holds each one's data
  std::size_t open_ = 0;
};

}  // namespace amalgam::rules
