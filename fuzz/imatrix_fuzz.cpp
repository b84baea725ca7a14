// Any bytes as an importance matrix: either a clear InputError, or weights that are finite and at
// least 0.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "amalgam/checkpoint/importance.hpp"
#include "amalgam/core/error.hpp"
#include "fuzz/memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  try {
    const auto matrix = amalgam::ImportanceMatrix::read(file.path());
    if (matrix.size() == 0) std::abort();
    for (const std::uint64_t columns : {1, 4, 32}) {
      const auto info =
          amalgam::make_tensor_info("w", amalgam::DType::f32, {2, columns}, "imatrix_fuzz");
      if (!matrix.has(info.name)) continue;
      std::vector<float> weights(info.elements);
      matrix.weights_of(info, 0, std::span<float>(weights));
      for (const float weight : weights) {
        if (!std::isfinite(weight) || weight < 0) std::abort();
      }
    }
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
