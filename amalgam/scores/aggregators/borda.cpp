#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <map>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/order_ranking.hpp"

namespace amalgam::scores::aggregators {
namespace {

constexpr const char* kBenchmarking = "Colombo et al. 2022, \"What are the best systems?\", ";
// Points that are equal on paper but for the order of additions.
constexpr double kEqualPoints = 1e-9;

// A system's points: its votes against each other system, half of one for a tie.
Ranking points(const PairTable& pairs) {
  Ranking ranking{.scores = std::vector<double>(pairs.systems),
                  .raw = std::vector<double>(pairs.systems),
                  .tie_tolerance = kEqualPoints};
  for (std::size_t i = 0; i < pairs.systems; ++i) {
    for (std::size_t j = 0; j < pairs.systems; ++j) {
      ranking.scores[i] += pairs.preference(i, j);
      ranking.raw[i] += pairs.preference(j, i);
    }
  }
  return ranking;
}

void warn_of_unequal_votes(Ranking& ranking) {
  double least = std::numeric_limits<double>::infinity();
  double most = 0;
  for (std::size_t system = 0; system < ranking.scores.size(); ++system) {
    const double votes = ranking.scores[system] + ranking.raw[system];
    least = std::min(least, votes);
    most = std::max(most, votes);
  }
  if (most - least <= kEqualPoints * most) return;
  ranking.warnings.push_back(
      fmt::format("systems were compared unequally often ({:g} to {:g} times), and Borda's points "
                  "are a sum: those measured less get fewer (treat missing scores as 'complete', "
                  "or use bradley-terry)",
                  least, most));
}

class Borda final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "borda",
        .summary =
            "The sum of ranks over all tasks, or over all instances of all tasks where "
            "there are instances (one level).",
        .source = std::string(kBenchmarking) + "section 3; missing scores: Himmi et al. 2024",
        .score = "points: how many systems are worse, summed",
        .raw = "sum of ranks (0 = best)",
        .missing = Missing::complete};
    return kInfo;
  }
  Ranking rank_pairs(const PairTable& pairs, const StringPool& /*systems*/,
                     const RankContext& context) const override {
    const VotedPairs voted = voted_pairs(pairs, info().name);
    Ranking ranking = points(voted.pairs);
    if (context.missing != Missing::complete) warn_of_unequal_votes(ranking);
    return ranking_of_all(pairs.systems, voted, std::move(ranking));
  }
};

class Dowdall final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "dowdall",
        .summary =
            "1 for a win over another system, 1/2 for a loss, 3/4 each for a tie: who is "
            "measured more gets more.",
        .source = "Ghosh et al. 2024, ONEBench (a baseline)",
        .score = "points"};
    return kInfo;
  }
  Ranking rank_pairs(const PairTable& all, const StringPool& /*systems*/,
                     const RankContext& /*context*/) const override {
    const VotedPairs voted = voted_pairs(all, info().name);
    const PairTable& pairs = voted.pairs;
    Ranking ranking{.scores = std::vector<double>(pairs.systems), .tie_tolerance = kEqualPoints};
    for (std::size_t i = 0; i < pairs.systems; ++i) {
      for (std::size_t j = 0; j < pairs.systems; ++j) {
        ranking.scores[i] += pairs.win(i, j) + 0.5 * pairs.win(j, i) + 0.75 * pairs.tie(i, j);
      }
    }
    return ranking_of_all(all.systems, voted, std::move(ranking));
  }
};

class Copeland final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "copeland",
        .summary =
            "For how many other systems a majority of votes prefers this one (1/2 where "
            "there is no majority). Elects the Condorcet winner.",
        .source = "Copeland 1951; " + std::string(kBenchmarking) + "section 3",
        .score = "majorities won, and half of those that are even"};
    return kInfo;
  }
  Ranking rank_pairs(const PairTable& pairs, const StringPool& /*systems*/,
                     const RankContext& /*context*/) const override {
    const VotedPairs voted = voted_pairs(pairs, info().name);
    Ranking ranking{.scores = std::vector<double>(voted.pairs.systems)};
    for (std::size_t i = 0; i < voted.pairs.systems; ++i) {
      for (std::size_t j = 0; j < voted.pairs.systems; ++j) {
        if (i != j) ranking.scores[i] += 0.5 * (1 + voted.pairs.majority(i, j));
      }
    }
    warn_of_silent_pairs(voted.pairs, ranking);
    return ranking_of_all(pairs.systems, voted, std::move(ranking));
  }
};

// Borda within each group of ballots, then Borda over the groups' rankings.
class TwoLevelBorda final : public RankAggregator {
 public:
  enum class Group { task, instance };
  TwoLevelBorda(RankAggregatorInfo info, Group group) : info_(std::move(info)), group_(group) {
    info_.score = "points of the rankings, summed";
    info_.raw = "sum of ranks of the rankings (0 = best)";
    info_.missing = Missing::complete;
    info_.from_ballots = true;
  }
  const RankAggregatorInfo& info() const override { return info_; }

  Ranking rank(const ScoreTable& table, const RankContext& context) const override {
    std::map<std::uint32_t, std::vector<std::size_t>> groups;
    for (std::size_t ballot = 0; ballot < table.ballot_count(); ++ballot) {
      groups[group_ == Group::task ? table.ballot_tasks[ballot] : table.ballot_instances[ballot]]
          .push_back(ballot);
    }
    ScoreTable level{.systems = table.systems};
    std::vector<double> weights;
    for (const auto& [key, ballots] : groups) {
      const double weight = group_weight(table, context, key, ballots);
      if (weight > 0 && add_group(level, table, context, ballots)) {
        level.ballot_tasks.push_back(0);
        level.ballot_instances.push_back(key);
        level.ballot_begins.push_back(level.values.size());
        weights.push_back(weight);
      }
    }
    level.task_infos.resize(1);
    if (level.ballot_tasks.empty()) {
      throw InputError("method '{}': no {} is left to vote", info_.name,
                       group_ == Group::task ? "task" : "instance");
    }
    const PairTable pairs =
        count_pairs(level, context.missing, {.ballots = weights}, context.parallel, kEqualPoints);
    const VotedPairs voted = voted_pairs(pairs, info_.name);
    Ranking ranking = points(voted.pairs);
    if (context.missing != Missing::complete) warn_of_unequal_votes(ranking);
    return ranking_of_all(pairs.systems, voted, std::move(ranking));
  }

 private:
  double group_weight(const ScoreTable& table, const RankContext& context, std::uint32_t key,
                      const std::vector<std::size_t>& ballots) const {
    if (group_ == Group::task) return table.task_infos[key].weight * context.factors.task(key);
    double sum = 0;
    for (const std::size_t ballot : ballots) sum += context.factors.ballot(ballot);
    return sum / static_cast<double>(ballots.size());
  }

  // A ballot of every system that the table measured somewhere. It counts nothing, but says whom
  // the ballots of a group that lack a system may place.
  static void add_participants(ScoreTable& within, const ScoreTable& table,
                               std::vector<double>& weights) {
    std::vector<char> measured(table.system_count());
    for (const System system : table.row_systems) measured[system] = 1;
    for (System system = 0; system < table.system_count(); ++system) {
      if (measured[system] == 0) continue;
      within.row_systems.push_back(system);
      within.values.push_back(0);
    }
    within.ballot_tasks.push_back(0);
    within.ballot_instances.push_back(0);
    within.ballot_begins.push_back(within.values.size());
    weights.push_back(0);
  }

  // Appends the ranking that a group's ballots make of the systems they measured; false if none
  // of them counts.
  bool add_group(ScoreTable& level, const ScoreTable& table, const RankContext& context,
                 const std::vector<std::size_t>& ballots) const {
    ScoreTable within{.systems = table.systems};
    within.task_infos.resize(1);
    std::vector<double> weights;
    std::vector<char> measured(table.system_count());
    for (const std::size_t ballot : ballots) {
      const double task =
          group_ == Group::task
              ? 1.0
              : table.ballot_weight(ballot) * context.factors.task(table.ballot_tasks[ballot]);
      const double weight = task * context.factors.ballot(ballot);
      const ScoreTable::Ballot rows = table.ballot(ballot);
      const bool complete = rows.systems.size() == table.system_count();
      if (weight == 0.0 || (context.missing == Missing::drop && !complete)) continue;
      within.row_systems.insert(within.row_systems.end(), rows.systems.begin(), rows.systems.end());
      within.values.insert(within.values.end(), rows.values.begin(), rows.values.end());
      within.ballot_tasks.push_back(0);
      within.ballot_instances.push_back(table.ballot_instances[ballot]);
      within.ballot_begins.push_back(within.values.size());
      weights.push_back(weight);
      for (const System system : rows.systems) measured[system] = 1;
    }
    if (weights.empty()) return false;
    add_participants(within, table, weights);
    const Ranking ranking =
        points(count_pairs(within, context.missing, {.ballots = weights}, context.parallel));
    for (System system = 0; system < table.system_count(); ++system) {
      if (measured[system] == 0) continue;
      level.row_systems.push_back(system);
      level.values.push_back(ranking.scores[system]);
    }
    return true;
  }

  RankAggregatorInfo info_;
  Group group_;
};

}  // namespace

const RankAggregator& borda() {
  static const Borda kRule;
  return kRule;
}

const RankAggregator& borda_two_level() {
  static const TwoLevelBorda kRule(
      {.name = "borda-two-level",
       .summary = "Borda over the instances of each task, then over the rankings of the tasks: "
                  "every task counts once, however many instances it has.",
       .source = std::string(kBenchmarking) + "section 3 (two-level aggregation)"},
      TwoLevelBorda::Group::task);
  return kRule;
}

const RankAggregator& borda_instances_first() {
  static const TwoLevelBorda kRule(
      {.name = "borda-instances-first",
       .summary = "Borda over the tasks (metrics) of each instance, then over the rankings of "
                  "the instances.",
       .source = std::string(kBenchmarking) + "robustness study (utterance first)"},
      TwoLevelBorda::Group::instance);
  return kRule;
}

const RankAggregator& dowdall() {
  static const Dowdall kRule;
  return kRule;
}

const RankAggregator& copeland() {
  static const Copeland kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
