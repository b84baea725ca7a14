#include "amalgam/learning/finite.hpp"

#include <fmt/format.h>

#include <cmath>

#include "amalgam/core/error.hpp"

namespace amalgam::learning {

std::optional<std::string> first_not_finite(const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.is_floating_point() || tensor.isfinite().all().item<bool>()) continue;
    const torch::Tensor flat = tensor.detach().flatten();
    const auto index = flat.isfinite().logical_not().nonzero()[0][0].item<std::int64_t>();
    const double value = flat[index].item<double>();
    return fmt::format("tensor '{}' has {} at index {}", name,
                       std::isnan(value) ? "NaN" : "an infinite value", index);
  }
  return {};
}

void check_finite(const NamedTensors& tensors, const std::string& source) {
  if (const auto found = first_not_finite(tensors)) {
    throw InputError("{}: {}; expected finite numbers", source, *found);
  }
}

}  // namespace amalgam::learning
