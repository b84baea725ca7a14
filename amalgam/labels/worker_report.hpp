#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/labels/annotation_table.hpp"

namespace amalgam::labels {

/// What there is to know of a worker without any gold: his annotations against the majority of the
/// others on the same tasks (ties among the others do not count).
struct WorkerReport {
  std::uint64_t annotations = 0;
  std::uint64_t compared = 0;  ///< of them, on tasks where the others have a majority
  double agreement = 0;        ///< share of those that are the others' majority; NaN if none
  /// The agreement that the worker's labels would have if they had nothing to do with the tasks.
  double chance = 0;
  double z = 0;  ///< of the agreement against chance, in standard deviations; 0 if not defined
  Label most_given = kNoLabel;
  double most_given_share = 0;
  /// How much the worker's answers depend on the majority's label: 0 for a spammer, 1 for someone
  /// perfect (Raykar and Yu 2012, equation 5), from counts with half a pseudo-count per cell.
  double spam_score = 0;
  std::optional<double> median_seconds;  ///< between annotations; with times only

  /// Trend of the agreement over time, with times only: agreement in the first and the last third,
  /// the standardised correlation of agreement and order, and its two-sided p, Holm over workers.
  struct Drift {
    double first = 0;
    double last = 0;
    double z = 0;
    double p = 1;
  };
  std::optional<Drift> drift;

  /// Why one should look at this worker: "constant", "random", "adversarial", "fast", "drifts",
  /// "copies NAME". Rules are in the documentation of worker_reports.
  std::vector<std::string> flags;
};

/// Reports on all workers. A worker with at least `fewest` annotations is flagged
/// - constant: at least 95 % of his labels are the same one, which the others give on fewer than
///   80 % of his tasks;
/// - adversarial: his agreement is below chance by 3 standard deviations;
/// - random: it is not above chance by 2 standard deviations, and below the median worker's by 3;
/// - copies NAME: on at least `fewest` common tasks both always give the same label, at least 3 of
///   these are not the majority of the others, and two who work alone, each as often right as they
///   are, would agree so often with a probability below 0.01, all pairs together;
/// - fast: the median time between annotations is below a quarter of the typical worker's;
/// - drifts: the trend of his agreement has p < 0.05.
std::vector<WorkerReport> worker_reports(const AnnotationTable& table, std::uint64_t fewest = 10);

}  // namespace amalgam::labels
