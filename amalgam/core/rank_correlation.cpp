#include "amalgam/core/rank_correlation.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

void check_scores(std::span<const double> scores) {
  const auto found = std::ranges::find_if(scores, [](double score) { return std::isnan(score); });
  if (found != scores.end()) {
    throw InputError("rank correlation: score {} of {} is not a number", found - scores.begin() + 1,
                     scores.size());
  }
}

void check_scores(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) {
    throw InputError("rank correlation: {} scores, but {} in the other order; expected as many",
                     x.size(), y.size());
  }
  check_scores(x);
  check_scores(y);
}

constexpr std::uint64_t pairs_of(std::uint64_t count) { return count * (count - 1) / 2; }

// A whole number that is ordered as the scores are: comparing these takes a processor less time.
std::int64_t key_of(double score) {
  const auto bits = std::bit_cast<std::int64_t>(score + 0.0);  // -0 is 0
  return bits < 0 ? bits ^ std::numeric_limits<std::int64_t>::max() : bits;
}

struct Pair {
  std::int64_t x = 0;
  std::int64_t y = 0;
};

// Calls take(begin, end) for every longest run of items of [0, count) that are `equal` to the
// first of the run.
void each_run(std::size_t count, const auto& equal, const auto& take) {
  for (std::size_t begin = 0; begin < count;) {
    std::size_t end = begin + 1;
    while (end < count && equal(begin, end)) ++end;
    take(begin, end);
    begin = end;
  }
}

// Sorts pieces of `length` and returns how many swaps of neighbours that takes.
template <class Item, class Less>
std::uint64_t sort_pieces(std::span<Item> items, std::size_t length, const Less& less) {
  std::uint64_t swaps = 0;
  for (std::size_t begin = 0; begin < items.size(); begin += length) {
    const std::size_t end = std::min(begin + length, items.size());
    for (std::size_t i = begin + 1; i < end; ++i) {
      const Item item = items[i];
      std::size_t at = i;
      for (; at > begin && less(item, items[at - 1]); --at) items[at] = items[at - 1];
      items[at] = item;
      swaps += i - at;
    }
  }
  return swaps;
}

// Merges sorted `left` and `right` into `out` and returns the number of pairs in which the left
// one is greater. Without branches that depend on the items, which would be guessed wrongly half
// of the time.
template <class Item, class Less>
std::uint64_t merge(std::span<const Item> left, std::span<const Item> right, Item* out,
                    const Less& less) {
  std::uint64_t inversions = 0;
  const Item* a = left.data();
  const Item* b = right.data();
  const Item* const a_end = a + left.size();
  const Item* const b_end = b + right.size();
  while (a != a_end && b != b_end) {
    const bool from_right = less(*b, *a);
    *out++ = *(from_right ? b : a);
    inversions += from_right ? static_cast<std::uint64_t>(a_end - a) : 0;
    a += from_right ? 0 : 1;
    b += from_right ? 1 : 0;
  }
  out = std::copy(a, a_end, out);
  std::copy(b, b_end, out);
  return inversions;
}

// A stable sort that returns the number of pairs that were in falling order.
template <class Item, class Less>
std::uint64_t sort_counting_inversions(std::vector<Item>& items, const Less& less) {
  constexpr std::size_t kPiece = 8;
  std::uint64_t inversions = sort_pieces(std::span(items), kPiece, less);
  std::vector<Item> other(items.size());
  for (std::size_t length = kPiece; length < items.size(); length *= 2) {
    for (std::size_t begin = 0; begin < items.size(); begin += 2 * length) {
      const std::size_t middle = std::min(begin + length, items.size());
      const std::size_t end = std::min(middle + length, items.size());
      inversions += merge<Item>({items.data() + begin, middle - begin},
                                {items.data() + middle, end - middle}, other.data() + begin, less);
    }
    items.swap(other);
  }
  return inversions;
}

std::vector<std::uint32_t> order_of(std::span<const double> values, const auto& before) {
  std::vector<std::uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, before, [values](std::uint32_t i) { return values[i]; });
  return order;
}

// Takes items of two orders from the best on, depth by depth, and knows how many of them are among
// those of the other order.
class Prefixes {
 public:
  Prefixes(std::span<const double> x, std::span<const double> y)
      : taken_(x.size(), 0),
        x_{x, order_of(x, std::greater<>())},
        y_{y, order_of(y, std::greater<>())} {}

  /// Twice the common items of both orders' best `depth` by the sum of their numbers; `depth` must
  /// not fall from call to call.
  double agreement(std::size_t depth) {
    take(x_, depth, 1);
    take(y_, depth, 2);
    return 2 * static_cast<double>(common_) / static_cast<double>(x_.count + y_.count);
  }

 private:
  struct Order {
    std::span<const double> scores;
    std::vector<std::uint32_t> items;
    std::size_t count = 0;  // of items that are taken
  };

  void take(Order& order, std::size_t depth, unsigned bit) {
    while (order.count < order.items.size() &&
           (order.count < depth ||
            order.scores[order.items[order.count]] == order.scores[order.items[order.count - 1]])) {
      unsigned char& taken = taken_[order.items[order.count++]];
      taken = static_cast<unsigned char>(taken | bit);
      common_ += taken == 3 ? 1 : 0;
    }
  }

  std::vector<unsigned char> taken_;  // bit 0: by the first order, bit 1: by the second
  std::size_t common_ = 0;
  Order x_;
  Order y_;
};

double tau(const KendallCounts& counts, double scale) {
  if (scale == 0) return kUndefined;
  // The difference is exact: neither number is ever negative.
  const double difference = counts.concordant >= counts.discordant
                                ? static_cast<double>(counts.concordant - counts.discordant)
                                : -static_cast<double>(counts.discordant - counts.concordant);
  return difference / scale;
}

}  // namespace

std::vector<double> average_ranks(std::span<const double> values) {
  check_scores(values);
  const std::vector<std::uint32_t> order = order_of(values, std::less<>());
  std::vector<double> ranks(values.size());
  each_run(
      order.size(),
      [&](std::size_t i, std::size_t j) { return values[order[i]] == values[order[j]]; },
      [&](std::size_t begin, std::size_t end) {
        const double rank = 0.5 * static_cast<double>(begin + 1 + end);
        for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = rank;
      });
  return ranks;
}

KendallCounts kendall_counts(std::span<const double> x, std::span<const double> y) {
  check_scores(x, y);
  KendallCounts counts;
  const std::size_t n = x.size();
  if (n < 2) return counts;
  std::vector<Pair> pairs(n);
  for (std::size_t i = 0; i < n; ++i) pairs[i] = {key_of(x[i]), key_of(y[i])};
  sort_counting_inversions(pairs, [](const Pair& a, const Pair& b) { return a.x < b.x; });
  std::uint64_t tied_x = 0;
  const auto equal_x = [&](std::size_t i, std::size_t j) { return pairs[i].x == pairs[j].x; };
  each_run(n, equal_x, [&](std::size_t begin, std::size_t end) {
    if (end - begin == 1) return;
    tied_x += pairs_of(end - begin);
    // So that none that are tied in x count as discordant.
    std::sort(pairs.begin() + static_cast<std::ptrdiff_t>(begin),
              pairs.begin() + static_cast<std::ptrdiff_t>(end),
              [](const Pair& a, const Pair& b) { return a.y < b.y; });
    const auto equal_y = [&](std::size_t i, std::size_t j) {
      return pairs[begin + i].y == pairs[begin + j].y;
    };
    each_run(end - begin, equal_y, [&](std::size_t first, std::size_t last) {
      counts.tied_in_both += pairs_of(last - first);
    });
  });
  std::vector<std::int64_t> in_order_of_x(n);
  for (std::size_t i = 0; i < n; ++i) in_order_of_x[i] = pairs[i].y;
  counts.discordant = sort_counting_inversions(in_order_of_x, std::less<>());
  std::uint64_t tied_y = 0;
  each_run(
      n, [&](std::size_t i, std::size_t j) { return in_order_of_x[i] == in_order_of_x[j]; },
      [&](std::size_t begin, std::size_t end) { tied_y += pairs_of(end - begin); });
  counts.tied_in_first = tied_x - counts.tied_in_both;
  counts.tied_in_second = tied_y - counts.tied_in_both;
  counts.concordant = pairs_of(n) - tied_x - counts.tied_in_second - counts.discordant;
  return counts;
}

double kendall_tau_a(std::span<const double> x, std::span<const double> y) {
  const KendallCounts counts = kendall_counts(x, y);
  return tau(counts, static_cast<double>(counts.pairs()));
}

double kendall_tau_b(std::span<const double> x, std::span<const double> y) {
  const KendallCounts counts = kendall_counts(x, y);
  const std::uint64_t ordered = counts.concordant + counts.discordant;
  const auto by_x = static_cast<double>(ordered + counts.tied_in_second);
  const auto by_y = static_cast<double>(ordered + counts.tied_in_first);
  // For equal numbers their root of the product is the number itself, so that 1 is 1.
  return tau(counts, by_x == by_y ? by_x : std::sqrt(by_x) * std::sqrt(by_y));
}

double kendall_distance(std::span<const double> x, std::span<const double> y) {
  const KendallCounts counts = kendall_counts(x, y);
  return static_cast<double>(counts.discordant) +
         0.5 * static_cast<double>(counts.tied_in_first + counts.tied_in_second);
}

double spearman(std::span<const double> x, std::span<const double> y) {
  check_scores(x, y);
  const std::vector<double> of_x = average_ranks(x);
  const std::vector<double> of_y = average_ranks(y);
  const double mean = 0.5 * static_cast<double>(x.size() + 1);
  double xx = 0;
  double yy = 0;
  double xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (of_x[i] - mean) * (of_x[i] - mean);
    yy += (of_y[i] - mean) * (of_y[i] - mean);
    xy += (of_x[i] - mean) * (of_y[i] - mean);
  }
  if (xx == 0 || yy == 0) return kUndefined;
  return xy / (xx == yy ? xx : std::sqrt(xx) * std::sqrt(yy));
}

double top_overlap(std::span<const double> x, std::span<const double> y, std::size_t k) {
  check_scores(x, y);
  if (k < 1 || k > x.size()) {
    throw InputError("top-k overlap: k is {}; expected 1 to the number of items, {}", k, x.size());
  }
  return Prefixes(x, y).agreement(k);
}

double rank_biased_overlap(std::span<const double> x, std::span<const double> y, double p) {
  check_scores(x, y);
  if (x.empty()) throw InputError("rank-biased overlap: no items; expected at least one");
  if (std::isnan(p) || p <= 0 || p >= 1) {
    throw InputError("rank-biased overlap: p is {}; expected a number between 0 and 1", p);
  }
  Prefixes prefixes(x, y);
  double sum = 0;
  double weight = 1 - p;  // of this depth
  double beyond = 1;      // weight of all depths from here on
  double agreement = 0;
  for (std::size_t depth = 1; depth <= x.size(); ++depth) {
    agreement = prefixes.agreement(depth);
    sum += weight * agreement;
    weight *= p;
    beyond *= p;
  }
  return std::min(1.0, sum + beyond * agreement);
}

}  // namespace amalgam
