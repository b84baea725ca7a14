#include "amalgam/weights/rules/coordinate_merge.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {

const MergeRule& phocas() {
  static const CoordinateRule kRule(
      {.name = "phocas",
       .summary = "The mean of the values nearest to the trimmed mean, element by element.",
       .source = "Xie et al. 2018, Phocas (arXiv 1805.09682)",
       .pass = "apply: mean around the trimmed mean",
       .mean = [](std::size_t n, std::size_t f) {
         return kernels::CoordinateMean(n, f, n - f - 1, n - f);
       }});
  return kRule;
}

}  // namespace amalgam::rules
