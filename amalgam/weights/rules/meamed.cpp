#include "amalgam/weights/rules/coordinate_merge.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {

const MergeRule& meamed() {
  static const CoordinateRule kRule(
      {.name = "meamed",
       .summary = "The mean of the values nearest to the median, element by element.",
       .source = "Xie et al. 2018, Generalized Byzantine-tolerant SGD (arXiv 1802.10116), "
                 "mean-around-median",
       .pass = "apply: mean around the median",
       .mean = [](std::size_t n, std::size_t f) {
         return kernels::CoordinateMean::median(n, n - f);
       }});
  return kRule;
}

}  // namespace amalgam::rules
