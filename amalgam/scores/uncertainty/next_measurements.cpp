#include "amalgam/scores/uncertainty/next_measurements.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/tail_probabilities.hpp"
#include "amalgam/scores/strength/bradley_terry.hpp"
#include "amalgam/scores/strength/newton.hpp"

namespace amalgam::scores {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr std::size_t kMostSystems = 2000;
constexpr std::size_t kMostCounts = 50'000'000;  // of systems x tasks x systems

// Values that could be measured, by (system, task).
struct Gap {
  System system = 0;
  Task task = 0;
  std::size_t possible = 0;
  std::size_t measured = 0;
  std::vector<double> others;  // [systems]: mean number of values of each on such an instance
};

class GapCounter {
 public:
  explicit GapCounter(const ScoreTable& table)
      : table_(table), systems_(table.system_count()), tasks_(table.task_count()) {
    if (systems_ * systems_ > kMostCounts / std::max<std::size_t>(1, tasks_)) {
      throw InputError(
          "next measurements: {} systems on {} tasks are too many to look at gaps; select tasks, "
          "or ask for pairs",
          systems_, tasks_);
    }
  }

  std::vector<Gap> count() {
    together_.assign(systems_ * tasks_ * systems_, 0);
    possible_.assign(systems_ * tasks_, 0);
    measured_.assign(systems_ * tasks_, 0);
    std::vector<char> is_measured(systems_);
    for (std::size_t ballot = 0; ballot < table_.ballot_count(); ++ballot) {
      std::ranges::fill(is_measured, char{0});
      const auto systems = table_.ballot(ballot).systems;
      const Task task = table_.ballot_tasks[ballot];
      for (const System system : systems) is_measured[system] = 1;
      for (System system = 0; system < systems_; ++system) {
        const std::size_t at = system * tasks_ + task;
        if (is_measured[system] != 0) {
          ++measured_[at];
          continue;
        }
        ++possible_[at];
        for (const System other : systems) ++together_[at * systems_ + other];
      }
    }
    std::vector<Gap> gaps;
    for (System system = 0; system < systems_; ++system) {
      for (Task task = 0; task < tasks_; ++task) add(system, task, gaps);
    }
    return gaps;
  }

 private:
  void add(System system, Task task, std::vector<Gap>& gaps) const {
    const std::size_t at = system * tasks_ + task;
    if (possible_[at] == 0) return;
    Gap gap{.system = system,
            .task = task,
            .possible = possible_[at],
            .measured = measured_[at],
            .others = std::vector<double>(systems_)};
    for (std::size_t other = 0; other < systems_; ++other) {
      gap.others[other] = static_cast<double>(together_[at * systems_ + other]) /
                          static_cast<double>(possible_[at]);
    }
    gaps.push_back(std::move(gap));
  }

  const ScoreTable& table_;
  std::size_t systems_;
  std::size_t tasks_;
  std::vector<std::uint32_t> together_;  // [systems, tasks, systems]
  std::vector<std::uint32_t> possible_;  // [systems, tasks]
  std::vector<std::uint32_t> measured_;  // [systems, tasks]
};

class Planner {
 public:
  Planner(const ScoreTable& table, const NextOptions& options)
      : table_(table),
        options_(options),
        systems_(table.system_count()),
        pairs_(checked_pairs(table, options)) {
    std::vector<System> all(systems_);
    std::iota(all.begin(), all.end(), 0U);
    const Preferences preferences = preferences_of(pairs_, TieVotes::half, all, options.prior / 2);
    plan_.strengths = fit_bradley_terry(preferences).strengths;
    information_ = bradley_terry_information(preferences, plan_.strengths);
    plan_.order = all;
    std::ranges::stable_sort(plan_.order, std::ranges::greater{},
                             [&](System i) { return plan_.strengths[i]; });
    plan_.pieces = count_pieces();
  }

  NextPlan plan(const std::function<void(std::size_t)>& progress) {
    look();
    open_at_first_ = counted();
    plan_.before = neighbour_error();
    std::vector<Gap> gaps;
    if (options_.unit == NextOptions::Unit::cells) {
      gaps = GapCounter(table_).count();
      if (gaps.empty()) {
        throw InputError(
            "next measurements: every system has a value of every task and instance; ask for pairs "
            "to be measured on new instances");
      }
    }
    std::size_t left = options_.budget;
    for (std::size_t round = 0; round < options_.rounds && left > 0; ++round) {
      check_interrupt();
      const std::size_t rounds_left = options_.rounds - round;
      const std::size_t share = (left + rounds_left - 1) / rounds_left;
      const std::size_t used =
          options_.unit == NextOptions::Unit::pairs ? buy_pair(share) : buy_cells(gaps, share);
      if (used == 0) break;
      left -= used;
      look();
      if (progress) progress(1);
    }
    plan_.unused = left;
    plan_.after = neighbour_error();
    for (auto& [key, measurement] : bought_) plan_.measurements.push_back(measurement);
    std::ranges::stable_sort(plan_.measurements, [](const auto& a, const auto& b) {
      return a.count != b.count ? a.count > b.count : a.gain > b.gain;
    });
    return std::move(plan_);
  }

 private:
  static PairTable checked_pairs(const ScoreTable& table, const NextOptions& options) {
    if (options.budget == 0 || options.rounds == 0) {
      throw InputError("next measurements: a budget of {} in {} rounds; expected at least 1 each",
                       options.budget, options.rounds);
    }
    if (!(options.confidence > 0 && options.confidence < 1)) {
      throw InputError("next measurements: confidence {}; expected a number between 0 and 1",
                       options.confidence);
    }
    if (!(options.prior > 0 && std::isfinite(options.prior))) {
      throw InputError("next measurements: prior {}; expected a positive number of comparisons",
                       options.prior);
    }
    if (table.system_count() > kMostSystems) {
      throw InputError("next measurements: {} systems; expected at most {}", table.system_count(),
                       kMostSystems);
    }
    PairTable pairs = count_pairs(table, Missing::observed);
    const auto is_vote = [](double votes) { return votes > 0; };
    if (std::ranges::none_of(pairs.wins, is_vote) && std::ranges::none_of(pairs.ties, is_vote)) {
      throw InputError(
          "next measurements: nothing measured two systems, so that nothing is known "
          "to start from");
    }
    return pairs;
  }

  std::size_t count_pieces() const {
    ComparisonGraph graph(systems_);
    for (std::size_t i = 0; i < systems_; ++i) {
      for (std::size_t j = 0; j < systems_; ++j) {
        if (i != j && pairs_.votes(i, j) > 0) graph.add(i, j);
      }
    }
    return weak_components(graph).count;
  }

  // What is known by now: covariances, open neighbours, and what each direction does for them.
  void look() {
    covariance_ = covariance_of(information_, systems_, systems_);
    const auto size = static_cast<Eigen::Index>(systems_);
    const Eigen::Map<const Matrix> covariance(covariance_.data(), size, size);
    const double limit = normal_quantile(1 - (1 - options_.confidence) / 2);
    open_.clear();
    for (std::size_t place = 0; place + 1 < systems_; ++place) {
      const double apart =
          plan_.strengths[plan_.order[place]] - plan_.strengths[plan_.order[place + 1]];
      if (apart < limit * std::sqrt(neighbour_variance(place))) open_.push_back(place);
    }
    std::vector<std::size_t> counted = open_;
    if (counted.empty()) {
      counted.resize(systems_ - 1);
      std::iota(counted.begin(), counted.end(), std::size_t{0});
    }
    Matrix reach(size, static_cast<Eigen::Index>(counted.size()));
    for (std::size_t k = 0; k < counted.size(); ++k) {
      reach.col(static_cast<Eigen::Index>(k)) =
          covariance.col(plan_.order[counted[k]]) - covariance.col(plan_.order[counted[k] + 1]);
    }
    worth_ = reach * reach.transpose();
  }

  // The places whose neighbours matter.
  std::vector<std::size_t> counted() const {
    if (!open_.empty()) return open_;
    std::vector<std::size_t> all(systems_ - 1);
    std::iota(all.begin(), all.end(), std::size_t{0});
    return all;
  }

  double variance(System a, System b) const {
    return covariance_[a * systems_ + a] + covariance_[b * systems_ + b] -
           2 * covariance_[a * systems_ + b];
  }
  double neighbour_variance(std::size_t place) const {
    return std::max(0.0, variance(plan_.order[place], plan_.order[place + 1]));
  }

  NeighbourError neighbour_error() const {
    NeighbourError error{.mean_error = 0, .open = open_.size()};
    for (const std::size_t place : open_at_first_) {
      error.mean_error +=
          std::sqrt(neighbour_variance(place)) / static_cast<double>(open_at_first_.size());
    }
    return error;
  }

  double information_of(System a, System b) const {
    const double p = portable_logistic(plan_.strengths[a] - plan_.strengths[b]);
    return p * (1 - p);
  }

  // The fall of the sum of variances by one comparison (Sherman and Morrison).
  double gain(System a, System b) const {
    const double added = information_of(a, b);
    const double worth = worth_(a, a) + worth_(b, b) - 2 * worth_(a, b);
    return added * worth / (1 + added * variance(a, b));
  }

  void add_information(System a, System b, double comparisons) {
    const double added = comparisons * information_of(a, b);
    information_[a * systems_ + a] += added;
    information_[b * systems_ + b] += added;
    information_[a * systems_ + b] -= added;
    information_[b * systems_ + a] -= added;
  }

  std::size_t buy_pair(std::size_t count) {
    NextMeasurement best{.gain = -1};
    for (System a = 0; a < systems_; ++a) {
      for (System b = a + 1; b < systems_; ++b) {
        const double of_pair = gain(a, b);
        if (of_pair > best.gain) best = {.first = a, .second = b, .gain = of_pair};
      }
    }
    best.measured = static_cast<std::size_t>(std::llround(pairs_.votes(best.first, best.second)));
    add_information(best.first, best.second, static_cast<double>(count));
    buy({best.first, best.second}, best, count);
    return count;
  }

  std::size_t buy_cells(std::vector<Gap>& gaps, std::size_t most) {
    std::size_t best = gaps.size();
    double best_gain = -1;
    for (std::size_t g = 0; g < gaps.size(); ++g) {
      if (gaps[g].possible == 0) continue;
      double of_gap = 0;
      for (System other = 0; other < systems_; ++other) {
        if (gaps[g].others[other] > 0)
          of_gap += gaps[g].others[other] * gain(gaps[g].system, other);
      }
      if (of_gap > best_gain) {
        best_gain = of_gap;
        best = g;
      }
    }
    if (best == gaps.size()) return 0;
    Gap& gap = gaps[best];
    const std::size_t count = std::min(most, gap.possible);
    for (System other = 0; other < systems_; ++other) {
      if (gap.others[other] > 0) {
        add_information(gap.system, other, static_cast<double>(count) * gap.others[other]);
      }
    }
    buy({gap.system, gap.task},
        {.first = gap.system,
         .task = gap.task,
         .possible = gap.possible,
         .measured = gap.measured,
         .gain = best_gain},
        count);
    gap.possible -= count;
    return count;
  }

  // The first purchase of a kind says its gain and how much there was to buy.
  void buy(std::pair<std::uint32_t, std::uint32_t> key, const NextMeasurement& measurement,
           std::size_t count) {
    bought_.try_emplace(key, measurement).first->second.count += count;
  }

  const ScoreTable& table_;
  const NextOptions& options_;
  std::size_t systems_;
  PairTable pairs_;
  NextPlan plan_;
  std::vector<double> information_;  // [systems, systems]
  std::vector<double> covariance_;   // [systems, systems]
  Matrix worth_;                     // sum of squares of what directions do to open neighbours
  std::vector<std::size_t> open_;    // places of neighbours that are not told apart
  std::vector<std::size_t> open_at_first_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, NextMeasurement> bought_;
};

}  // namespace

NextPlan plan_measurements(const ScoreTable& table, const NextOptions& options,
                           const std::function<void(std::size_t)>& progress) {
  return Planner(table, options).plan(progress);
}

}  // namespace amalgam::scores
