#pragma once

#include "amalgam/labels/annotation_table.hpp"

namespace amalgam::labels {

/// The annotations of both tables, in one.
inline AnnotationTable joined(const AnnotationTable& first, const AnnotationTable& second) {
  AnnotationBuilder both;
  for (const AnnotationTable* table : {&first, &second}) {
    for (std::size_t k = 0; k < table->label_count(); ++k) both.label(table->label_names[k]);
    for (const Task task : table->appearance) both.task(table->task_names[task]);
    for (std::size_t row = 0; row < table->rows(); ++row) {
      both.add(both.task(table->task_names[table->tasks[row]]),
               both.worker(table->worker_names[table->workers[row]]),
               both.label(table->label_names[table->labels[row]]));
    }
  }
  return both.finish("both");
}

}  // namespace amalgam::labels
