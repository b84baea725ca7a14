#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/statistics.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network_file.hpp"

namespace amalgam::learned {

using learning::NamedTensors;

/// One base and the experts fine-tuned from it: what merges are made of in a study of what matters
/// for merging (Yadav et al. 2024, arXiv 2410.03617).
struct StudySetting {
  std::string base;        ///< how good the base is: "strong", "weak", ...
  double size = 0;         ///< of the networks, in any unit
  std::uint64_t seed = 0;  ///< settings of one seed are compared with each other
  std::shared_ptr<learning::Network> network;  ///< the base
  std::vector<NamedTensors> experts;
  std::vector<learning::Dataset> validation;  ///< of each expert's task, to choose parameters by
  std::vector<learning::Dataset> test;        ///< of each expert's task
  std::vector<learning::Dataset> held_out;    ///< of tasks that no expert saw; may be empty
};

/// A merge and the parameter that is chosen for it on validation data.
struct StudyMethod {
  std::string name;
  std::string rule;
  std::vector<std::string> parameters;  ///< as for -p
  bool with_base = true;
  std::string searched;        ///< a parameter; empty: nothing is chosen
  std::vector<double> values;  ///< of it
};

/// Averaging, task arithmetic, TIES (density 0.2) and DARE followed by TIES (drop rate 0.9), each
/// but averaging with lambda chosen from 0.1, 0.2, ..., 1.
std::vector<StudyMethod> standard_study_methods();

struct StudyOptions {
  std::vector<StudyMethod> methods = standard_study_methods();
  /// How many experts are merged; more than there are is refused.
  std::vector<std::size_t> counts = {2, 4};
  std::size_t subsets = 1;            ///< of the experts, drawn for each count (all of them: once)
  std::function<void()> after_merge;  ///< for progress and interruption
};

/// One merge of the study. Scores are accuracies, normalised ones relative to what the merge is of.
struct StudyRow {
  std::string base;
  double size = 0;
  std::uint64_t seed = 0;
  std::string method;
  std::vector<std::size_t> experts;  ///< which, ascending
  double chosen = 0;                 ///< value of the searched parameter; NaN: none
  /// Mean over the merged experts' tasks of merged / expert; NaN if an expert scores 0.
  double held_in = 0;
  /// Mean over the held-out tasks of merged / base; NaN without any, or if the base scores 0.
  double held_out = 0;
  double held_in_raw = 0;  ///< mean accuracy
  double held_out_raw = 0;
};

/// The mean of scores[i] / references[i]. InputError for other lengths, nothing, and references
/// that are not above 0.
double normalised_mean(std::span<const double> scores, std::span<const double> references);

/// All merges of one setting: subsets x methods, in this order. The subsets depend on the setting's
/// seed and the count only. InputError if the setting or a method does not fit.
std::vector<StudyRow> study_merges(const StudySetting& setting, const StudyOptions& options = {});

/// A comparison of rows that differ in one thing only, with the mean over seeds; the interval is a
/// 95 % bootstrap over seeds, or the estimate itself where there is one seed.
struct StudyFinding {
  std::string text;
  double estimate = 0;
  Interval interval;
};

/// What the rows say, in normalised held-in scores: each base against the worst one, the slope per
/// doubling of the size, the drop from the fewest experts to the most, and the spread of the
/// methods by size; and which share of merges is above its base on held-out tasks. Comparisons
/// that the rows do not allow are left out.
std::vector<StudyFinding> study_findings(const std::vector<StudyRow>& rows);

}  // namespace amalgam::learned
