#include "amalgam/scores/pool/pool_ranking.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/rank_correlation.hpp"

namespace amalgam::scores {
namespace {

Ranking rank_table(const ScoreTable& table, const PoolRankOptions& options) {
  RankContext context;
  context.seed = options.seed;
  context.parallel = options.parallel;
  return rank_systems(options.method, table, options.parameters, options.missing, context);
}

double tau_to(const ScoreTable& table, const Ranking& ranking, const ScoreTable& all,
              const Ranking& of_all) {
  std::vector<double> x;
  std::vector<double> y;
  for (std::size_t s = 0; s < table.system_count(); ++s) {
    const std::uint32_t same = all.systems.find(table.systems[s]);
    if (same == StringPool::npos || std::isnan(ranking.scores[s]) ||
        std::isnan(of_all.scores[same])) {
      continue;
    }
    x.push_back(ranking.scores[s]);
    y.push_back(of_all.scores[same]);
  }
  return kendall_tau_b(x, y);
}

}  // namespace

PoolRanking rank_pool(const SamplePool& pool, std::span<const PoolEntry> entries,
                      std::span<const SelectedSample> selected, const PoolRankOptions& options) {
  std::vector<std::int64_t> ids;
  for (const SelectedSample& one : selected) ids.push_back(entries[one.entry].id);
  PoolRanking found;
  found.table = pool.scores(ids);
  found.ranking = rank_table(found.table, options);
  found.ranks = ranks_of(found.ranking.scores, found.ranking.tie_tolerance);
  const PairTable pairs = count_pairs(found.table, Missing::observed, {}, options.parallel);
  for (std::size_t i = 0; i < pairs.systems; ++i) {
    for (std::size_t j = 0; j < pairs.systems; ++j) {
      if (i == j) continue;
      found.strict_comparisons += pairs.win(i, j);
      found.ties += pairs.tie(i, j) / 2;
    }
  }
  if (ids.size() == entries.size()) {
    found.tau_to_all = 1;
    return found;
  }
  std::vector<std::int64_t> every;
  for (const PoolEntry& entry : entries) every.push_back(entry.id);
  const ScoreTable all = pool.scores(every);
  try {
    found.tau_to_all = tau_to(found.table, found.ranking, all, rank_table(all, options));
  } catch (const InputError& error) {
    found.tau_to_all = std::numeric_limits<double>::quiet_NaN();
    found.ranking.warnings.push_back(fmt::format("all samples together: {}", error.what()));
  }
  return found;
}

}  // namespace amalgam::scores
