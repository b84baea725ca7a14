#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/scores/score_table.hpp"
#include "amalgam/scores/uncertainty/paired_tests.hpp"

namespace amalgam::scores {

/// A table, looked at by pairs of systems. It must outlive this.
class PairedMeasurements {
 public:
  /// What belongs together among ballots; comparisons have clusters of their own.
  enum class Clusters {
    none,       ///< each ballot stands alone
    instances,  ///< an instance's values in all tasks
    tasks,      ///< all instances of a task
  };

  explicit PairedMeasurements(const ScoreTable& table, Clusters clusters = Clusters::none);

  /// The differences of two systems on all ballots that measured both, in their order; if there is
  /// no such ballot, the outcomes of their comparisons: 1, -1 and 0, all of one task.
  PairedSample sample(System first, System second) const;

 private:
  void add_ballots(System first, System second, PairedSample& sample) const;
  void add_comparisons(System first, System second, PairedSample& sample) const;

  const ScoreTable* table_;
  Clusters clusters_;
  std::vector<std::vector<std::uint32_t>> ballots_of_;  // by system, increasing
  std::vector<std::vector<std::uint64_t>> rows_of_;     // by system, as many
  std::vector<std::uint32_t> comparisons_;              // sorted by pair
  std::vector<std::uint64_t> pairs_;                    // of them
};

/// The test that fits a table: mcnemar if all tasks are binary, sign if some are ordinal or there
/// are only comparisons, mean otherwise and wherever there are clusters.
PairedTest fitting_test(const ScoreTable& table, PairedMeasurements::Clusters clusters);

/// One pair of systems, its test, and the p-values adjusted over all pairs that were tested.
struct PairComparison {
  System first = 0;
  System second = 0;
  PairedResult result;
  double p_holm = 1;
  double p_benjamini_hochberg = 1;
};

/// Tests the given pairs; every pair draws from a stream of its own number, so that the result is
/// the same bits for any number of threads. InputError as compare_pair.
std::vector<PairComparison> compare_pairs(const PairedMeasurements& measurements,
                                          const std::vector<std::pair<System, System>>& pairs,
                                          const PairedTestOptions& options,
                                          const Parallel& parallel = {});

}  // namespace amalgam::scores
