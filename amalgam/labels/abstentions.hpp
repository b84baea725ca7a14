#pragma once

#include <cstdint>
#include <string_view>

#include "amalgam/labels/annotation_table.hpp"

namespace amalgam::labels {

/// What becomes of annotations that give no label but say that the worker saw the task.
enum class Abstained {
  dropped,  ///< no rows, as if the worker had not seen the task: for every method
  /// Rows of weight 0, which count nowhere: for dawid-skene with abstentions=marked, which learns
  /// of what kind the tasks are that a worker abstains on.
  marked,
};

/// Takes `label` out of the table's labels: annotations with it are abstentions. Tasks and workers
/// stay, also those without another annotation. `count` (may be null) is set to how many there
/// were. InputError if all annotations have this label.
AnnotationTable with_abstentions(AnnotationTable table, std::string_view label, Abstained what,
                                 std::uint64_t* count = nullptr);

}  // namespace amalgam::labels
