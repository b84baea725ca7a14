#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/task_vector.hpp"

namespace amalgam::rules {

const MergeRule& della_linear() {
  static const TaskVectorRule kRule(
      {.name = "della_linear",
       .summary = "Drops entries of each task vector at random, small ones more often, and adds "
                  "the weighted sum of the rest.",
       .source = "Deep et al. 2024, DELLA-Merging (arXiv 2406.11617), without its election"},
      {.sparsify = Sparsify::magprune, .rescale = true});
  return kRule;
}

}  // namespace amalgam::rules
