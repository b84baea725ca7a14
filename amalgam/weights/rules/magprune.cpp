#include "amalgam/weights/rules/magprune.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <utility>

#include "amalgam/weights/rules/random_mask.hpp"

namespace amalgam::rules {
namespace {

constexpr std::uint32_t kKept = 0;
constexpr std::uint32_t kDropped = ~std::uint32_t{0};

// Sorts entries and their indices by ascending entry, equal ones staying in order, one digit at a
// time from the lowest. Digits in which all entries agree are passed over.
void radix_sort(RankScratch& scratch, std::uint64_t largest) {
  constexpr int kDigitBits = 11;
  constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;
  const std::size_t count = scratch.entries.size();
  scratch.other_entries.resize(count);
  scratch.other_indices.resize(count);
  for (int shift = 0; shift < 64 && (largest >> shift) != 0; shift += kDigitBits) {
    std::array<std::size_t, kDigits> starts{};
    for (const std::uint64_t entry : scratch.entries) ++starts[(entry >> shift) % kDigits];
    if (std::ranges::find(starts, count) != starts.end()) continue;
    std::size_t start = 0;
    for (std::size_t& digit : starts) start += std::exchange(digit, start);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t to = starts[(scratch.entries[i] >> shift) % kDigits]++;
      scratch.other_entries[to] = scratch.entries[i];
      scratch.other_indices[to] = scratch.indices[i];
    }
    scratch.entries.swap(scratch.other_entries);
    scratch.indices.swap(scratch.other_indices);
  }
}

// Calls visit(index, rank) for the elements with low <= key <= high, `before` of the row's being
// smaller; ranks count from 0.
template <class Key, class Visit>
void rank_between(std::span<const Key> keys, Key low, Key high, std::size_t before,
                  RankScratch& scratch, const Visit& visit) {
  const auto inside = [&](Key key) { return low <= key && key <= high; };
  const auto count = static_cast<std::size_t>(std::ranges::count_if(keys, inside));
  if (count == 0) return;
  if (low == high) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (keys[i] == low) visit(i, before++);
    }
    return;
  }
  if (count <= scratch.limit) {
    scratch.entries.clear();
    scratch.indices.clear();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!inside(keys[i])) continue;
      scratch.entries.push_back(keys[i] - low);
      scratch.indices.push_back(static_cast<std::uint32_t>(i));
    }
    radix_sort(scratch, high - low);
    for (const std::uint32_t index : scratch.indices) visit(index, before++);
    return;
  }
  // Too many to sort at once: part the range by leading bits, and take neighbouring parts together
  // as long as they fit.
  constexpr std::size_t kParts = 1024;
  int shift = 0;
  while (((high - low) >> shift) >= kParts) ++shift;
  std::array<std::size_t, kParts> counts{};
  for (const Key key : keys) {
    if (inside(key)) ++counts[static_cast<std::size_t>((key - low) >> shift)];
  }
  const std::size_t parts = static_cast<std::size_t>((high - low) >> shift) + 1;
  for (std::size_t part = 0; part < parts;) {
    const std::size_t first = part;
    std::size_t together = counts[part++];
    while (part < parts && together + counts[part] <= scratch.limit) together += counts[part++];
    const Key from = low + (static_cast<Key>(first) << shift);
    const Key to =
        part == parts ? high : static_cast<Key>(low + (static_cast<Key>(part) << shift) - 1);
    if (together > 0) rank_between(keys, from, to, before, scratch, visit);
    before += together;
  }
}

// The keep probabilities of one row, and the random words that need them.
class RowChances {
 public:
  RowChances(double density, double epsilon, std::size_t row)
      : low_(density - epsilon),
        width_(2 * epsilon),
        steps_(static_cast<double>(row - 1)),
        ranks_per_chance_(steps_ / width_),
        surely_(last_kept_word(row == 1 ? density : density - epsilon)),
        perhaps_(last_kept_word(row == 1 ? density : density + epsilon)) {}

  bool undecided(std::uint32_t word) const { return word > surely_ && word <= perhaps_; }
  /// Where undecided() does not hold.
  std::uint32_t decide(std::uint32_t word) const { return word <= surely_ ? kKept : kDropped; }
  /// Whether the element of 0-based ascending rank is kept; grows with the rank.
  bool keeps(std::uint32_t word, std::size_t rank) const {
    return word * 0x1p-32 < low_ + width_ * static_cast<double>(rank) / steps_;
  }
  /// The rank around which keeps() changes, right to much less than 1.
  double turning_rank(std::uint32_t word) const {
    return (word * 0x1p-32 - low_) * ranks_per_chance_;
  }

 private:
  double low_;
  double width_;
  double steps_;
  double ranks_per_chance_;
  std::uint32_t surely_;
  std::uint32_t perhaps_;
};

double value_of(std::uint32_t key) { return static_cast<double>(std::bit_cast<float>(key)); }
double value_of(std::uint64_t key) { return std::bit_cast<double>(key); }

// Parts magnitudes into buckets of equal width, which hold about equally many of the usual task
// vectors. Whatever the values, a larger key has no lower bucket.
class Buckets {
 public:
  Buckets(std::size_t count, double largest)
      : last_(count - 1), scale_(static_cast<double>(count) / largest) {}
  template <class Key>
  std::size_t of(Key key) const {
    const double place = value_of(key) * scale_;
    return place < static_cast<double>(last_) ? static_cast<std::size_t>(place) : last_;
  }

 private:
  std::size_t last_;
  double scale_;
};

// The ranks that an element's bucket spans decide nearly every element; only buckets with one that
// they do not decide are ranked within. Passes over whole rows have no branches that depend on
// values: they would be mispredicted time and again.
template <class Key>
class RowPruner {
 public:
  RowPruner(std::span<const Key> keys, const RowChances& chances, std::span<std::uint32_t> words,
            RankScratch& scratch)
      : keys_(keys), chances_(chances), words_(words), scratch_(scratch) {}

  void prune() {
    fill_buckets();
    decide_by_buckets();
    if (scratch_.open.empty()) return;
    // Where few take a rank, their buckets are sorted whatever is in them.
    if (16 * scratch_.open.size() < keys_.size()) {
      scratch_.differ.assign(count_, 1);
    } else {
      rank_equal_keys();
    }
    const std::size_t mixed = settle_buckets_of_one_key();
    if (mixed == 0) return;
    if (mixed > scratch_.limit) {
      rank_between(keys_, Key{0}, largest_, 0, scratch_,
                   [&](std::size_t i, std::size_t rank) { settle(i, rank); });
    } else {
      settle_mixed_buckets(mixed);
    }
  }

 private:
  // bucket_of, and starts[b]: how many keys lie in lower buckets; and one key of each.
  void fill_buckets() {
    constexpr std::size_t kMostBuckets = std::size_t{1} << 16;
    count_ = std::clamp(std::bit_ceil(keys_.size()) / 2, std::size_t{64}, kMostBuckets);
    for (const Key key : keys_) largest_ = std::max(largest_, key);
    const Buckets buckets(count_, value_of(largest_));
    scratch_.starts.assign(count_ + 1, 0);
    scratch_.one_key.resize(count_);
    scratch_.bucket_of.resize(keys_.size());
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      const std::size_t bucket = buckets.of(keys_[i]);
      scratch_.bucket_of[i] = static_cast<std::uint16_t>(bucket);
      scratch_.one_key[bucket] = keys_[i];
      ++scratch_.starts[bucket + 1];
    }
    std::partial_sum(scratch_.starts.begin(), scratch_.starts.end(), scratch_.starts.begin());
  }

  // Leaves in `open` the elements that take a rank.
  void decide_by_buckets() {
    std::vector<std::uint32_t>& open = scratch_.open;
    open.resize(keys_.size() + 1);
    std::size_t needing = 0;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      open[needing] = static_cast<std::uint32_t>(i);
      needing += chances_.undecided(words_[i]) ? 1 : 0;
    }
    std::size_t left = 0;
    for (std::size_t k = 0; k < needing; ++k) {
      const std::uint32_t i = open[k];
      const std::size_t bucket = scratch_.bucket_of[i];
      const double turn = chances_.turning_rank(words_[i]);
      const bool kept = static_cast<double>(scratch_.starts[bucket]) > turn + 1;
      const bool dropped = static_cast<double>(scratch_.starts[bucket + 1]) < turn;
      words_[i] = kept ? kKept : dropped ? kDropped : words_[i];
      open[left] = i;
      left += kept || dropped ? 0 : 1;
    }
    open.resize(left);
  }

  // Equal keys rank by index, so that buckets of one key need no sorting.
  void rank_equal_keys() {
    scratch_.next.assign(scratch_.starts.begin(), scratch_.starts.end());
    scratch_.differ.assign(count_, 0);
    scratch_.ranks.resize(keys_.size());
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      const std::size_t bucket = scratch_.bucket_of[i];
      scratch_.differ[bucket] |= scratch_.one_key[bucket] ^ keys_[i];
      scratch_.ranks[i] = scratch_.next[bucket]++;
    }
  }

  // Marks the other buckets, and returns how many elements they have.
  std::size_t settle_buckets_of_one_key() {
    scratch_.bucket_state.assign(count_, 0);
    std::size_t mixed = 0;
    for (const std::uint32_t i : scratch_.open) {
      const std::size_t bucket = scratch_.bucket_of[i];
      if (scratch_.differ[bucket] == 0) {
        words_[i] = chances_.keeps(words_[i], scratch_.ranks[i]) ? kKept : kDropped;
      } else if (scratch_.bucket_state[bucket] == 0) {
        scratch_.bucket_state[bucket] = 1;
        mixed += scratch_.starts[bucket + 1] - scratch_.starts[bucket];
      }
    }
    return mixed;
  }

  void settle_mixed_buckets(std::size_t mixed) {
    scratch_.entries.resize(mixed + 1);
    scratch_.indices.resize(mixed + 1);
    std::size_t found = 0;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      scratch_.entries[found] = keys_[i];
      scratch_.indices[found] = static_cast<std::uint32_t>(i);
      found += static_cast<std::size_t>(scratch_.bucket_state[scratch_.bucket_of[i]]);
    }
    scratch_.entries.resize(mixed);
    scratch_.indices.resize(mixed);
    radix_sort(scratch_, largest_);
    // Mixed buckets come whole and in order, so ranks start again with each.
    for (const std::uint32_t index : scratch_.indices) {
      settle(index, scratch_.starts[scratch_.bucket_of[index]]++);
    }
  }

  void settle(std::size_t i, std::size_t rank) {
    if (!chances_.undecided(words_[i])) return;
    words_[i] = chances_.keeps(words_[i], rank) ? kKept : kDropped;
  }

  std::span<const Key> keys_;
  const RowChances& chances_;
  std::span<std::uint32_t> words_;
  RankScratch& scratch_;
  Key largest_ = 0;
  std::size_t count_ = 0;  // buckets
};

template <class Key>
void magprune_rows(std::span<const Key> keys, std::size_t row, double density, double epsilon,
                   std::span<std::uint32_t> words, RankScratch& scratch) {
  const RowChances chances(density, epsilon, row);
  for (std::size_t first = 0; first < keys.size(); first += row) {
    const std::span<std::uint32_t> row_words = words.subspan(first, row);
    if (row > 1) RowPruner<Key>(keys.subspan(first, row), chances, row_words, scratch).prune();
    // What has just been decided is 0 or 2^32 - 1, which this leaves as it is.
    for (std::uint32_t& word : row_words) word = chances.decide(word);
  }
}

}  // namespace

void magprune(std::span<const std::uint32_t> keys, std::size_t row, double density, double epsilon,
              std::span<std::uint32_t> words, RankScratch& scratch) {
  magprune_rows(keys, row, density, epsilon, words, scratch);
}
void magprune(std::span<const std::uint64_t> keys, std::size_t row, double density, double epsilon,
              std::span<std::uint32_t> words, RankScratch& scratch) {
  magprune_rows(keys, row, density, epsilon, words, scratch);
}

}  // namespace amalgam::rules
