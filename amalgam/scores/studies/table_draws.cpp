#include <algorithm>
#include <numeric>
#include <set>

#include "amalgam/core/random.hpp"
#include "amalgam/scores/studies/table_measures.hpp"

namespace amalgam::scores {
namespace {

using Numbers = std::vector<std::size_t>;

Numbers first_numbers(std::size_t n) {
  Numbers numbers(n);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// n! - 1, or `most` if it is less.
std::size_t other_permutations(std::size_t n, std::size_t most) {
  std::size_t factorial = 1;
  for (std::size_t i = 2; i <= n; ++i) {
    if (factorial > most) return most;
    factorial *= i;
  }
  return std::min(most, factorial - 1);
}

// n choose k, or `most` if it is less.
std::size_t subset_count(std::size_t n, std::size_t k, std::size_t most) {
  std::size_t count = 1;
  for (std::size_t i = 1; i <= std::min(k, n - k); ++i) {
    count = count * (n - i + 1) / i;
    if (count > most) return most;
  }
  return std::min(count, most);
}

// The next subset of the same size in lexicographic order; false after the last.
bool next_subset(Numbers& subset, std::size_t n) {
  for (std::size_t i = subset.size(); i-- > 0;) {
    if (subset[i] + (subset.size() - i) >= n) continue;
    ++subset[i];
    for (std::size_t j = i + 1; j < subset.size(); ++j) subset[j] = subset[j - 1] + 1;
    return true;
  }
  return false;
}

}  // namespace

std::vector<Numbers> distinct_permutations(std::size_t n, std::size_t count, std::uint64_t seed) {
  std::vector<Numbers> found{first_numbers(n)};
  // One more than asked for, to tell whether there are more.
  if (other_permutations(n, count + 1) <= count) {
    Numbers order = first_numbers(n);
    while (std::next_permutation(order.begin(), order.end())) found.push_back(order);
    return found;
  }
  RandomStream random(seed, "permutations");
  std::set<Numbers> seen{found.front()};
  while (found.size() <= count) {
    Numbers order = first_numbers(n);
    for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    if (seen.insert(order).second) found.push_back(std::move(order));
  }
  return found;
}

std::vector<Numbers> distinct_subsets(std::size_t n, std::size_t size, std::size_t count,
                                      std::uint64_t seed) {
  std::vector<Numbers> found;
  if (subset_count(n, size, count + 1) <= count) {
    Numbers subset = first_numbers(size);
    do {
      found.push_back(subset);
    } while (next_subset(subset, n));
    return found;
  }
  RandomStream random(seed, "subsets");
  std::set<Numbers> seen;
  while (found.size() < count) {
    Numbers order = first_numbers(n);
    for (std::size_t i = 0; i < size; ++i) std::swap(order[i], order[i + random.below(n - i)]);
    order.resize(size);
    std::ranges::sort(order);
    if (seen.insert(order).second) found.push_back(std::move(order));
  }
  return found;
}

}  // namespace amalgam::scores
