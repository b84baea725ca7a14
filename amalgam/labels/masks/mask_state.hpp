#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/labels/masks/mask.hpp"
#include "amalgam/labels/state_rows.hpp"
#include "amalgam/labels/task_texts.hpp"

namespace amalgam::labels {

struct MaskAbsorbOptions {
  /// The mask that a text stands for, row `row` of those that are added; called from several
  /// threads when the task's turn comes. Without it texts are those of parse_mask.
  std::function<Mask(std::string_view text, std::size_t row)> mask;
  std::string where;  ///< what errors begin with, such as the name of a file; may be empty
  Parallel parallel;
};

/// Masks and what was made of each task's, which take in more of them: tasks of new ones are fitted
/// again, to all of theirs, so that the results are those of all at once, to the bit.
class MaskState {
 public:
  enum class Keep {
    masks,    ///< as run lengths
    results,  ///< what was made of masks alone: no more can be taken in, nor the state be saved
  };

  /// Of no task. InputError unless `method` is em (segmentation_em) or majority (majority_mask).
  explicit MaskState(std::string method, Keep keep = Keep::masks);
  /// InputError naming the file if it is no such state, or does not fit together.
  explicit MaskState(const ColumnReader& reader);

  /// Takes in masks: texts, and what `options` say that they are. In the report, all tasks of
  /// `added` are updated ones. InputError for what is no mask, and for masks of one task that
  /// differ in size; nothing changes then.
  AbsorbReport absorb(TaskTexts added, const MaskAbsorbOptions& options = {});

  const std::string& method() const { return head_.method; }
  bool judges_workers() const;
  /// Run lengths of all masks; empty texts if they are not kept.
  const TaskTexts& masks() const { return masks_; }
  /// [tasks] as run lengths.
  const std::vector<std::string>& results() const { return results_; }
  /// [rows of masks()] the probability of being right on a pixel; empty if it judges no workers.
  const std::vector<double>& skills() const { return skills_; }

  /// Error if masks are not kept.
  ColumnSet columns() const;
  /// Writes the state as a safetensors file; it is there whole or not at all. As check_state_name.
  void save(const std::filesystem::path& path) const { write_column_file(path, columns()); }

 private:
  struct Found {
    std::string mask;
    std::vector<std::size_t> rows;  // of the task, as they will be
    std::vector<double> skills;     // [rows] or none
  };
  Found fitted(TaskTexts& added, std::uint32_t task, const MaskAbsorbOptions& options) const;

  StateHead head_;
  Keep keep_ = Keep::masks;
  TaskTexts masks_;
  std::vector<std::string> results_;
  std::vector<double> skills_;
};

}  // namespace amalgam::labels
