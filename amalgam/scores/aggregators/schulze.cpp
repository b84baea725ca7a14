#include <algorithm>

#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/order_ranking.hpp"

namespace amalgam::scores::aggregators {
namespace {

// [i][j]: the strongest path of majorities from i to j, a path being as strong as the smallest lead
// on it; 0 if there is none.
std::vector<std::int64_t> strongest_paths(const kemeny::Leads& leads) {
  const std::size_t n = leads.systems;
  std::vector<std::int64_t> paths = leads.values;
  for (std::int64_t& lead : paths) lead = std::max<std::int64_t>(lead, 0);
  for (std::size_t through = 0; through < n; ++through) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::int64_t first = paths[i * n + through];
      if (i == through || first == 0) continue;
      for (std::size_t j = 0; j < n; ++j) {
        if (j == i) continue;
        paths[i * n + j] = std::max(paths[i * n + j], std::min(first, paths[through * n + j]));
      }
    }
  }
  return paths;
}

class Schulze final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "schulze",
        .summary =
            "A system is better than another if the strongest path of majorities leads from "
            "it to the other. Elects the Condorcet winner and reverses with all votes.",
        .source =
            "Schulze 2011, \"A new monotonic, clone-independent, reversal symmetric, and "
            "Condorcet-consistent single-winner election method\"; strength: lead of votes",
        .score = "systems that this one is better than, and half of those that equal it"};
    return kInfo;
  }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& /*systems*/,
                     const RankContext& /*context*/) const override {
    const VotedPairs voted = voted_pairs(pairs, info().name);
    const std::size_t n = voted.pairs.systems;
    const std::vector<std::int64_t> paths = strongest_paths(kemeny::leads_of(voted.pairs));
    Ranking ranking = ranking_of_relation(
        n, [&](std::size_t i, std::size_t j) { return paths[i * n + j] > paths[j * n + i]; });
    warn_of_silent_pairs(voted.pairs, ranking);
    return ranking_of_all(pairs.systems, voted, std::move(ranking));
  }
};

}  // namespace

const RankAggregator& schulze() {
  static const Schulze kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
