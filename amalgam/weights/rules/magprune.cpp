#include "amalgam/weights/rules/magprune.hpp"

#include <algorithm>
#include <array>
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

template <class Key>
void magprune_rows(std::span<const Key> keys, std::size_t row, double density, double epsilon,
                   std::span<std::uint32_t> words, RankScratch& scratch) {
  const std::uint32_t surely = last_kept_word(row == 1 ? density : density - epsilon);
  const std::uint32_t perhaps = last_kept_word(row == 1 ? density : density + epsilon);
  for (std::size_t first = 0; first < keys.size(); first += row) {
    const std::span<const Key> row_keys = keys.subspan(first, row);
    const std::span<std::uint32_t> row_words = words.subspan(first, row);
    const auto undecided = [&](std::uint32_t word) { return word > surely && word <= perhaps; };
    if (row > 1 && std::ranges::any_of(row_words, undecided)) {
      const auto [low, high] = std::ranges::minmax(row_keys);
      rank_between(row_keys, Key{low}, Key{high}, 0, scratch, [&](std::size_t i, std::size_t rank) {
        if (!undecided(row_words[i])) return;
        const double keep = (density - epsilon) +
                            2 * epsilon * static_cast<double>(rank) / static_cast<double>(row - 1);
        row_words[i] = row_words[i] * 0x1p-32 < keep ? kKept : kDropped;
      });
    }
    // What has just been decided is 0 or 2^32 - 1, which these comparisons leave as it is.
    for (std::uint32_t& word : row_words) word = word <= surely ? kKept : kDropped;
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
