#pragma once

#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/scores/rank_aggregator.hpp"

namespace amalgam::scores {

/// A table of votes from rows of wins, and of ties if given.
inline PairTable votes_of(const std::vector<std::vector<double>>& wins,
                          const std::vector<std::vector<double>>& ties = {}) {
  PairTable pairs(wins.size());
  for (std::size_t i = 0; i < wins.size(); ++i) {
    for (std::size_t j = 0; j < wins.size(); ++j) {
      pairs.wins[i * wins.size() + j] = wins[i][j];
      if (!ties.empty()) pairs.ties[i * wins.size() + j] = ties[i][j];
    }
  }
  return pairs;
}

/// Systems "a", "b", ...
inline StringPool letters(std::size_t count) {
  StringPool names;
  for (std::size_t i = 0; i < count; ++i) names.add(std::string(1, static_cast<char>('a' + i)));
  return names;
}

/// Whole numbers of votes on pairs of `systems`, some without any, with ties if wanted; every
/// system wins and loses against the next one.
inline PairTable random_votes(std::size_t systems, bool ties, RandomStream& random) {
  PairTable pairs(systems);
  for (std::size_t i = 0; i < systems; ++i) {
    for (std::size_t j = 0; j < systems; ++j) {
      if (i == j) continue;
      const bool neighbours = j == (i + 1) % systems || i == (j + 1) % systems;
      const bool compared = neighbours || random.uniform() < 0.6;
      pairs.wins[i * systems + j] =
          compared ? static_cast<double>(random.below(9)) + (neighbours ? 1 : 0) : 0;
      if (ties && i < j && compared) {
        pairs.ties[i * systems + j] = pairs.ties[j * systems + i] =
            static_cast<double>(random.below(6));
      }
    }
  }
  if (ties) pairs.ties[1] = pairs.ties[systems] = 2;
  return pairs;
}

/// The rank of a table of pairs by a pairwise rule.
inline Ranking rank_votes(const RankAggregator& rule, const PairTable& pairs,
                          const std::vector<std::string>& parameters = {}) {
  return dynamic_cast<const PairwiseRule&>(rule).rank_pairs(pairs, letters(pairs.systems),
                                                            rank_context(rule, parameters));
}

inline double largest_difference(std::span<const double> a, std::span<const double> b) {
  double most = a.size() == b.size() ? 0 : std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    most = std::max(most, std::abs(a[i] - b[i]));
  }
  return most;
}

inline std::vector<System> all_systems(std::size_t count) {
  std::vector<System> systems(count);
  for (std::size_t i = 0; i < count; ++i) systems[i] = static_cast<System>(i);
  return systems;
}

}  // namespace amalgam::scores
