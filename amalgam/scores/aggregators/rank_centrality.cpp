#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/strengths.hpp"
#include "amalgam/scores/strength/bradley_terry.hpp"

namespace amalgam::scores::aggregators {
namespace {

// Pseudo-votes for pairs that were compared alone: for others they would be a share of one half,
// as good as any number of votes.
void add_to_compared(Preferences& preferences, double pseudo_votes) {
  for (std::size_t i = 0; i < preferences.systems; ++i) {
    for (std::size_t j = i + 1; j < preferences.systems; ++j) {
      double& forth = preferences.votes[i * preferences.systems + j];
      double& back = preferences.votes[j * preferences.systems + i];
      if (forth + back == 0.0) continue;
      forth += pseudo_votes;
      back += pseudo_votes;
    }
  }
}

class RankCentrality final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "rank-centrality",
        .summary =
            "How often a random walk that goes from each system to those that win against "
            "it, by the share of wins, is where: one linear system, close to bradley-terry.",
        .source =
            "Negahban, Oh and Shah 2017, \"Rank Centrality: ranking from pairwise "
            "comparisons\"",
        .parameters = {tie_parameter(), pseudo_votes_parameter()},
        .score = kStrengthScore,
        .raw = kStrengthRaw};
    return kInfo;
  }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& systems,
                     const RankContext& context) const override {
    const TieVotes ties = tie_votes_of_name(context.parameters.text("tie"));
    const Identification identified = identify(
        graph_of(pairs, ties), systems, pseudo_votes_asked(context), PseudoVotes::compared_pairs);
    Preferences preferences = preferences_of(pairs, ties, identified.systems);
    add_to_compared(preferences, identified.pseudo_votes);
    return strength_ranking(
        pairs.systems, identified,
        {.strengths = rank_centrality_strengths(preferences), .iterations = 1, .converged = true});
  }

 private:
  static ParameterInfo pseudo_votes_parameter() {
    ParameterInfo alpha = alpha_parameter();
    alpha.doc = "pseudo-votes added in both directions to every pair that was compared";
    return alpha;
  }
};

}  // namespace

const RankAggregator& rank_centrality() {
  static const RankCentrality kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
