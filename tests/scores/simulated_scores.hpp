#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

/// Right or wrong answers (1 or 0) of systems with the given chances, each to the same `instances`
/// of each of `tasks` tasks; the share `gaps` of cells is not measured.
inline ScoreTable simulated_answers(const std::vector<double>& chances, std::size_t tasks,
                                    std::size_t instances, std::uint64_t seed, double gaps = 0) {
  RandomStream random(seed, "simulated answers");
  ScoreBuilder builder;
  std::vector<System> systems;
  for (std::size_t i = 0; i < chances.size(); ++i) {
    systems.push_back(builder.system(std::to_string(i)));
  }
  for (std::size_t t = 0; t < tasks; ++t) {
    const Task task = builder.task("task " + std::to_string(t));
    builder.info(task).kind = ScoreKind::binary;
    for (std::size_t k = 0; k < instances; ++k) {
      const Instance instance = builder.instance(std::to_string(k));
      for (std::size_t i = 0; i < chances.size(); ++i) {
        const double answer = random.uniform() < chances[i] ? 1 : 0;
        if (random.uniform() >= gaps) builder.add(systems[i], task, instance, answer);
      }
    }
  }
  return builder.finish("simulated answers");
}

/// `count` comparisons of pairs drawn at random, won by the odds of the strengths (as logarithms).
inline ScoreTable simulated_battles(const std::vector<double>& strengths, std::size_t count,
                                    std::uint64_t seed) {
  RandomStream random(seed, "simulated battles");
  ScoreBuilder builder;
  for (std::size_t i = 0; i < strengths.size(); ++i) builder.system(std::to_string(i));
  Comparisons& comparisons = builder.comparisons();
  for (std::size_t row = 0; row < count; ++row) {
    const auto first = static_cast<System>(random.below(strengths.size()));
    auto second = static_cast<System>(random.below(strengths.size() - 1));
    second += second >= first ? 1 : 0;
    const double odds = std::exp(strengths[first] - strengths[second]);
    comparisons.first.push_back(first);
    comparisons.second.push_back(second);
    comparisons.outcomes.push_back(random.uniform() < odds / (1 + odds) ? 1 : -1);
  }
  return builder.finish("simulated battles");
}

}  // namespace amalgam::scores
