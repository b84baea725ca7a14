#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

/// What a file of measurements looks like.
enum class ScoreForm {
  automatic,  ///< found out from names of columns and keys, and of files in folders
  wide,       ///< one row per system, one column per task
  long_form,  ///< one row per value: system, task, instance, score
  battles,    ///< one row per comparison: model_a, model_b, winner
  arena,      ///< battles as chat arenas publish them: JSON with votes that do not count marked
  lm_eval,    ///< lm-evaluation-harness: results_*.json and samples_*.jsonl, or folders of them
  helm,       ///< HELM: run folders (run_spec.json, stats.json, per_instance_stats.json)
  inspect,    ///< Inspect: evaluation logs (.json, .eval), or folders of them
};
/// "automatic", "wide", "long", "battles", "arena", "lm-eval", "helm", "inspect".
std::string_view score_form_name(ScoreForm form);
/// InputError listing the names otherwise.
ScoreForm score_form_of_name(std::string_view name);

/// "error", "mean", "first", "last"; InputError listing them otherwise.
Repeats repeats_of_name(std::string_view name);
/// "cardinal", "binary", "ordinal"; InputError listing them otherwise.
ScoreKind score_kind_of_name(std::string_view name);

/// How files of measurements are read. Names of columns are names of keys in JSON. An empty name is
/// the usual one, and the column may be absent where it says "optional"; a name that was given must
/// be there.
struct ScoreFormat {
  ScoreForm form = ScoreForm::automatic;

  /// Wide: the first column. Long: "system", "model", "model_name" or "name".
  std::string system;
  std::string task;  ///< long: "task", "dataset" or "benchmark"
  /// Optional. Long: "instance", "instance_id", "sample_id", "doc_id" or "item". Wide: none, so
  /// that each row is a system; with one, each row is a system on an instance.
  std::string instance;
  std::string score;   ///< long: "score" or "value"
  std::string metric;  ///< long, optional: "metric"; tasks are then named task:metric
  std::string kind;    ///< long, optional: "kind", one of score_kind_name for all rows of a task
  std::string weight;  ///< long and battles, optional: "weight" (long: the same for all of a task)
  /// Long, optional: "higher_is_better", true or false, the same for all rows of a task.
  std::string direction;
  /// Wide: the tasks. Empty: all numeric columns but the system's and those called Score, Average,
  /// Avg, Mean, Overall or Rank.
  std::vector<std::string> columns;

  std::string first;    ///< battles: "model_a"
  std::string second;   ///< battles: "model_b"
  std::string winner;   ///< battles: "winner"
  std::string cluster;  ///< battles, optional: "cluster" ("judge" and "question_id" are others)
  /// Battles, optional: "tstamp" or "timestamp", a number of seconds. If all battles have one, they
  /// are brought into its order; else they stay in that of the files.
  std::string time;
  /// Battles: covariates of differences first - second. NAME is a column of differences, or two
  /// columns NAME_a and NAME_b; in arena files also tokens, headers, lists and bold, of the
  /// answers.
  std::vector<std::string> covariates;
  /// Covariates of two columns are (a - b) / (a + b), 0 if both are 0, instead of a - b.
  bool relative_covariates = false;

  /// Exports (lm-eval, HELM, Inspect): the metrics or scorers that count. Empty: for each task the
  /// usual one. With several, tasks are named task:metric.
  std::vector<std::string> metrics;

  /// Of tasks by name; a name that no task has is an InputError.
  std::vector<std::string> lower_is_better;
  std::vector<std::string> higher_is_better;
  std::vector<std::pair<std::string, double>> weights;
  std::vector<std::pair<std::string, ScoreKind>> kinds;

  Repeats repeats = Repeats::error;
  char separator = ',';  ///< .tsv and .tab files have tabs whatever this says
  /// Called with the bytes that were read since the last call.
  std::function<void(std::uint64_t bytes)> on_bytes;
};

/// What was noticed while reading.
struct ScoreNotes {
  ScoreForm form = ScoreForm::automatic;  ///< of the last file
  std::vector<std::string> warnings;      ///< sentences, beginning with the file
  std::vector<std::string> left_out;      ///< numeric columns and metrics that do not count
  std::uint64_t missing = 0;              ///< cells and keys without a value
  std::uint64_t repeats = 0;              ///< values that were merged into or replaced by others
  std::uint64_t dropped = 0;  ///< battles that do not count, of a system with itself too
};

/// Reads measurements from files and folders into one table: comma- or tab-separated values with a
/// header, JSON lines (.jsonl, .ndjson) or a JSON list (.json) of objects with the same keys, and
/// what tools for evaluation write. Names are taken without the spaces around them. Cells that are
/// empty, NA, nan, null, none, ? or - say that nothing was measured. A task whose values are all 0
/// or 1 and that has instances is binary unless the format says otherwise.
///
/// A winner is model_a, a, left or the name of the first system; model_b, b, right or the name of
/// the second; tie, "tie (bothbad)", both_bad, both or draw; in any case. Without such a column,
/// winner_model_a, winner_model_b and winner_tie say it by a 1.
///
/// InputError naming the file and place: no such file or column (with the nearest name), text that
/// is not UTF-8, rows of another length than the header, a named column that is not numeric, a
/// value that is infinite, another winner, a system twice in a wide file (unless repeats are
/// allowed), contradictory kinds, directions or weights of a task, negative weights, tasks of the
/// format that are not there, a file that is none of these; and as ScoreBuilder::finish. Files of
/// several kinds make one table together.
ScoreTable read_scores(const std::vector<std::filesystem::path>& paths, const ScoreFormat& format,
                       ScoreNotes* notes = nullptr);

/// The total size of files and of what is in folders, for progress; InputError naming a path that
/// is missing.
std::uint64_t total_size(const std::vector<std::filesystem::path>& paths);

}  // namespace amalgam::scores
