#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "amalgam/core/statistics.hpp"
#include "amalgam/labels/annotation_table.hpp"

namespace amalgam::labels {

/// How far apart two labels are, for Krippendorff's alpha.
enum class LabelMetric {
  nominal,   ///< equal or not
  ordinal,   ///< by how many annotations lie between them, labels in their order
  interval,  ///< by their difference; all labels must be numbers
};

/// Chance-corrected agreement of annotators on the tasks that have at least two annotations.
/// Several annotations of one worker for one task count like those of several workers.
struct Agreement {
  std::uint64_t tasks = 0;        ///< with at least two annotations
  std::uint64_t annotations = 0;  ///< of them
  /// Mean over tasks of the share of pairs of annotations that agree.
  double observed = 0;
  double alpha = 0;         ///< Krippendorff 2011, from the coincidence matrix; NaN if undefined
  double fleiss_kappa = 0;  ///< Fleiss 1971, numbers of annotations may differ; NaN if undefined
  std::optional<Interval> alpha_interval;  ///< 95 %, bootstrap over tasks
};

/// InputError if no task has two annotations, for the interval metric if a label is no number, and
/// for more than 4096 labels with another metric than nominal.
Agreement agreement(const AnnotationTable& table, LabelMetric metric = LabelMetric::nominal,
                    std::size_t resamples = 0, std::uint64_t seed = 0);

/// How well annotators agree on one label.
struct LabelAgreement {
  std::uint64_t annotations = 0;
  double prevalence = 0;  ///< share of the annotations
  /// Given that one annotation of a task has this label, the probability that another one has it
  /// too (Cicchetti and Feinstein 1990); NaN if no task with two annotations has it.
  double specific = 0;
  double kappa = 0;  ///< Fleiss' kappa of this label against all others; NaN if undefined
};
std::vector<LabelAgreement> label_agreement(const AnnotationTable& table);

/// Two annotators on the tasks that both annotated.
struct PairAgreement {
  Worker first = 0;
  Worker second = 0;
  std::uint64_t tasks = 0;  ///< of both; of several annotations of a worker the first one counts
  double observed = 0;      ///< share of them on which they agree
  double kappa = 0;         ///< Cohen 1960; NaN if both always say the same label
};
/// All pairs with at least `fewest_tasks` (>= 1) tasks in common, in the order of workers.
/// InputError if there are more than `most_pairs` pairs of annotators.
std::vector<PairAgreement> pair_agreement(const AnnotationTable& table, std::uint64_t fewest_tasks,
                                          std::size_t most_pairs = 20'000'000);

/// The entropy of the votes of each task, in bits; 0 without annotations. [tasks]
std::vector<double> vote_entropy(const AnnotationTable& table);

}  // namespace amalgam::labels
