#include "amalgam/data/shuffle.hpp"

#include <numeric>
#include <utility>

#include "amalgam/core/random.hpp"

namespace amalgam {

std::vector<std::size_t> shuffled_indices(std::size_t count, std::uint64_t seed,
                                          std::string_view what) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  RandomStream random(seed, what);
  for (std::size_t left = count; left > 1; --left) {
    std::swap(order[left - 1], order[random.below(left)]);
  }
  return order;
}

}  // namespace amalgam
