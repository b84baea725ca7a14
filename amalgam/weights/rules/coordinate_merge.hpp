#pragma once

#include <utility>

#include "amalgam/weights/rules/coordinate_kernels.hpp"
#include "amalgam/weights/rules/typed.hpp"

namespace amalgam {

/// A merge that looks at every element by itself: a coordinate mean of the members, or of their
/// differences from the base, added back, if there is one.
class CoordinateMerge final : public TypedMerge<CoordinateMerge> {
 public:
  explicit CoordinateMerge(kernels::CoordinateMean mean) : mean_(std::move(mean)) {}

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    kernels::coordinate_mean(mean_, block.members, block.base, out);
  }

 private:
  kernels::CoordinateMean mean_;
};

}  // namespace amalgam
