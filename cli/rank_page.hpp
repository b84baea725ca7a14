#pragma once

#include <string>
#include <vector>

#include "amalgam/scores/rank_aggregator.hpp"
#include "amalgam/scores/score_table.hpp"
#include "amalgam/scores/tied_ranks.hpp"
#include "amalgam/scores/uncertainty/bootstrap.hpp"
#include "amalgam/scores/uncertainty/stability.hpp"

namespace amalgam::cli {

/// What the page of a ranking shows. `uncertainty` and `stability` may be null: their parts are
/// then left out.
struct RankPage {
  std::string title;                    ///< what was ranked
  std::vector<std::string> provenance;  ///< lines: command, files, version
  const scores::ScoreTable* table = nullptr;
  const scores::RankAggregatorInfo* method = nullptr;
  scores::Missing missing = scores::Missing::observed;
  scores::TiedRanks tied_ranks = scores::TiedRanks::min;  ///< in the table
  const scores::Ranking* ranking = nullptr;
  const scores::RankUncertainty* uncertainty = nullptr;
  const scores::StabilityCurve* stability = nullptr;
  std::vector<std::string> warnings = {};  ///< of reading; the ranking's and bootstrap's come by
                                           ///< themselves
};

/// A page of HTML that needs nothing but itself: what can be said of the ranking in words, the
/// intervals of ranks and scores as a drawing and as a table with tie groups, what is proven of it,
/// votes and resamples for each pair as heat maps, how the ranking holds when measurements are
/// taken away, and all warnings.
std::string rank_page(const RankPage& page);

}  // namespace amalgam::cli
