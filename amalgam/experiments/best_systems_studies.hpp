#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/experiments/experiment.hpp"
#include "amalgam/scores/pair_table.hpp"
#include "amalgam/scores/score_table.hpp"

/// The parts of the experiment best-systems: each adds its figures, and knows their names.
namespace amalgam::experiments::rankings {

/// A method of `amalgam rank` by the name that it has in figures.
struct Rule {
  std::string_view name;
  std::string_view method;
};

/// The scores that a method gives the systems of a table.
std::vector<double> scores_by(std::string_view method, const scores::ScoreTable& table,
                              const scores::Reweighting& factors = {},
                              std::optional<scores::Missing> missing = std::nullopt);

/// Of several rules, by method.
using FullScores = std::map<std::string_view, std::vector<double>>;
FullScores full_scores(const scores::ScoreTable& table, std::span<const Rule> rules);

/// The leaderboard of GLUE: 105 systems, 14 tasks, no gaps.
scores::ScoreTable glue();

/// A table of metrics on instances. The fields System and Utterance of the published tables look
/// interchanged, so either may name the systems. All metrics are higher-is-better as stored.
struct InstanceTable {
  std::string_view file;
  std::string_view name;
};
inline constexpr std::array kInstanceTables{
    InstanceTable{"sum_eval", "SummEval"}, InstanceTable{"tac_08", "TAC08"},
    InstanceTable{"flickr", "Flickr"}, InstanceTable{"dialog_tc", "TopicalChat"}};
inline constexpr std::array kInstanceRules{
    Rule{"one level", "borda"}, Rule{"two levels", "borda-two-level"}, Rule{"mean", "mean"}};
scores::ScoreTable instance_table(const InstanceTable& table, std::string_view systems);

/// How far apart the systems of the corruption design are: a system's true score falls by this from
/// one to the next, in units of a standard Gumbel's scale.
inline constexpr std::array kSpreads{0.1, 0.5};
inline constexpr std::size_t kMostCorrupted = 5;
/// "corruption .5, 4 tasks: two levels"
std::string corruption_name(double spread, std::size_t corrupted, std::string_view rule);
std::vector<std::string> corruption_names();
/// The paper's design: 10 systems, 11 tasks of 12 instances, of which some have the reversed scores
/// 1000 i; the error is the Kendall distance to the true order by its maximum of 45. Means over
/// `draws` tables.
void add_corruption(Figures& figures, std::uint64_t seed, std::size_t draws);

/// Costs, distortions and correlations on the leaderboards of XTREME and GLUE.
std::vector<std::string> leaderboard_names();
void add_leaderboards(Figures& figures);

/// Correlations and overlaps of the mean and both ways of Borda on the tables with instances, with
/// either of their fields as the systems.
std::vector<std::string> agreement_names();
void add_agreement(Figures& figures);

/// Correlation of a rule's order with its own order of all measurements: with tasks removed, of
/// some systems alone, on few instances, with tasks corrupted, with values missing. Means and
/// standard deviations over `draws`.
std::vector<std::string> robustness_names();
void add_robustness(Figures& figures, std::uint64_t seed, std::size_t draws);

}  // namespace amalgam::experiments::rankings
