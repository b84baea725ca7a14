#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/core/statistics.hpp"
#include "amalgam/experiments/best_systems_studies.hpp"

namespace amalgam::experiments::rankings {
namespace {

using scores::Missing;
using scores::ScoreTable;

constexpr std::array kRobustRules{Rule{"borda", "borda"}, Rule{"local kemeny", "local-kemeny"},
                                  Rule{"mean", "mean"}, Rule{"z-mean", "z-mean"}};
constexpr std::array kRemoved{0.25, 0.5, 0.75};
constexpr std::array<std::size_t, 3> kCorrupted{1, 3, 5};
constexpr std::array kMissing{0.2, 0.5};
constexpr std::size_t kAlone = 20;
constexpr double kInstanceShare = 0.1;

// Values [systems, tasks] of a table without instances and gaps.
struct Matrix {
  std::size_t systems = 0;
  std::size_t tasks = 0;
  std::vector<double> values;

  explicit Matrix(const ScoreTable& table)
      : systems(table.system_count()), tasks(table.task_count()), values(systems * tasks) {
    for (std::size_t task = 0; task < tasks; ++task) {
      const ScoreTable::Ballot ballot = table.ballot(task);
      for (std::size_t row = 0; row < ballot.values.size(); ++row) {
        at(ballot.systems[row], task) = ballot.values[row];
      }
    }
  }
  double& at(std::size_t system, std::size_t task) { return values[system * tasks + task]; }
  ScoreTable table() const { return scores::make_score_table(values, systems, tasks); }
};

// `count` of 0 .. `of` - 1, increasing.
std::vector<std::size_t> some_of(std::size_t of, std::size_t count, RandomStream& random) {
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < of; ++i) {
    if (random.below(of - i) < count - chosen.size()) chosen.push_back(i);
  }
  return chosen;
}

// Mean and standard deviation of what was added by name.
class Spread {
 public:
  void add(const std::string& name, double value) { values_[name].push_back(value); }
  void write(Figures& figures) const {
    for (const auto& [name, values] : values_) {
      const MeanInterval summary = mean_interval(values);
      double squares = 0;
      for (const double value : values) {
        squares += (value - summary.mean) * (value - summary.mean);
      }
      figures[name] = summary.mean;
      figures[name + ", deviation"] = std::sqrt(squares / static_cast<double>(values.size() - 1));
    }
  }

 private:
  std::map<std::string, std::vector<double>> values_;
};

std::string removed_name(double share, std::string_view rule) {
  return fmt::format("GLUE, {:g} % of tasks removed: {}", 100 * share, rule);
}
std::string alone_name(std::string_view rule) {
  return fmt::format("GLUE, {} systems alone: {}", kAlone, rule);
}
std::string corrupted_name(std::size_t count, std::string_view rule) {
  return fmt::format("GLUE, {} tasks corrupted: {}", count, rule);
}
std::string missing_name(double share, std::string_view rule) {
  return fmt::format("GLUE, {:g} % missing: {}", 100 * share, rule);
}
std::string few_instances_name(const InstanceTable& table, std::string_view rule) {
  return fmt::format("{} by Utterance, {:g} % of instances: {}", table.name, 100 * kInstanceShare,
                     rule);
}

void remove_tasks(const ScoreTable& table, const FullScores& full, RandomStream& random,
                  Spread& spread) {
  for (const double share : kRemoved) {
    const auto kept = static_cast<std::size_t>(
        std::lround((1 - share) * static_cast<double>(table.task_count())));
    std::vector<double> weights(table.task_count());
    for (const std::size_t task : some_of(weights.size(), kept, random)) weights[task] = 1;
    for (const Rule& rule : kRobustRules) {
      spread.add(
          removed_name(share, rule.name),
          kendall_tau_b(full.at(rule.method), scores_by(rule.method, table, {.tasks = weights})));
    }
  }
}

void rank_some_alone(const Matrix& all, const FullScores& full, RandomStream& random,
                     Spread& spread) {
  const std::vector<std::size_t> chosen = some_of(all.systems, kAlone, random);
  std::vector<double> values;
  for (const std::size_t system : chosen) {
    const auto row = all.values.begin() + static_cast<std::ptrdiff_t>(system * all.tasks);
    values.insert(values.end(), row, row + static_cast<std::ptrdiff_t>(all.tasks));
  }
  const ScoreTable alone = scores::make_score_table(values, kAlone, all.tasks);
  for (const Rule& rule : kRobustRules) {
    std::vector<double> among_all;
    for (const std::size_t system : chosen) among_all.push_back(full.at(rule.method)[system]);
    spread.add(alone_name(rule.name), kendall_tau_b(among_all, scores_by(rule.method, alone)));
  }
}

// A corrupted task has its own values with the other sign and a thousand times as large.
void corrupt_tasks(const Matrix& all, const FullScores& full, RandomStream& random,
                   Spread& spread) {
  for (const std::size_t count : kCorrupted) {
    Matrix corrupted = all;
    for (const std::size_t task : some_of(all.tasks, count, random)) {
      for (std::size_t system = 0; system < all.systems; ++system) {
        corrupted.at(system, task) *= -1000;
      }
    }
    const ScoreTable table = corrupted.table();
    for (const Rule& rule : kRobustRules) {
      spread.add(corrupted_name(count, rule.name),
                 kendall_tau_b(full.at(rule.method), scores_by(rule.method, table)));
    }
  }
}

// Every system keeps one value.
void lose_values(const Matrix& all, const FullScores& full, RandomStream& random, Spread& spread) {
  for (const double share : kMissing) {
    Matrix some = all;
    for (std::size_t system = 0; system < all.systems; ++system) {
      const std::size_t kept = random.below(all.tasks);
      for (std::size_t task = 0; task < all.tasks; ++task) {
        const bool lost = random.uniform() < share && task != kept;
        if (lost) some.at(system, task) = std::numeric_limits<double>::quiet_NaN();
      }
    }
    const ScoreTable table = some.table();
    for (const Rule& rule : kRobustRules) {
      spread.add(missing_name(share, rule.name),
                 kendall_tau_b(full.at(rule.method), scores_by(rule.method, table)));
    }
    spread.add(missing_name(share, "borda of what is there"),
               kendall_tau_b(full.at("borda"), scores_by("borda", table, {}, Missing::observed)));
  }
}

void take_few_instances(const InstanceTable& which, const ScoreTable& table, const FullScores& full,
                        RandomStream& random, Spread& spread) {
  const std::size_t count = table.instances.size();
  const auto few = static_cast<std::size_t>(
      std::max(1L, std::lround(kInstanceShare * static_cast<double>(count))));
  std::vector<double> of_instances(count);
  for (const std::size_t instance : some_of(count, few, random)) of_instances[instance] = 1;
  std::vector<double> weights;
  for (const scores::Instance instance : table.ballot_instances) {
    weights.push_back(of_instances[instance]);
  }
  for (const Rule& rule : kInstanceRules) {
    spread.add(
        few_instances_name(which, rule.name),
        kendall_tau_b(full.at(rule.method), scores_by(rule.method, table, {.ballots = weights})));
  }
}

}  // namespace

std::vector<std::string> robustness_names() {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    names.push_back(name);
    names.push_back(name + ", deviation");
  };
  for (const double share : kRemoved) {
    for (const Rule& rule : kRobustRules) add(removed_name(share, rule.name));
  }
  for (const Rule& rule : kRobustRules) add(alone_name(rule.name));
  for (const std::size_t count : kCorrupted) {
    for (const Rule& rule : kRobustRules) add(corrupted_name(count, rule.name));
  }
  for (const double share : kMissing) {
    for (const Rule& rule : kRobustRules) add(missing_name(share, rule.name));
    add(missing_name(share, "borda of what is there"));
  }
  for (const InstanceTable& which : kInstanceTables) {
    for (const Rule& rule : kInstanceRules) add(few_instances_name(which, rule.name));
  }
  return names;
}

void add_robustness(Figures& figures, std::uint64_t seed, std::size_t draws) {
  Spread spread;
  RandomStream random(seed, "best systems: robustness");
  const ScoreTable board = glue();
  const Matrix matrix(board);
  const FullScores full = full_scores(board, kRobustRules);
  for (std::size_t draw = 0; draw < draws; ++draw) {
    check_interrupt();
    remove_tasks(board, full, random, spread);
    rank_some_alone(matrix, full, random, spread);
    corrupt_tasks(matrix, full, random, spread);
    lose_values(matrix, full, random, spread);
  }
  for (const InstanceTable& which : kInstanceTables) {
    const ScoreTable table = instance_table(which, "Utterance");
    const FullScores all = full_scores(table, kInstanceRules);
    for (std::size_t draw = 0; draw < draws; ++draw) {
      check_interrupt();
      take_few_instances(which, table, all, random, spread);
    }
  }
  spread.write(figures);
}

}  // namespace amalgam::experiments::rankings
