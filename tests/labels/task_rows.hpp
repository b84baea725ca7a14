#pragma once

#include <span>
#include <string>

#include "amalgam/labels/task_texts.hpp"

namespace amalgam::labels {

/// What a worker gave of a task, as a row of a file: a transcription, or a mask as run lengths.
struct TaskRow {
  std::string task;
  std::string worker;
  std::string text;
};

inline TaskTexts task_texts(std::span<const TaskRow> rows) {
  TaskTexts texts;
  for (const TaskRow& row : rows) texts.add(row.task, row.worker, row.text);
  return texts;
}

}  // namespace amalgam::labels
