#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/number_evaluation.hpp"
#include "cli/learning/merge_data.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// The figures of an evaluation as JSON: examples, accuracy, nll and ece with their intervals. (Its
/// classes are added by add_classes.)
Json figures_json(const learning::Evaluation& evaluation);
/// "per_class": name, number of examples and accuracy of every class.
void add_classes(Json& json, const learning::Evaluation& evaluation);

/// 0.8765 as "87.65".
std::string percent(double share);

/// How good a merged network is on one of the data sets that its recipe names.
struct MergeEvaluation {
  std::string name;
  learning::Evaluation evaluation;
  std::optional<learning::NumberFigures> numbers = {};  ///< instead, of numbers to predict
};

/// Evaluates the network at `output` on all that `data` names; bootstrap intervals, by `seed`, only
/// with `intervals`. InputError naming the file or the data.
std::vector<MergeEvaluation> evaluate_merge(const std::string& output, MergeData& data,
                                            std::uint64_t seed, bool intervals);
Json to_json(const std::vector<MergeEvaluation>& evaluations);
void print_evaluations(const std::vector<MergeEvaluation>& evaluations);

}  // namespace amalgam::cli
