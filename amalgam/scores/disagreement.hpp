#pragma once

#include <cstdint>
#include <span>

#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

/// How far a ranking is from what it was made of.
struct Disagreement {
  /// The mean over ballots (and comparisons), each with its weight, of the Kendall distance between
  /// the ranking and the ballot, on the systems that the ballot measured: pairs in opposite order,
  /// and half of those that are tied in one of both only. "Distortion" in Colombo et al. 2022,
  /// "What are the best systems?".
  double distortion = 0;
  /// The same distances summed, by all pairs of the ballots: the share of the votes on pairs that
  /// are against the ranking.
  double share = 0;
};

/// `ranks` [systems]: 1 for the best. Systems whose `is_ranked` [systems] is 0 are looked past. NaN
/// if there is no pair to look at. O(values log values).
Disagreement disagreement(const ScoreTable& table, std::span<const std::uint32_t> ranks,
                          std::span<const char> is_ranked);

}  // namespace amalgam::scores
