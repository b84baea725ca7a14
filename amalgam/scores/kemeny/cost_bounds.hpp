#pragma once

#include <cstdint>
#include <vector>

#include "amalgam/scores/kemeny/precedence.hpp"

namespace amalgam::scores::kemeny {

/// What is proven of the cost of orders, beyond the floor.
struct CostBounds {
  std::int64_t bound = 0;               ///< no order costs less
  std::vector<std::int64_t> with_pair;  ///< [systems, systems]: none with i before j costs less
};

/// By cycles of three majorities i -> j -> k -> i, of which every order places one against: leads
/// are taken from the three as long as all have some left. O(n^3).
CostBounds cycle_bounds(const Leads& leads);

/// The pairs that all orders share that cost no more than `upper`, up to the tolerance.
Precedence known_pairs(const Leads& leads, const CostBounds& bounds, std::int64_t upper);

}  // namespace amalgam::scores::kemeny
