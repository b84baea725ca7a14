#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "amalgam/scores/kemeny/precedence.hpp"

namespace amalgam::scores::kemeny {

/// An order of least cost; where there are several, the one that is first by numbers.
struct Optimum {
  Order order;
  std::int64_t cost = 0;  ///< beyond the floor
  bool unique = false;    ///< no other order costs as little
};

/// The most systems of subset_optimum, whose table has 8 bytes for each subset of the systems.
inline constexpr std::size_t kMostDense = 24;

/// By the least cost of ordering each subset of at most kMostDense systems behind the others, in
/// O(n 2^n) (Held and Karp, "A dynamic programming approach to sequencing problems", 1962).
Optimum subset_optimum(const Leads& leads);

/// The most systems of precedence_optimum.
inline constexpr std::size_t kMostOrdered = 256;

/// The same among the orders that respect `known`, which every order of least cost does: only
/// subsets count that may stand at the front. `known` must be closed. Nothing if there are more
/// than `most_states` of those, or more than kMostOrdered systems.
std::optional<Optimum> precedence_optimum(const Leads& leads, const Precedence& known,
                                          std::size_t most_states);

}  // namespace amalgam::scores::kemeny
