#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/scores/kemeny/leads.hpp"
#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

struct RandomTable {
  std::size_t systems = 5;
  std::size_t tasks = 4;
  std::uint64_t levels = 4;  // few: many ties
  double missing = 0;        // share of the values
};

/// Values 0, 1, ... drawn independently; every system has at least one.
inline ScoreTable random_table(const RandomTable& shape, RandomStream& random) {
  std::vector<double> values(shape.systems * shape.tasks);
  for (double& value : values) {
    value = static_cast<double>(random.below(shape.levels));
    if (random.uniform() < shape.missing) value = std::numeric_limits<double>::quiet_NaN();
  }
  for (std::size_t system = 0; system < shape.systems; ++system) {
    double& value = values[system * shape.tasks + random.below(shape.tasks)];
    if (std::isnan(value)) value = 0;
  }
  return make_score_table(values, shape.systems, shape.tasks);
}

/// Values that mostly follow one order of the systems: system i has i plus noise.
inline ScoreTable concordant_table(std::size_t systems, std::size_t tasks, double noise,
                                   RandomStream& random) {
  std::vector<double> values(systems * tasks);
  for (std::size_t system = 0; system < systems; ++system) {
    for (std::size_t task = 0; task < tasks; ++task) {
      values[system * tasks + task] = static_cast<double>(system) + noise * random.normal();
    }
  }
  return make_score_table(values, systems, tasks);
}

/// What looking at every order finds.
struct BruteForce {
  kemeny::Order first;  // of those of least cost
  double cost = 0;
  std::size_t optima = 0;
};

inline BruteForce brute_force(const PairTable& pairs) {
  kemeny::Order order(pairs.systems);
  std::iota(order.begin(), order.end(), 0U);
  BruteForce best{.cost = std::numeric_limits<double>::infinity()};
  do {
    double cost = 0;
    for (std::size_t a = 0; a < order.size(); ++a) {
      for (std::size_t b = a + 1; b < order.size(); ++b) {
        cost += pairs.preference(order[b], order[a]);
      }
    }
    if (cost < best.cost - 1e-9) best = {order, cost, 0};
    if (cost < best.cost + 1e-9) ++best.optima;
  } while (std::ranges::next_permutation(order).found);
  return best;
}

}  // namespace amalgam::scores
