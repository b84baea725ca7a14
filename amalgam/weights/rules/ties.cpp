#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/task_vector.hpp"

namespace amalgam::rules {

const MergeRule& ties() {
  static const TaskVectorRule kRule(
      {.name = "ties",
       .summary = "Trims each task vector to its largest entries, elects a sign per parameter and "
                  "averages the members that have it.",
       .source = "Yadav et al. 2023, TIES-Merging (arXiv 2306.01708)"},
      {.sparsify = Sparsify::magnitude, .consensus = true, .normalize = true});
  return kRule;
}

}  // namespace amalgam::rules
