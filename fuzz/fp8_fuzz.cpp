// Any codes with any scales of any shape: refused by an InputError, or read as code times scale;
// and what was read is stored again with an error of at most half a step, NaN in its place.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/checkpoint/scaled_fp8.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"

namespace {

using amalgam::DType;
using amalgam::Fp8Format;
using amalgam::Shape;

// Takes bytes from the front; zeros when there are no more.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  void fill(std::span<std::byte> out) {
    const std::size_t count = std::min(out.size(), size_);
    if (count > 0) std::memcpy(out.data(), data_, count);
    data_ += count;
    size_ -= count;
  }
  std::uint64_t below(std::uint64_t bound) {
    std::byte byte{};
    fill({&byte, 1});
    return static_cast<std::uint64_t>(byte) % bound;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

amalgam::MemoryTensor tensor_of(Input& input, const char* name, DType dtype, Shape shape) {
  amalgam::MemoryTensor tensor{amalgam::make_tensor_info(name, dtype, std::move(shape), "fuzz"),
                               {}};
  tensor.bytes.resize(tensor.info.bytes);
  input.fill(tensor.bytes);
  return tensor;
}

void check_stored_again(const Fp8Format& format, const Shape& shape,
                        std::span<const float> values) {
  const amalgam::Fp8Grid grid(shape, format);
  amalgam::Fp8Magnitudes magnitudes(grid);
  magnitudes.add(0, values);
  const std::vector<float> scales = magnitudes.scales(format.powers_of_two);
  std::vector<std::byte> bytes(values.size());
  amalgam::encode_fp8(grid, scales, 0, values, bytes);
  std::vector<float> after(values.size());
  amalgam::decode(DType::f8_e4m3, bytes, std::span<float>(after));
  amalgam::multiply_by_scales(grid, scales, 0, std::span<float>(after));
  grid.for_each_run(0, values.size(), [&](std::uint64_t place, std::uint64_t at, std::uint64_t n) {
    if (!(scales[place] >= std::numeric_limits<float>::min())) std::abort();
    for (std::uint64_t i = at; i < at + n; ++i) {
      if (!std::isfinite(values[i])) {
        if (!std::isnan(after[i])) std::abort();
        continue;
      }
      const double step = std::max(std::abs(static_cast<double>(values[i])) * 0x1p-4,
                                   static_cast<double>(scales[place]) * 0x1p-10);
      const double error = std::abs(static_cast<double>(after[i]) - values[i]);
      if (!(error <= step * 1.0001)) std::abort();
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const amalgam::Fp8Layout layout{.block = {1 + input.below(6), 1 + input.below(6)},
                                  .powers_of_two = input.below(2) == 1};
  const Shape shape = {input.below(20), input.below(20)};
  Shape scale_shape(input.below(4));
  for (std::uint64_t& axis : scale_shape) axis = input.below(21);
  const DType scale_dtype = input.below(2) == 1 ? DType::f32 : DType::bf16;
  const char* const name = input.below(2) == 1 ? "a.weight_scale" : "a.weight_scale_inv";
  std::vector<amalgam::MemoryTensor> tensors;
  tensors.push_back(tensor_of(input, name, scale_dtype, scale_shape));
  tensors.push_back(tensor_of(input, "a.weight", DType::f8_e4m3, shape));
  try {
    const auto source = amalgam::unscale_fp8(
        std::make_unique<amalgam::MemorySource>("fuzz", std::move(tensors)), layout);
    std::vector<float> values(shape[0] * shape[1]);
    source->read(0, 0, std::span<float>(values));
    const auto& scaled = dynamic_cast<const amalgam::ScaledFp8Source&>(*source);
    check_stored_again(*scaled.format(0), shape, values);
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
