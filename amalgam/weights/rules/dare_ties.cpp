#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/task_vector.hpp"

namespace amalgam::rules {

const MergeRule& dare_ties() {
  static const TaskVectorRule kRule(
      {.name = "dare_ties",
       .summary = "Drops entries of each task vector at random, rescales the rest and merges those "
                  "of the elected sign.",
       .source = "Yu et al. 2024, Language models are super Mario (arXiv 2311.03099), with the "
                 "election of TIES"},
      {.sparsify = Sparsify::random, .consensus = true, .rescale = true, .trim = true});
  return kRule;
}

}  // namespace amalgam::rules
