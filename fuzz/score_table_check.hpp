#pragma once

#include <cmath>
#include <cstdlib>

#include "amalgam/scores/score_table.hpp"

/// Aborts unless a table holds together.
inline void check_score_table(const amalgam::scores::ScoreTable& table) {
  const auto need = [](bool holds) {
    if (!holds) std::abort();
  };
  need(table.system_count() >= 2 && table.task_infos.size() == table.task_count());
  need(table.ballot_begins.size() == table.ballot_count() + 1);
  need(table.ballot_begins.back() == table.rows() && table.row_systems.size() == table.rows());
  for (std::size_t ballot = 0; ballot < table.ballot_count(); ++ballot) {
    need(table.ballot_begins[ballot] < table.ballot_begins[ballot + 1]);
    need(table.ballot_tasks[ballot] < table.task_count());
    need(table.ballot_instances[ballot] < table.instances.size());
  }
  for (std::size_t row = 0; row < table.rows(); ++row) {
    need(table.row_systems[row] < table.system_count() && std::isfinite(table.values[row]));
  }
  for (const amalgam::scores::TaskInfo& info : table.task_infos) {
    need(info.weight >= 0 && std::isfinite(info.weight));
  }
  const amalgam::scores::Comparisons& all = table.comparisons;
  need(all.first.size() == all.size() && all.second.size() == all.size());
  need(all.weights.empty() || all.weights.size() == all.size());
  need(all.clusters.empty() || all.clusters.size() == all.size());
  need(all.covariates.size() == all.size() * all.covariate_names.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    need(all.first[i] < table.system_count() && all.second[i] < table.system_count());
    need(all.first[i] != all.second[i] && std::abs(all.outcomes[i]) <= 1);
    need(all.weight(i) >= 0);
  }
  for (const float covariate : all.covariates) need(std::isfinite(covariate));
}
