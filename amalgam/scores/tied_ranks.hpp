#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace amalgam::scores {

/// What rank systems share that tie (Colombo et al. 2022): of 5, 3, 3, 1 the ranks are 1, 2, 2, 4
/// by `min`, 1, 2, 2, 3 by `dense` and 1, 2.5, 2.5, 4 by `average`.
enum class TiedRanks {
  min,      ///< 1 + the number of systems that are strictly better
  dense,    ///< 1 + the number of different scores that are better
  average,  ///< the mean of the places that they hold together
};
std::string_view tied_ranks_name(TiedRanks rule);
/// "min", "dense" or "average"; InputError listing these otherwise.
TiedRanks tied_ranks_of_name(std::string_view name);

/// [systems]: ranks by `rule` for ranks of ranks_of().
std::vector<double> tied_ranks(std::span<const std::uint32_t> ranks, TiedRanks rule);

}  // namespace amalgam::scores
