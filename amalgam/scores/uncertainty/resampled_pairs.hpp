#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "amalgam/scores/pair_table.hpp"
#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

/// What a bootstrap draws with replacement. Comparisons are drawn one by one, or by cluster where
/// they have clusters, whatever the unit.
enum class ResampleUnit {
  instances,  ///< ballots within their task; of a table without instances: ballots
  /// Instances, each with its ballots in all tasks: for tasks that are several measures of the same
  /// outputs, which are good or bad together. Of a table without instances: ballots.
  shared_instances,
  tasks,  ///< tasks, each with all its ballots
};

/// One resample of a table as factors of its parts: how often each was drawn.
struct ResampleCounts {
  std::vector<double> ballots;      ///< [ballots], or empty: 1 each
  std::vector<double> comparisons;  ///< [comparisons], or empty
  std::vector<double> tasks;        ///< [tasks], or empty: 1 each

  /// Valid while this lives.
  Reweighting factors() const {
    return {.ballots = ballots, .comparisons = comparisons, .tasks = tasks};
  }
};

/// Resample `replicate` of the table: a pure function of the arguments.
ResampleCounts draw_resample(const ScoreTable& table, ResampleUnit unit, std::uint64_t seed,
                             std::size_t replicate);

/// Makes the pair tables of bootstrap resamples without making the resamples.
///
/// Of a table of comparisons that stand alone, a resample's counts are a multinomial draw over the
/// distinct (pair, outcome, weight) cells, so that its time depends on the number of cells and not
/// on that of comparisons: exact, not an approximation. Comparisons in clusters are counted once
/// more with their clusters' factors, and so are ballots. `table` must outlive the resampler, which
/// is safe to use from several threads at the same time.
class PairResampler {
 public:
  explicit PairResampler(const ScoreTable& table, Missing missing = Missing::observed,
                         ResampleUnit unit = ResampleUnit::instances);

  /// The pair table of resample `replicate` under `seed`: a pure function of both. InputError as
  /// count_pairs.
  PairTable resample(std::uint64_t seed, std::size_t replicate) const;

 private:
  // Comparisons that are alike.
  struct Cell {
    System first;
    System second;
    std::int8_t outcome;
    float weight;
    std::uint64_t count;
  };

  void make_cells();
  PairTable draw_cells(std::uint64_t seed, std::size_t replicate) const;

  const ScoreTable* table_;
  Missing missing_;
  ResampleUnit unit_;
  std::vector<Cell> cells_;  // empty: the table has ballots or clusters
};

}  // namespace amalgam::scores
