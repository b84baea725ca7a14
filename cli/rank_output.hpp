#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amalgam/scores/disagreement.hpp"
#include "amalgam/scores/files/score_files.hpp"
#include "amalgam/scores/rank_aggregator.hpp"
#include "amalgam/scores/tied_ranks.hpp"
#include "amalgam/scores/uncertainty/bootstrap.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// What `amalgam rank` found out.
struct Ranked {
  scores::ScoreTable table;
  scores::ScoreNotes notes;
  const scores::RankAggregator* method = nullptr;
  scores::RankContext context;
  scores::Ranking ranking;
  std::vector<std::uint32_t> ranks;
  std::vector<scores::System> order;  ///< best first
  scores::TiedRanks tied_ranks = scores::TiedRanks::min;
  std::vector<double> shown_ranks;  ///< [systems], of `ranks` by that rule
  scores::Disagreement disagreement;
  std::optional<scores::RankUncertainty> uncertainty;
  std::vector<std::string> warnings;

  double raw(scores::System system) const {
    return ranking.raw.empty() ? ranking.scores[system] : ranking.raw[system];
  }
  std::string name(scores::System system) const { return std::string(table.systems[system]); }
};

/// {"method", "missing", "tied_ranks", "ranking": [{"system", "rank", "score", "rank_low",
/// "rank_high", "raw",
/// ...}], "certificate": {"optimal", "objective", "bound", "unique"} or null, "distortion",
/// "votes_against", "figures", "uncertainty" or null, "warnings"}; systems from best to worst.
Json ranking_json(const Ranked& result);

/// Prints the ranking for people: a table, what is proven, and which places cannot be told apart.
void show_ranking(const Ranked& result);

/// Writes one row per system, best first. InputError or Error as CsvOutput.
void write_ranking(const std::string& path, const Ranked& result);

/// Writes one row per pair of systems, the better-ranked one first: weighted votes for it, against
/// it and for neither, as the rule treats missing scores, and their share for it (ties half); where
/// there is an uncertainty, the share of resamples in which it comes before the other, and the
/// p-value of equal scores, also as adjusted over all pairs. InputError or Error as CsvOutput and
/// count_pairs.
void write_pairs(const std::string& path, const Ranked& result);

}  // namespace amalgam::cli
