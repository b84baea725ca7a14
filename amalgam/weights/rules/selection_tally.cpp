#include <algorithm>
#include <utility>

#include "amalgam/core/random.hpp"
#include "amalgam/weights/rules/selection.hpp"
#include "amalgam/weights/rules/selection_kernels.hpp"
#include "amalgam/weights/rules/selection_keys.hpp"

namespace amalgam::rules {
namespace {

template <class Key>
void append(std::vector<Key>& left, const std::vector<Key>& right) {
  left.insert(left.end(), right.begin(), right.end());
}

template <class T>
void release(std::vector<T>& values) {
  std::vector<T>().swap(values);
}

}  // namespace

SelectionTally::SelectionTally(const Selection& selection)
    : selection_(&selection),
      targets_(selection.targets_.size()),
      sources_(selection.source_count_) {}

bool SelectionTally::begin_block(std::size_t tensor, std::uint64_t first) {
  if (selection_->storage_[tensor] != tensor) return false;
  if (selection_->sampling_) {
    const std::size_t stride = selection_->limits_.sample_stride;
    const auto offset = philox4x32(
        selection_->sample_keys_[tensor],
        {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(first >> 32), 1, 0});
    for (PerSource& source : sources_) {
      source.skip = offset[0] % stride;
      source.sample_of_block.push_back(0);
    }
    return true;
  }
  blocks_.push_back({tensor, first});
  wide_block_.push_back(false);
  for (PerTarget& target : targets_) target.inside_of_block.push_back(0);
  return true;
}

void SelectionTally::absorb(std::size_t source, std::span<const std::uint32_t> keys) {
  absorb_keys(source, keys);
}
void SelectionTally::absorb(std::size_t source, std::span<const std::uint64_t> keys) {
  absorb_keys(source, keys);
}

template <class Key>
void SelectionTally::absorb_sample(PerSource& source, std::span<const Key> keys) const {
  const std::size_t stride = selection_->limits_.sample_stride;
  std::size_t i = source.skip;
  for (; i < keys.size(); i += stride) {
    source.sample.push_back(widened(keys[i]));
    ++source.sample_of_block.back();
  }
  source.skip = i - keys.size();
}

template <class Key>
void SelectionTally::add_bins(std::vector<Bin>& bins, std::span<const Key> keys,
                              std::size_t target) const {
  const Selection::Target& bracket = selection_->targets_[target];
  const int shift = bin_shift(bracket.low, bracket.high, bins.size());
  for (const Key narrow : keys) {
    const std::uint64_t key = widened(narrow);
    Bin& bin = bins[static_cast<std::size_t>((key - bracket.low) >> shift)];
    ++bin.count;
    bin.low = std::min(bin.low, key);
    bin.high = std::max(bin.high, key);
  }
}

template <class Key>
void SelectionTally::absorb_keys(std::size_t source_index, std::span<const Key> keys) {
  constexpr bool kWide = sizeof(Key) == 8;
  PerSource& source = sources_[source_index];
  if (selection_->sampling_) {
    absorb_sample(source, keys);
    return;
  }
  wide_block_.back() = kWide;
  bool counted = false;
  std::array<Key, kKeyTile + kKeySlack> inside;
  for (std::size_t t = 0; t < targets_.size(); ++t) {
    const Selection::Target& bracket = selection_->targets_[t];
    if (bracket.settled || bracket.wanted.source != source_index) continue;
    PerTarget& target = targets_[t];
    KeyTally tally;
    if constexpr (kWide) {
      tally = tally_keys(keys, bracket.low, bracket.high, bracket.keep ? inside.data() : nullptr);
    } else {
      tally =
          tally_keys(keys, bracket.low32, bracket.high32, bracket.keep ? inside.data() : nullptr);
    }
    target.above += tally.above;
    target.inside += tally.inside;
    target.inside_of_block.back() += static_cast<std::uint32_t>(tally.inside);
    if (bracket.keep) keep(t, std::span<const Key>(inside.data(), tally.inside));
    if (bracket.wanted.share_of_nonzero && !counted) {
      source.nonzero += tally_keys(keys, Key{1}, static_cast<Key>(~Key{0} >> 1), nullptr).inside;
      counted = true;
    }
  }
}

// Candidates of a target.
template <class Key>
void SelectionTally::keep(std::size_t target_index, std::span<const Key> keys) {
  if (keys.empty()) return;
  PerTarget& target = targets_[target_index];
  if (!target.bins.empty()) {
    add_bins(target.bins, keys, target_index);
  } else if constexpr (sizeof(Key) == 8) {
    target.wide.insert(target.wide.end(), keys.begin(), keys.end());
  } else {
    target.narrow.insert(target.narrow.end(), keys.begin(), keys.end());
  }
  if (target.narrow.size() + 2 * target.wide.size() > selection_->keep_limit_)
    collapse(target_index);
}

bool SelectionTally::find_scaled_brackets(std::size_t source, double scale) {
  if (scale == scale_ && source == scaled_source_) return has_scaled_;
  scale_ = scale;
  scaled_source_ = source;
  scaled_.resize(targets_.size());
  has_scaled_ = true;
  for (std::size_t t = 0; t < targets_.size(); ++t) {
    const Selection::Target& target = selection_->targets_[t];
    if (target.settled || target.wanted.source != source) continue;
    const auto found = scaled_bracket(target.low, target.high, scale);
    // Zeros are counted by their products.
    has_scaled_ = has_scaled_ && found.has_value() && !target.wanted.share_of_nonzero;
    if (found) scaled_[t] = *found;
  }
  return has_scaled_;
}

void SelectionTally::absorb_scaled(std::size_t source, std::span<const std::uint32_t> keys,
                                   double scale) {
  std::array<std::uint64_t, kKeyTile> products;
  if (selection_->sampling_ || !find_scaled_brackets(source, scale)) {
    scale_keys(keys, scale, products.data());
    return absorb_keys(source, std::span<const std::uint64_t>(products).first(keys.size()));
  }
  wide_block_.back() = true;
  std::array<std::uint32_t, kKeyTile + kKeySlack> inside;
  for (std::size_t t = 0; t < targets_.size(); ++t) {
    const Selection::Target& bracket = selection_->targets_[t];
    if (bracket.settled || bracket.wanted.source != source) continue;
    PerTarget& target = targets_[t];
    const KeyTally tally =
        tally_keys(keys, scaled_[t].low, scaled_[t].high, bracket.keep ? inside.data() : nullptr);
    target.above += tally.above;
    target.inside += tally.inside;
    target.inside_of_block.back() += static_cast<std::uint32_t>(tally.inside);
    if (!bracket.keep) continue;
    const std::span<const std::uint32_t> kept(inside.data(), tally.inside);
    scale_keys(kept, scale, products.data());
    keep(t, std::span<const std::uint64_t>(products).first(kept.size()));
  }
}

// The candidates of a target are too many: from here on they are only counted by parts.
void SelectionTally::collapse(std::size_t target_index) {
  PerTarget& target = targets_[target_index];
  if (target.bins.empty()) target.bins.resize(selection_->limits_.bins);
  add_bins(target.bins, std::span<const std::uint32_t>(target.narrow), target_index);
  add_bins(target.bins, std::span<const std::uint64_t>(target.wide), target_index);
  release(target.narrow);
  release(target.wide);
}

void SelectionTally::combine(SelectionTally&& right) {
  append(blocks_, right.blocks_);
  wide_block_.insert(wide_block_.end(), right.wide_block_.begin(), right.wide_block_.end());
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    sources_[s].nonzero += right.sources_[s].nonzero;
    append(sources_[s].sample, right.sources_[s].sample);
    append(sources_[s].sample_of_block, right.sources_[s].sample_of_block);
  }
  for (std::size_t t = 0; t < targets_.size(); ++t) {
    PerTarget& target = targets_[t];
    PerTarget& other = right.targets_[t];
    target.above += other.above;
    target.inside += other.inside;
    append(target.inside_of_block, other.inside_of_block);
    const std::size_t kept =
        target.narrow.size() + other.narrow.size() + 2 * (target.wide.size() + other.wide.size());
    if (target.bins.empty() && other.bins.empty() && kept <= selection_->keep_limit_) {
      append(target.narrow, other.narrow);
      append(target.wide, other.wide);
      continue;
    }
    collapse(t);
    right.collapse(t);
    for (std::size_t b = 0; b < target.bins.size(); ++b) {
      target.bins[b].count += other.bins[b].count;
      target.bins[b].low = std::min(target.bins[b].low, other.bins[b].low);
      target.bins[b].high = std::max(target.bins[b].high, other.bins[b].high);
    }
  }
}

void SelectionTally::archive(StateArchive& archive) {
  archive(blocks_);
  archive(wide_block_);
  for (PerTarget& target : targets_) {
    archive(target.above);
    archive(target.inside);
    archive(target.narrow);
    archive(target.wide);
    archive(target.inside_of_block);
    archive(target.bins);
  }
  for (PerSource& source : sources_) {
    archive(source.sample);
    archive(source.sample_of_block);
    archive(source.nonzero);
  }
}

}  // namespace amalgam::rules
