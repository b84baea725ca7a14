#pragma once

#include <cstdint>
#include <vector>

#include "amalgam/scores/kemeny/leads.hpp"

namespace amalgam::scores::kemeny {

/// By falling sums of leads: Borda's order of votes on whole ballots. Ties by number.
Order borda_order(const Leads& leads);

/// Moves single systems to the place that lowers the cost most, from the best system to the worst
/// and again, until none can be moved: so no swap of neighbours and no insertion lowers the cost
/// ("local Kemenisation": Dwork et al., "Rank aggregation methods for the Web", 2001, which swaps
/// neighbours only). Of places that cost the same the foremost that keeps its order counts.
void improve_by_insertions(const Leads& leads, Order& order);

/// The best of local searches from Borda's order, the order by majorities won, and `restarts` from
/// the best so far with a few systems moved at random.
Order local_optimum(const Leads& leads, std::size_t restarts, std::uint64_t seed);

}  // namespace amalgam::scores::kemeny
