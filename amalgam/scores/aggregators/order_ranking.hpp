#pragma once

#include <functional>
#include <string>

#include "amalgam/scores/kemeny/leads.hpp"
#include "amalgam/scores/rank_aggregator.hpp"

namespace amalgam::scores::aggregators {

/// What rules have in common that make one order of the systems.

/// Systems on which somebody voted, with their votes among each other.
struct VotedPairs {
  PairTable pairs;
  std::vector<System> systems;  ///< increasing
};
/// InputError naming the method if nobody voted on any pair.
VotedPairs voted_pairs(const PairTable& pairs, const std::string& method);

/// A ranking of the voted systems as one of all `systems`: the others have no figures at all.
Ranking ranking_of_all(std::size_t systems, const VotedPairs& voted, Ranking ranking);

/// Scores of an order: how many systems are placed behind each. `raw`: the votes that a system's
/// place is against. Column "lead over next": votes for a system over the one placed next to it,
/// less those against; where it is 0 the two could as well be exchanged.
Ranking ranking_of_order(const PairTable& pairs, const kemeny::Order& order);

/// Scores of a transitive relation: how many systems each is better than, half of one for each that
/// is neither better nor worse. One that is better than another has more points.
Ranking ranking_of_relation(std::size_t systems,
                            const std::function<bool(std::size_t, std::size_t)>& is_better);

/// Says so if nobody voted on some pairs.
void warn_of_silent_pairs(const PairTable& pairs, Ranking& ranking);

/// What is proven of an order without solving for the best one: its cost against the bound of
/// 3-cycles of majorities.
Certificate certificate_by_cycles(const PairTable& pairs, const kemeny::Order& order);

}  // namespace amalgam::scores::aggregators
