#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/task_vector.hpp"

namespace amalgam::rules {

const MergeRule& task_arithmetic() {
  static const TaskVectorRule kRule(
      {.name = "task_arithmetic",
       .summary = "Adds the weighted sum of the members' task vectors to the base.",
       .source = "Ilharco et al. 2023, Editing models with task arithmetic (arXiv 2212.04089)"},
      {});
  return kRule;
}

}  // namespace amalgam::rules
