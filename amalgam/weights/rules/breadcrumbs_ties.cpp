#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/task_vector.hpp"

namespace amalgam::rules {

const MergeRule& breadcrumbs_ties() {
  static const TaskVectorRule kRule(
      {.name = "breadcrumbs_ties",
       .summary = "Drops the largest and the smallest entries of each task vector and merges those "
                  "of the elected sign.",
       .source = "Davari and Belilovsky 2024, Model Breadcrumbs (arXiv 2312.06795), with the "
                 "election of TIES"},
      {.sparsify = Sparsify::outliers, .consensus = true});
  return kRule;
}

}  // namespace amalgam::rules
