#include "amalgam/scores/tied_ranks.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/rank_correlation.hpp"

namespace amalgam::scores {

std::string_view tied_ranks_name(TiedRanks rule) {
  switch (rule) {
    case TiedRanks::min:
      return "min";
    case TiedRanks::dense:
      return "dense";
    case TiedRanks::average:
      return "average";
  }
  return "";
}

TiedRanks tied_ranks_of_name(std::string_view name) {
  for (const TiedRanks rule : {TiedRanks::min, TiedRanks::dense, TiedRanks::average}) {
    if (tied_ranks_name(rule) == name) return rule;
  }
  throw InputError("no rule for the ranks of ties is called '{}'; expected min, dense or average",
                   name);
}

std::vector<double> tied_ranks(std::span<const std::uint32_t> ranks, TiedRanks rule) {
  std::vector<double> shared(ranks.begin(), ranks.end());
  if (rule == TiedRanks::average) return average_ranks(shared);
  if (rule == TiedRanks::dense) {
    std::vector<std::uint32_t> different(ranks.begin(), ranks.end());
    std::ranges::sort(different);
    different.erase(std::ranges::unique(different).begin(), different.end());
    for (double& rank : shared) {
      const auto place = std::ranges::lower_bound(different, rank);
      rank = static_cast<double>(place - different.begin()) + 1;
    }
  }
  return shared;
}

}  // namespace amalgam::scores
