#include "amalgam/weights/rules/selection.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/weights/rules/selection_keys.hpp"

namespace amalgam::rules {
namespace {

constexpr std::uint64_t kLargestKey = ~std::uint64_t{0} >> 1;
constexpr std::uint32_t kLargestFloatKey = ~std::uint32_t{0} >> 1;

}  // namespace

std::uint64_t Cut::ties_of(const BlockPlace& place) const {
  if (all_ties || place < tie_block) return ~std::uint64_t{0};
  return place == tie_block ? ties_in_block : 0;
}

std::int32_t Cut::float_bound(const BlockPlace& place) const {
  if (key == kNone) return std::numeric_limits<std::int32_t>::max();
  return static_cast<std::int32_t>(float_key_at_least(ties_of(place) > 0 ? key : key + 1) - 1U);
}

std::int64_t Cut::double_bound(const BlockPlace& place) const {
  if (key == kNone) return std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(key) - (ties_of(place) > 0 ? 1 : 0);
}

std::uint64_t widen_key(std::uint32_t key) {
  constexpr std::uint32_t kInfinity = 0x7F800000;
  if (key > kInfinity) {  // NaN, by its bits: a conversion would set the quiet bit
    return (std::uint64_t{0x7FF} << 52) | (std::uint64_t{key & 0x007FFFFF} << 29);
  }
  return std::bit_cast<std::uint64_t>(static_cast<double>(std::bit_cast<float>(key)));
}

std::uint32_t float_key_at_least(std::uint64_t key) {
  std::uint32_t low = 0;
  std::uint32_t high = kLargestFloatKey + 1;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (widen_key(middle) >= key) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

std::vector<std::size_t> storage_tensors(const MergeUnit& unit) {
  std::vector<std::size_t> storage;
  for (std::size_t t = 0; t < unit.tensors.size(); ++t) {
    storage.push_back(t);
    if (!unit.tensors[t].tied) continue;
    for (std::size_t earlier = t; earlier-- > 0;) {
      if (unit.tensors[earlier].tied || unit.tensors[earlier].shape != unit.tensors[t].shape) {
        continue;
      }
      storage[t] = earlier;
      break;
    }
  }
  return storage;
}

SelectionLimits selection_limits(std::uint64_t memory, std::size_t sources) {
  SelectionLimits limits;
  // Lists grow by doubling and wait for their siblings, so a quarter may be filled with keys.
  limits.candidates =
      std::min<std::uint64_t>(limits.candidates, memory / 4 / sizeof(std::uint32_t));
  limits.least_candidates = std::min(limits.least_candidates, limits.candidates);
  const std::uint64_t sampled = kBlockElements / limits.sample_stride * sizeof(std::uint64_t) *
                                std::max<std::size_t>(1, sources);
  limits.sample_blocks = std::clamp<std::uint64_t>(memory / 4 / sampled, 8, limits.sample_blocks);
  return limits;
}

Selection::Selection(const MergeUnit& unit, std::size_t sources, std::vector<RankTarget> targets,
                     const SelectionLimits& limits)
    : limits_(limits), source_count_(sources), storage_(storage_tensors(unit)) {
  std::uint64_t blocks = 0;
  for (std::size_t t = 0; t < unit.tensors.size(); ++t) {
    const TensorView& tensor = unit.tensors[t];
    if (storage_[t] == t) {
      elements_ += tensor.elements;
      blocks += (tensor.elements + kBlockElements - 1) / kBlockElements;
    }
    sample_keys_.push_back(stream_key("sample of " + tensor.name, unit.seed));
  }
  for (const RankTarget& wanted : targets) {
    Target target;
    target.wanted = wanted;
    set_bracket(target, 1, kLargestKey);
    targets_.push_back(std::move(target));
  }
  open_ = targets_.size();
  if (open_ == 0) return;
  keep_limit_ = std::max(limits_.least_candidates, limits_.candidates / open_);
  if (elements_ > std::min(keep_limit_, limits_.unsampled) && limits_.sample_blocks > 0) {
    sampling_ = true;
    const std::uint64_t wanted = std::min<std::uint64_t>(
        limits_.sample_blocks,
        std::max<std::uint64_t>(limits_.least_sample_blocks, blocks / limits_.sample_fraction));
    sample_probability_ = static_cast<double>(wanted) / static_cast<double>(blocks);
  }
}

bool Selection::wants_block(std::size_t tensor, std::uint64_t first) const {
  if (storage_[tensor] != tensor) return false;
  if (!sampling_) return true;
  const auto words = philox4x32(
      sample_keys_[tensor],
      {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(first >> 32), 0, 0});
  return words[0] * 0x1p-32 < sample_probability_;
}

// Key 0 is never inside a bracket: when a rank lies below every positive key, zero is the answer,
// and the many zeros that equal weights give need not be kept.
void Selection::set_bracket(Target& target, std::uint64_t low, std::uint64_t high) const {
  target.low = std::max<std::uint64_t>(low, 1);
  target.high = high;
  target.low32 = float_key_at_least(target.low);
  target.high32 =
      high >= kLargestKey ? kLargestFloatKey : std::max(float_key_at_least(high + 1), 1U) - 1;
  target.keep = target.low != target.high;
}

void Selection::solve(SelectionTally* total) {
  if (total == nullptr) {  // no elements: nothing will ask for the answers
    for (Target& target : targets_) target.settled = true;
    open_ = 0;
    sampling_ = false;
    return;
  }
  if (sampling_) {
    sampling_ = false;
    for (Target& target : targets_)
      bracket_from_sample(total->sources_[target.wanted.source], target);
    return;
  }
  for (std::size_t t = 0; t < targets_.size(); ++t) {
    if (!targets_[t].settled) settle(*total, t);
  }
}

void Selection::bracket_from_sample(const SelectionTally::PerSource& source, Target& target) const {
  constexpr std::size_t kLeastSample = 256;
  const std::span<const std::uint64_t> sample(source.sample);
  if (sample.size() < kLeastSample) return;
  const auto size = static_cast<double>(sample.size());
  double share = static_cast<double>(target.wanted.rank) / static_cast<double>(elements_);
  if (target.wanted.share_of_nonzero) {
    const auto zeros = static_cast<double>(std::ranges::count(sample, std::uint64_t{0}));
    share = *target.wanted.share_of_nonzero * (1.0 - zeros / size);
  }
  const auto at = [&](double rank) {
    return kth_largest(sample, static_cast<std::uint64_t>(std::clamp(rank, 1.0, size))).key;
  };

  // The standard error of the share of keys above the sample's quantile: what independent keys
  // would have, or what the differences between the sampled blocks show if that is more.
  const std::uint64_t guess = at(std::ceil(share * size));
  const auto count_at_least = [&](std::span<const std::uint64_t> keys) {
    return static_cast<double>(
        std::ranges::count_if(keys, [&](std::uint64_t key) { return key >= guess; }));
  };
  const double overall = count_at_least(sample) / size;
  double between = 0;
  std::size_t first = 0;
  for (const std::size_t count : source.sample_of_block) {
    const double excess =
        count_at_least(sample.subspan(first, count)) - overall * static_cast<double>(count);
    between += excess * excess;
    first += count;
  }
  const double error = std::max(std::sqrt(share * (1 - share) / size), std::sqrt(between) / size);
  const double margin = limits_.bracket_errors * error * size + 2;

  const double top = std::floor(share * size - margin);
  const double bottom = std::ceil(share * size + margin);
  set_bracket(target, bottom > size ? 1 : at(bottom), top < 1 ? kLargestKey : at(top));
  if (target.high < target.low) set_bracket(target, target.low, target.low);
}

void Selection::settle(const SelectionTally& total, std::size_t index) {
  Target& target = targets_[index];
  const SelectionTally::PerTarget& tally = total.targets_[index];
  std::uint64_t rank = target.wanted.rank;
  if (target.wanted.share_of_nonzero) {
    const auto nonzero = static_cast<double>(total.sources_[target.wanted.source].nonzero);
    rank = static_cast<std::uint64_t>(std::floor(*target.wanted.share_of_nonzero * nonzero));
  }
  const auto finish = [&](const Cut& cut) {
    target.cut = cut;
    target.settled = true;
    --open_;
  };
  if (rank == 0) return finish({.key = Cut::kNone});
  if (rank <= tally.above) return set_bracket(target, target.high + 1, kLargestKey);
  if (rank > tally.above + tally.inside) {
    if (target.low == 1) return finish({.key = 0});
    return set_bracket(target, 1, target.low - 1);
  }
  rank -= tally.above;  // now within the bracket

  if (!tally.bins.empty()) {
    std::size_t bin = tally.bins.size() - 1;
    while (rank > tally.bins[bin].count) rank -= tally.bins[bin--].count;
    return set_bracket(target, tally.bins[bin].low, tally.bins[bin].high);
  }
  Cut cut;
  std::uint64_t equal = tally.inside;
  if (!target.keep) {
    cut.key = target.low;
  } else {
    const auto take = [&](const auto& found) {
      cut.key = widened(found.key);
      equal = found.equal;
      rank -= found.greater;  // now among the equal keys
    };
    if (tally.wide.empty()) {
      take(kth_largest(std::span<const std::uint32_t>(tally.narrow), rank));
    } else {
      std::vector<std::uint64_t> keys = tally.wide;
      for (const std::uint32_t key : tally.narrow) keys.push_back(widen_key(key));
      take(kth_largest(std::span<const std::uint64_t>(keys), rank));
    }
  }
  if (rank < equal) settle_ties(total, tally, cut.key, rank, !target.keep, cut);
  finish(cut);
}

void Selection::settle_ties(const SelectionTally& total, const SelectionTally::PerTarget& tally,
                            std::uint64_t key, std::uint64_t wanted, bool counted, Cut& cut) {
  cut.all_ties = false;
  auto narrow = tally.narrow.begin();
  auto wide = tally.wide.begin();
  // The float key of that value; if there is none, no key of a float equals it.
  const std::uint32_t nearest = float_key_at_least(key);
  const std::uint32_t narrow_key =
      nearest <= kLargestFloatKey && widen_key(nearest) == key ? nearest : ~std::uint32_t{0};
  for (std::size_t b = 0; b < total.blocks_.size(); ++b) {
    const std::uint32_t inside = tally.inside_of_block[b];
    std::uint64_t ties = inside;
    if (!counted && total.wide_block_[b]) {
      ties = static_cast<std::uint64_t>(std::count(wide, wide + inside, key));
      wide += inside;
    } else if (!counted) {
      ties = static_cast<std::uint64_t>(std::count(narrow, narrow + inside, narrow_key));
      narrow += inside;
    }
    if (ties >= wanted) {
      cut.tie_block = total.blocks_[b];
      cut.ties_in_block = wanted;
      return;
    }
    wanted -= ties;
  }
  throw Error("selection: fewer equal keys than were counted");
}

}  // namespace amalgam::rules
