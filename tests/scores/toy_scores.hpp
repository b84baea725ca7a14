#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/scores/rank_aggregator.hpp"

namespace amalgam::scores {

inline constexpr double kGap = std::numeric_limits<double>::quiet_NaN();

/// A table without instances from one row of values per system.
inline ScoreTable table_of(const std::vector<std::vector<double>>& rows,
                           const std::vector<std::string>& names = {}) {
  std::vector<double> values;
  for (const std::vector<double>& row : rows) values.insert(values.end(), row.begin(), row.end());
  return make_score_table(values, rows.size(), rows.front().size(), names);
}

/// A table from rankings, best first, each of all systems.
inline ScoreTable table_of_rankings(const std::vector<std::vector<System>>& rankings) {
  const std::size_t systems = rankings.front().size();
  std::vector<double> values(systems * rankings.size());
  for (std::size_t task = 0; task < rankings.size(); ++task) {
    for (std::size_t place = 0; place < systems; ++place) {
      values[rankings[task][place] * rankings.size() + task] = static_cast<double>(systems - place);
    }
  }
  return make_score_table(values, systems, rankings.size());
}

/// Random values in steps (so that some tie) with gaps; every system and task has a value.
inline ScoreTable random_table(std::size_t systems, std::size_t tasks, double gaps,
                               std::uint64_t seed) {
  RandomStream random(seed, "toy scores");
  std::vector<std::vector<double>> rows(systems, std::vector<double>(tasks));
  for (std::size_t system = 0; system < systems; ++system) {
    for (std::size_t task = 0; task < tasks; ++task) {
      const auto value = static_cast<double>(random.below(2 * systems));
      const bool gap =
          random.uniform() < gaps && system % tasks != task && task % systems != system;
      rows[system][task] = gap ? kGap : value;
    }
  }
  return table_of(rows);
}

inline std::vector<std::uint32_t> ranks_by(std::string_view method, const ScoreTable& table,
                                           std::vector<std::string> parameters = {}) {
  const Ranking ranking = rank_systems(method, table, parameters);
  return ranks_of(ranking.scores, ranking.tie_tolerance);
}

}  // namespace amalgam::scores
