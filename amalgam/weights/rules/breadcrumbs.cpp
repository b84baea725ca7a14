#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/task_vector.hpp"

namespace amalgam::rules {

const MergeRule& breadcrumbs() {
  static const TaskVectorRule kRule(
      {.name = "breadcrumbs",
       .summary = "Drops the largest and the smallest entries of each task vector and adds the "
                  "weighted sum of the rest.",
       .source = "Davari and Belilovsky 2024, Model Breadcrumbs (arXiv 2312.06795)"},
      {.sparsify = Sparsify::outliers});
  return kRule;
}

}  // namespace amalgam::rules
