#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/task_vector.hpp"

namespace amalgam::rules {

const MergeRule& dare_linear() {
  static const TaskVectorRule kRule(
      {.name = "dare_linear",
       .summary = "Drops entries of each task vector at random, rescales the rest and adds their "
                  "weighted sum.",
       .source = "Yu et al. 2024, Language models are super Mario (arXiv 2311.03099)"},
      {.sparsify = Sparsify::random, .rescale = true});
  return kRule;
}

}  // namespace amalgam::rules
