#include "amalgam/weights/rules/magprune.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "amalgam/weights/rules/magprune_kernels.hpp"
#include "amalgam/weights/rules/random_mask.hpp"

namespace amalgam::rules {
namespace {

constexpr std::uint32_t kKept = 0;
constexpr std::uint32_t kDropped = ~std::uint32_t{0};

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

  /// Words up to this one keep every element of the row.
  std::uint32_t surely() const { return surely_; }
  /// Words above this one keep none.
  std::uint32_t perhaps() const { return perhaps_; }
  /// Never kKept or kDropped, so that what has been decided stays as it is.
  bool undecided(std::uint32_t word) const { return word > surely_ && word <= perhaps_; }
  /// kKept or kDropped for the element of 0-based ascending rank.
  std::uint32_t decide(std::uint32_t word, std::size_t rank) const {
    const bool keeps = word * 0x1p-32 < low_ + width_ * static_cast<double>(rank) / steps_;
    return keeps ? kKept : kDropped;
  }
  /// The rank from which on decide() keeps, right to much less than 1.
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

// Most elements are decided without a rank, and most others by the ranks that their bucket of
// magnitudes spans; those few that are left take their rank among the elements of their bucket.
// Passes over whole rows have no branches that depend on values: they would be mispredicted time
// and again.
template <class Key>
class RowPruner {
 public:
  RowPruner(std::span<const Key> keys, const RowChances& chances, std::span<std::uint32_t> words,
            RankScratch& scratch)
      : keys_(keys), chances_(chances), words_(words), scratch_(scratch) {}

  void prune() {
    scratch_.open.resize(std::max(scratch_.open.size(), keys_.size() + kOpenSlack));
    std::size_t open =
        decide_words(words_, chances_.surely(), chances_.perhaps(), scratch_.open.data());
    if (open == 0) return;
    fill_buckets();
    open = decide_by_buckets(open);
    if (open == 0) return;
    sort_by_bucket();
    for (std::size_t k = 0; k < open; ++k) settle(scratch_.open[k]);
  }

 private:
  // bucket_of, and starts[b]: how many keys lie in lower buckets. Buckets of equal width hold about
  // equally many of the usual task vectors.
  void fill_buckets() {
    constexpr std::size_t kMostBuckets = std::size_t{1} << 16;
    count_ = std::clamp(std::bit_ceil(keys_.size()) / 2, std::size_t{64}, kMostBuckets);
    scratch_.bucket_of.resize(std::max(scratch_.bucket_of.size(), keys_.size()));
    bucket_keys(keys_, static_cast<double>(count_) / usual_bound(keys_),
                static_cast<std::uint32_t>(count_ - 1), scratch_.bucket_of.data());
    scratch_.starts.assign(count_ + 1, 0);
    for (std::size_t i = 0; i < keys_.size(); ++i) ++scratch_.starts[scratch_.bucket_of[i] + 1];
    std::partial_sum(scratch_.starts.begin(), scratch_.starts.end(), scratch_.starts.begin());
  }

  // Leaves at the beginning of `open` the elements that take a rank, and returns how many.
  std::size_t decide_by_buckets(std::size_t open) {
    std::size_t left = 0;
    for (std::size_t k = 0; k < open; ++k) {
      const std::uint32_t i = scratch_.open[k];
      const std::size_t bucket = scratch_.bucket_of[i];
      const double turn = chances_.turning_rank(words_[i]);
      const bool kept = static_cast<double>(scratch_.starts[bucket]) > turn + 1;
      const bool dropped = static_cast<double>(scratch_.starts[bucket + 1]) < turn;
      words_[i] = kept ? kKept : dropped ? kDropped : words_[i];
      scratch_.open[left] = i;
      left += kept || dropped ? 0 : 1;
    }
    return left;
  }

  // `order`: the elements of each bucket after those of lower ones, by index.
  void sort_by_bucket() {
    scratch_.next.assign(scratch_.starts.begin(), scratch_.starts.end());
    scratch_.order.resize(std::max(scratch_.order.size(), keys_.size()));
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      scratch_.order[scratch_.next[scratch_.bucket_of[i]]++] = static_cast<std::uint32_t>(i);
    }
    scratch_.bucket_seen.assign(count_, 0);
  }

  // In a small bucket, or one with few such elements, by comparing with all of the bucket.
  void settle(std::uint32_t i) {
    constexpr std::size_t kSmall = 64;
    const std::size_t bucket = scratch_.bucket_of[i];
    const std::uint32_t first = scratch_.starts[bucket];
    const std::span<std::uint32_t> elements(scratch_.order.data() + first,
                                            scratch_.starts[bucket + 1] - first);
    if (elements.size() > kSmall && scratch_.bucket_seen[bucket] == 0) {
      scratch_.bucket_seen[bucket] = 1;
      settle_all(elements, first);
    }
    if (!chances_.undecided(words_[i])) return;
    words_[i] = chances_.decide(words_[i], first + elements_before(elements, keys_.data(), i));
  }

  // All elements of a bucket at once, if its keys are equal or many take a rank.
  void settle_all(std::span<std::uint32_t> elements, std::size_t first) {
    constexpr std::ptrdiff_t kMany = 32;
    const auto ascending = [this](std::uint32_t a, std::uint32_t b) {
      return keys_[a] != keys_[b] ? keys_[a] < keys_[b] : a < b;
    };
    const Key one = keys_[elements.front()];
    if (!std::ranges::all_of(elements, [&](std::uint32_t i) { return keys_[i] == one; })) {
      const auto open = std::ranges::count_if(
          elements, [this](std::uint32_t i) { return chances_.undecided(words_[i]); });
      if (open < kMany) return;
      std::ranges::sort(elements, ascending);
    }
    for (std::size_t k = 0; k < elements.size(); ++k) {
      std::uint32_t& word = words_[elements[k]];
      if (chances_.undecided(word)) word = chances_.decide(word, first + k);
    }
  }

  std::span<const Key> keys_;
  const RowChances& chances_;
  std::span<std::uint32_t> words_;
  RankScratch& scratch_;
  std::size_t count_ = 0;  // buckets
};

template <class Key>
void magprune_rows(std::span<const Key> keys, std::size_t row, double density, double epsilon,
                   std::span<std::uint32_t> words, RankScratch& scratch) {
  const RowChances chances(density, epsilon, row);
  for (std::size_t first = 0; first < keys.size(); first += row) {
    RowPruner<Key>(keys.subspan(first, row), chances, words.subspan(first, row), scratch).prune();
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
