#include <vector>

#include "amalgam/scores/aggregators/aggregators.hpp"

namespace amalgam::scores::aggregators {

std::span<const RankAggregator* const> all_aggregators() {
  static const std::vector<const RankAggregator*> methods = {
      &mean(),
      &z_mean(),
      &min_max_mean(),
      &geometric_mean(),
      &median_rank(),
      &win_rate(),
      &plurality(),
      &borda(),
      &borda_two_level(),
      &borda_instances_first(),
      &dowdall(),
      &copeland(),
      &kemeny(),
      &local_kemeny(),
      &quick_kemeny(),
      &condorcet(),
      &minimax(),
      &schulze(),
      &ranked_pairs(),
      &bradley_terry(),
      &davidson(),
      &rao_kupper(),
      &controlled_bradley_terry(),
      &rank_centrality(),
      &plackett_luce(),
      &onebench(),
      &elo(),
      &trueskill(),
  };
  return methods;
}

}  // namespace amalgam::scores::aggregators
