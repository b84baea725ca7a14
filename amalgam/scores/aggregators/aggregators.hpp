#pragma once

#include <span>

#include "amalgam/scores/rank_aggregator.hpp"

/// The methods, each defined in the file of its name (those that are alike share one).
namespace amalgam::scores::aggregators {

const RankAggregator& mean();
const RankAggregator& z_mean();
const RankAggregator& min_max_mean();
const RankAggregator& geometric_mean();
const RankAggregator& median_rank();
const RankAggregator& win_rate();
const RankAggregator& plurality();
const RankAggregator& borda();
const RankAggregator& borda_two_level();
const RankAggregator& borda_instances_first();
const RankAggregator& dowdall();
const RankAggregator& copeland();
const RankAggregator& kemeny();
const RankAggregator& local_kemeny();
const RankAggregator& quick_kemeny();
const RankAggregator& condorcet();
const RankAggregator& minimax();
const RankAggregator& schulze();
const RankAggregator& ranked_pairs();
const RankAggregator& bradley_terry();
const RankAggregator& davidson();
const RankAggregator& rao_kupper();
const RankAggregator& controlled_bradley_terry();
const RankAggregator& rank_centrality();
const RankAggregator& plackett_luce();
const RankAggregator& onebench();
const RankAggregator& elo();
const RankAggregator& trueskill();

std::span<const RankAggregator* const> all_aggregators();

}  // namespace amalgam::scores::aggregators
