// Any bytes as numbers, quantised with and without importance: a block of ordinary numbers stays
// near them, and one that holds a NaN or infinity is NaN as a whole.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "amalgam/tensor/convert.hpp"
#include "amalgam/tensor/quantised.hpp"

namespace {

using amalgam::DType;

constexpr std::size_t kElements = 768;  // an odd number of large blocks

// `limit`: how far off a value may be, in the largest of its block. Importance may give up the
// values that do not count.
void check_block(std::span<const float> before, std::span<const float> after, float limit) {
  float largest = 0;
  bool is_finite = true;
  for (const float value : before) {
    is_finite = is_finite && std::isfinite(value);
    largest = std::max(largest, std::abs(value));
  }
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (!is_finite && !std::isnan(after[i])) std::abort();
    // Every type reaches 60000 (some store a minimum in F16). Near zero the scales, also F16, round
    // to multiples of 6e-8, and a level may be 2000 times that.
    if (is_finite && largest <= 6e4F &&
        !(std::abs(after[i] - before[i]) <= limit * largest + 2e-4F)) {
      std::abort();
    }
  }
}

void check_type(DType dtype, std::span<const float> values, std::span<const float> importance) {
  std::vector<std::byte> bytes(amalgam::dtype_bytes(dtype, values.size()));
  amalgam::quantise(dtype, values, importance, bytes);
  std::vector<float> after(values.size());
  amalgam::decode(dtype, bytes, std::span<float>(after));
  const std::size_t block = amalgam::dtype_block_elements(dtype);
  for (std::size_t first = 0; first < values.size(); first += block) {
    check_block(values.subspan(first, block), std::span<const float>(after).subspan(first, block),
                importance.empty() ? 1.01F : 4.0F);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<float> values(kElements);
  std::memcpy(values.data(), data, std::min(size, kElements * sizeof(float)));
  std::vector<float> importance(kElements, 1.0F);
  for (std::size_t i = 0; i < kElements; ++i) {
    const float weight = std::abs(values[kElements - 1 - i]);
    if (std::isfinite(weight)) importance[i] = weight;
  }
  for (const DType dtype :
       {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q8_0, DType::iq4_nl, DType::q2_k,
        DType::q3_k, DType::q4_k, DType::q5_k, DType::q6_k, DType::iq4_xs}) {
    check_type(dtype, values, {});
    check_type(dtype, values, importance);
  }
  return 0;
}
