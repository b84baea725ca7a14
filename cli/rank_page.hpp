#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amalgam/scores/rank_aggregator.hpp"
#include "amalgam/scores/score_table.hpp"
#include "amalgam/scores/uncertainty/bootstrap.hpp"
#include "amalgam/scores/uncertainty/stability.hpp"

namespace amalgam::cli {

/// What the page of a ranking shows. Pointers that are null leave their part out.
struct RankPage {
  std::string title;                    ///< of the page: what was ranked
  std::vector<std::string> provenance;  ///< lines: files, options, version
  const scores::ScoreTable* table = nullptr;
  const scores::RankAggregatorInfo* method = nullptr;
  scores::Missing missing = scores::Missing::observed;
  const scores::Ranking* ranking = nullptr;
  const scores::RankUncertainty* uncertainty = nullptr;
  const scores::StabilityCurve* stability = nullptr;
  std::vector<std::string> warnings = {};  ///< of reading, besides the ranking's own
};

/// A page of HTML that needs nothing but itself: the table of ranks with intervals and tie groups,
/// what is proven of it, warnings, the intervals of ranks and scores as a drawing, the share of
/// resamples in which one system comes before another as a heat map, and how the ranking holds when
/// measurements are removed.
std::string rank_page(const RankPage& page);

}  // namespace amalgam::cli
