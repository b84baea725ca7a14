#include "amalgam/experiments/best_systems_studies.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/data/shared_data.hpp"
#include "amalgam/scores/files/score_files.hpp"
#include "amalgam/scores/kemeny/kemeny.hpp"
#include "amalgam/scores/rank_aggregator.hpp"

namespace amalgam::experiments::rankings {
namespace {

using scores::Missing;
using scores::ScoreTable;

// Corruption design.
constexpr std::array kCorruptionRules{
    Rule{"one level", "borda"}, Rule{"two levels", "borda-two-level"}, Rule{"kemeny", "kemeny"},
    Rule{"mean", "mean"}, Rule{"z-mean", "z-mean"}};
constexpr std::size_t kSystems = 10;
constexpr std::size_t kTasks = 11;
constexpr std::size_t kInstances = 12;

double gumbel(RandomStream& random) {
  // Of a uniform number in (0, 1).
  const double u = std::max(random.uniform(), std::numeric_limits<double>::min());
  return -portable_log(-portable_log(u));
}

// System 0 is the best; the first `corrupted` tasks have the reversed order.
ScoreTable corrupted_table(double spread, std::size_t corrupted, RandomStream& random) {
  scores::ScoreBuilder builder;
  for (std::size_t task = 0; task < kTasks; ++task) {
    const scores::Task task_number = builder.task(fmt::to_string(task));
    for (std::size_t instance = 0; instance < kInstances; ++instance) {
      const scores::Instance instance_number = builder.instance(fmt::to_string(instance));
      for (std::size_t system = 0; system < kSystems; ++system) {
        const auto number = static_cast<double>(system);
        // Drawn in any case, so that tables differ in the corrupted tasks only.
        const double measured = 10 - spread * number + gumbel(random);
        builder.add(builder.system(fmt::to_string(system)), task_number, instance_number,
                    task < corrupted ? 1000 * number : measured);
      }
    }
  }
  return builder.finish("corruption design");
}

// Leaderboards.
constexpr std::array kBoardRules{Rule{"kemeny", "kemeny"}, Rule{"borda", "borda"},
                                 Rule{"mean", "mean"}};
constexpr std::array<std::size_t, 4> kTops{1, 3, 5, 10};

// As published, best to worst, on classification, structured prediction, question answering and
// retrieval.
ScoreTable xtreme() {
  constexpr std::array kValues{
      90.3, 81.7, 76.3, 93.7, 90.1, 81.4, 75.0, 94.2, 89.3, 75.5, 75.2, 92.4, 89.0, 76.7, 73.4,
      93.3, 88.3, 80.6, 71.9, 90.8, 88.4, 76.2, 72.5, 93.7, 87.9, 75.6, 72.3, 91.9, 89.0, 74.4,
      71.9, 92.6, 88.8, 75.4, 72.9, 89.3, 88.2, 74.6, 71.7, 89.0, 87.5, 71.9, 68.5, 84.4, 86.3,
      90.8, 59.7, 77.5, 83.9, 69.4, 67.2, 76.5, 75.0, 65.6, 43.9, 44.7, 75.3, 66.9, 52.5, 18.0};
  return scores::make_score_table(kValues, 15, 4);
}

// The mean distance to the orders of the tasks, all of which have a value of every system.
double distortion(const ScoreTable& table, std::span<const double> order) {
  double sum = 0;
  for (std::size_t ballot = 0; ballot < table.ballot_count(); ++ballot) {
    sum += kendall_distance(order, table.ballot(ballot).values);
  }
  return sum / static_cast<double>(table.ballot_count());
}

void add_board(Figures& figures, const std::string& board, const ScoreTable& table) {
  const scores::PairTable pairs = scores::count_pairs(table, Missing::observed);
  for (const Rule& rule : kBoardRules) {
    const std::vector<double> found = scores_by(rule.method, table);
    const std::vector<scores::System> order = scores::order_of(scores::ranks_of(found, 1e-9));
    figures[fmt::format("{}, cost: {}", board, rule.name)] =
        scores::kemeny::order_cost(pairs, order);
    figures[fmt::format("{}, distortion: {}", board, rule.name)] = distortion(table, found);
  }
  const scores::Ranking kemeny = scores::rank_systems("kemeny", table);
  figures[board + ", cost: proven bound"] = kemeny.certificate->bound;
  const std::vector<double> mean = scores_by("mean", table);
  const std::vector<double> borda = scores_by("borda", table);
  figures[board + ", tau: mean, borda"] = kendall_tau_b(mean, borda);
  figures[board + ", tau: mean, kemeny"] = kendall_tau_b(mean, kemeny.scores);
  figures[board + ", tau: borda, kemeny"] = kendall_tau_b(borda, kemeny.scores);
  for (const std::size_t top : kTops) {
    figures[fmt::format("{}, top {}: mean, borda", board, top)] = top_overlap(mean, borda, top);
  }
}

std::vector<std::string> board_names(const std::string& board) {
  std::vector<std::string> names;
  for (const std::string what : {"cost", "distortion"}) {
    for (const Rule& rule : kBoardRules) {
      names.push_back(fmt::format("{}, {}: {}", board, what, rule.name));
    }
    if (what == "cost") names.push_back(board + ", cost: proven bound");
  }
  for (const char* pair : {"mean, borda", "mean, kemeny", "borda, kemeny"}) {
    names.push_back(fmt::format("{}, tau: {}", board, pair));
  }
  for (const std::size_t top : kTops) {
    names.push_back(fmt::format("{}, top {}: mean, borda", board, top));
  }
  return names;
}

constexpr std::array<std::string_view, 2> kReadings{"System", "Utterance"};

std::string reading_name(const InstanceTable& table, std::string_view reading) {
  return fmt::format("{} by {}", table.name, reading);
}

}  // namespace

std::vector<double> scores_by(std::string_view method, const ScoreTable& table,
                              const scores::Reweighting& factors, std::optional<Missing> missing) {
  return scores::rank_systems(method, table, {}, missing, {.factors = factors}).scores;
}

FullScores full_scores(const ScoreTable& table, std::span<const Rule> rules) {
  FullScores full;
  for (const Rule& rule : rules) full[rule.method] = scores_by(rule.method, table);
  return full;
}

ScoreTable glue() {
  return scores::read_scores({shared_data("scores/glue_leaderboard.csv")},
                             {.form = scores::ScoreForm::wide});
}

ScoreTable instance_table(const InstanceTable& table, std::string_view systems) {
  scores::ScoreFormat format{.form = scores::ScoreForm::wide, .system = std::string(systems)};
  format.instance = systems == "System" ? "Utterance" : "System";
  return scores::read_scores({shared_data(fmt::format("scores/{}.csv", table.file))}, format);
}

std::string corruption_name(double spread, std::size_t corrupted, std::string_view rule) {
  return fmt::format("corruption {:g}, {} tasks: {}", spread, corrupted, rule);
}

std::vector<std::string> corruption_names() {
  std::vector<std::string> names;
  for (const double spread : kSpreads) {
    for (std::size_t corrupted = 0; corrupted <= kMostCorrupted; ++corrupted) {
      for (const Rule& rule : kCorruptionRules) {
        names.push_back(corruption_name(spread, corrupted, rule.name));
      }
    }
  }
  return names;
}

void add_corruption(Figures& figures, std::uint64_t seed, std::size_t draws) {
  std::vector<double> truth;
  for (std::size_t i = 0; i < kSystems; ++i) truth.push_back(-static_cast<double>(i));
  const double most = kSystems * (kSystems - 1) / 2.0;
  for (const double spread : kSpreads) {
    for (std::size_t draw = 0; draw < draws; ++draw) {
      check_interrupt();
      for (std::size_t corrupted = 0; corrupted <= kMostCorrupted; ++corrupted) {
        RandomStream random(seed, fmt::format("best systems: corruption {} {}", spread, draw));
        const ScoreTable table = corrupted_table(spread, corrupted, random);
        for (const Rule& rule : kCorruptionRules) {
          const double error = kendall_distance(scores_by(rule.method, table), truth) / most;
          figures[corruption_name(spread, corrupted, rule.name)] +=
              error / static_cast<double>(draws);
        }
      }
    }
  }
}

std::vector<std::string> leaderboard_names() {
  std::vector<std::string> names = board_names("XTREME");
  for (const Rule& rule : kBoardRules) {
    names.push_back(fmt::format("XTREME, lead of 14 over 13: {}", rule.name));
  }
  std::ranges::copy(board_names("GLUE"), std::back_inserter(names));
  return names;
}

void add_leaderboards(Figures& figures) {
  const ScoreTable board = xtreme();
  add_board(figures, "XTREME", board);
  for (const Rule& rule : kBoardRules) {
    const std::vector<double> found = scores_by(rule.method, board);
    figures[fmt::format("XTREME, lead of 14 over 13: {}", rule.name)] = found[14] - found[13];
  }
  add_board(figures, "GLUE", glue());
}

std::vector<std::string> agreement_names() {
  std::vector<std::string> names;
  for (const InstanceTable& which : kInstanceTables) {
    for (const std::string_view reading : kReadings) {
      const std::string name = reading_name(which, reading);
      for (const char* pair : {"mean, one level", "mean, two levels", "one level, two levels"}) {
        names.push_back(fmt::format("{}, tau: {}", name, pair));
      }
      for (const std::size_t top : kTops) {
        names.push_back(fmt::format("{}, top {}: mean, two levels", name, top));
      }
    }
  }
  return names;
}

void add_agreement(Figures& figures) {
  for (const InstanceTable& which : kInstanceTables) {
    for (const std::string_view reading : kReadings) {
      const std::string name = reading_name(which, reading);
      const ScoreTable table = instance_table(which, reading);
      const FullScores full = full_scores(table, kInstanceRules);
      const std::vector<double>& mean = full.at("mean");
      const std::vector<double>& one = full.at("borda");
      const std::vector<double>& two = full.at("borda-two-level");
      figures[name + ", tau: mean, one level"] = kendall_tau_b(mean, one);
      figures[name + ", tau: mean, two levels"] = kendall_tau_b(mean, two);
      figures[name + ", tau: one level, two levels"] = kendall_tau_b(one, two);
      for (const std::size_t top : kTops) {
        const std::size_t depth = std::min(top, table.system_count());
        figures[fmt::format("{}, top {}: mean, two levels", name, top)] =
            top_overlap(mean, two, depth);
      }
    }
  }
}

}  // namespace amalgam::experiments::rankings
