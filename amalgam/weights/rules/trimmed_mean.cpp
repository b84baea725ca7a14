#include "amalgam/weights/rules/coordinate_merge.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {

const MergeRule& trimmed_mean() {
  static const CoordinateRule kRule(
      {.name = "trimmed_mean",
       .summary = "The mean without the f lowest and f highest values, element by element.",
       .source =
           "Yin et al. 2018, Byzantine-Robust Distributed Learning (arXiv 1803.01498), Definition "
           "2",
       .pass = "apply: trimmed mean of the members",
       .mean = [](std::size_t n, std::size_t f) {
         return kernels::CoordinateMean(n, f, n - f - 1);
       }});
  return kRule;
}

}  // namespace amalgam::rules
