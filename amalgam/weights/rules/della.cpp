#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/task_vector.hpp"

namespace amalgam::rules {

const MergeRule& della() {
  static const TaskVectorRule kRule(
      {.name = "della",
       .summary = "Drops entries of each task vector at random, small ones more often, and "
                  "averages those of the elected sign.",
       .source = "Deep et al. 2024, DELLA-Merging (arXiv 2406.11617)"},
      {.sparsify = Sparsify::magprune, .consensus = true, .rescale = true, .normalize = true});
  return kRule;
}

}  // namespace amalgam::rules
