#pragma once

#include <filesystem>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/labels/task_texts.hpp"
#include "amalgam/labels/text/rover.hpp"

namespace amalgam::labels {

/// Transcriptions and what ROVER made of each task's, which take in more of them: the tasks of new
/// ones are aligned again, all of theirs, so that the results are those of all at once, to the bit.
class TranscriptionState {
 public:
  /// Of no task.
  TranscriptionState() = default;
  /// InputError naming the file if it is no such state, or does not fit together.
  explicit TranscriptionState(const ColumnReader& reader);

  /// Takes in texts. In the report, all tasks of `added` are updated ones. InputError as rover(),
  /// and nothing changes.
  AbsorbReport absorb(TaskTexts added, const Parallel& parallel = {});

  const TaskTexts& texts() const { return texts_; }
  /// [tasks], of the texts in the order of workers' names and, of one worker, of their bytes.
  const std::vector<Transcription>& results() const { return results_; }

  ColumnSet columns() const;
  /// Writes the state as a safetensors file; it is there whole or not at all. As check_state_name.
  void save(const std::filesystem::path& path) const { write_column_file(path, columns()); }

 private:
  TaskTexts texts_;
  std::vector<Transcription> results_;
};

}  // namespace amalgam::labels
