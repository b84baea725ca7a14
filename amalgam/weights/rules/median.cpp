#include "amalgam/weights/rules/coordinate_merge.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {

const MergeRule& median() {
  static const CoordinateRule kRule(
      {.name = "median",
       .summary = "The median of the members, element by element.",
       .source =
           "Yin et al. 2018, Byzantine-Robust Distributed Learning (arXiv 1803.01498), Definition "
           "1",
       .pass = "apply: median of the members",
       .counts_faults = false,
       .mean = [](std::size_t n, std::size_t) { return kernels::CoordinateMean::median(n); }});
  return kRule;
}

}  // namespace amalgam::rules
