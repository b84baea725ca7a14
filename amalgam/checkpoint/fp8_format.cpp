#include "amalgam/checkpoint/fp8_format.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"

namespace amalgam {
namespace {

constexpr float kLargestNumber = 448;  // of F8_E4M3
constexpr std::uint32_t kMagnitude = 0x7FFFFFFF;
constexpr std::uint32_t kInfinity = 0x7F800000;
// Elements that are divided by their scales before they are rounded.
constexpr std::uint64_t kChunk = 2048;

constexpr std::array kNames = {
    std::pair{Fp8Scaling::block, std::string_view("fp8_block")},
    std::pair{Fp8Scaling::channel, std::string_view("fp8_channel")},
    std::pair{Fp8Scaling::tensor, std::string_view("fp8_tensor")},
};

// The power of two for numbers near the largest float is 2^120, of which 256 times is none: such
// numbers become 240 times, half a step off like any other.
void keep_products_finite(std::span<float> divided) {
  constexpr float kMost = 240;
  for (float& value : divided) {
    if (std::isfinite(value)) value = std::clamp(value, -kMost, kMost);
  }
}

std::uint64_t pieces(std::uint64_t length, std::uint64_t block) {
  return length / block + (length % block == 0 ? 0 : 1);
}

}  // namespace

std::optional<Fp8Scaling> parse_fp8_scaling(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const auto& [scaling, known] : kNames) {
    if (known == lower) return scaling;
  }
  return std::nullopt;
}

std::string_view fp8_scaling_name(Fp8Scaling scaling) {
  for (const auto& [known, name] : kNames) {
    if (known == scaling) return name;
  }
  return {};
}

Fp8Format Fp8Format::usual(Fp8Scaling scaling) {
  Fp8Format format;
  format.scaling = scaling;
  if (scaling != Fp8Scaling::block) format.ending = "_scale";
  if (scaling == Fp8Scaling::tensor) format.scale_dimensions = 1;
  return format;
}

Shape Fp8Format::scale_shape(const Shape& weight) const {
  const bool is_stack = weight.size() == 3 && !one_for_stack;
  Shape shape;
  if (is_stack) shape.push_back(weight[0]);
  if (scaling == Fp8Scaling::tensor) {
    shape.insert(shape.end(), scale_dimensions, 1);
    return shape;
  }
  const std::uint64_t rows = weight[weight.size() - 2];
  if (scaling == Fp8Scaling::block) {
    shape.insert(shape.end(), {pieces(rows, block[0]), pieces(weight.back(), block[1])});
  } else {
    shape.push_back(rows);
    if (scale_dimensions > 1) shape.push_back(1);
  }
  return shape;
}

Fp8Grid::Fp8Grid(const Shape& weight, const Fp8Format& format) {
  const std::uint64_t elements = element_count(weight, "weight");
  const bool is_stack = weight.size() == 3 && !format.one_for_stack;
  if (format.scaling == Fp8Scaling::tensor && !is_stack) {
    columns_ = std::max<std::uint64_t>(elements, 1);
    block_columns_ = columns_;
    scales_ = 1;
    return;
  }
  if (weight.size() != 2 && !is_stack) {
    throw InputError(
        "a weight of shape {} has no rows and columns to scale; expected a matrix or a stack of "
        "matrices",
        format_shape(weight));
  }
  const std::uint64_t rows = weight[weight.size() - 2];
  columns_ = std::max<std::uint64_t>(weight.back(), 1);
  matrix_rows_ = std::max<std::uint64_t>(rows, 1);
  block_columns_ = columns_;
  if (format.scaling == Fp8Scaling::tensor) block_rows_ = matrix_rows_;
  if (format.scaling == Fp8Scaling::block) {
    block_rows_ = format.block[0];
    block_columns_ = format.block[1];
    scales_per_row_ = pieces(weight.back(), block_columns_);
  }
  scales_per_matrix_ = pieces(rows, block_rows_) * scales_per_row_;
  scales_ = (is_stack ? weight[0] : 1) * scales_per_matrix_;
  // Blocks end where matrices do.
  const bool ends_with_block = !is_stack || matrix_rows_ % block_rows_ == 0;
  group_rows_ = std::min(matrix_rows_, ends_with_block ? block_rows_ : matrix_rows_);
}

float fp8_scale(float largest, bool power_of_two) {
  if (largest == 0) return 1;
  constexpr float kSmallest = std::numeric_limits<float>::min();
  if (power_of_two) {
    int exponent = 0;
    const double fraction = std::frexp(static_cast<double>(largest) / kLargestNumber, &exponent);
    if (fraction == 0.5) --exponent;  // a power of two itself
    return std::max(kSmallest, static_cast<float>(std::ldexp(1.0, exponent)));
  }
  const float scale = largest / kLargestNumber;
  if (scale < kSmallest) return kSmallest;
  return std::isfinite(scale * kLargestNumber) ? scale : std::nextafter(scale, 0.0F);
}

void Fp8Magnitudes::add(std::uint64_t first, std::span<const float> values) {
  grid_->for_each_run(
      first, values.size(), [&](std::uint64_t place, std::uint64_t offset, std::uint64_t length) {
        std::uint32_t most = 0;
        for (const float value : values.subspan(offset, length)) {
          const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(value) & kMagnitude;
          most = std::max(most, magnitude < kInfinity ? magnitude : 0);
        }
        std::atomic<std::uint32_t>& known = bits_[place];
        std::uint32_t before = known.load(std::memory_order_relaxed);
        while (before < most && !known.compare_exchange_weak(before, most)) {
        }
      });
}

float Fp8Magnitudes::scale(std::uint64_t place, bool power_of_two) const {
  return fp8_scale(std::bit_cast<float>(bits_[place].load()), power_of_two);
}

std::vector<float> Fp8Magnitudes::scales(bool powers_of_two) const {
  std::vector<float> scales;
  scales.reserve(bits_.size());
  for (std::uint64_t place = 0; place < bits_.size(); ++place) {
    scales.push_back(scale(place, powers_of_two));
  }
  return scales;
}

void encode_fp8(const Fp8Grid& grid, std::span<const float> scales, std::uint64_t first,
                std::span<const float> values, std::span<std::byte> out) {
  std::array<float, kChunk> divided{};
  for (std::uint64_t done = 0; done < values.size();) {
    const std::uint64_t count = std::min<std::uint64_t>(kChunk, values.size() - done);
    const std::span<const float> chunk = values.subspan(done, count);
    grid.for_each_run(first + done, count,
                      [&](std::uint64_t place, std::uint64_t offset, std::uint64_t length) {
                        const float scale = scales[place];
                        for (std::uint64_t i = offset; i < offset + length; ++i) {
                          divided[i] = chunk[i] / scale;
                        }
                        if (!std::isfinite(scale * kLargestNumber)) {
                          keep_products_finite(std::span(divided).subspan(offset, length));
                        }
                      });
    encode(DType::f8_e4m3, std::span<const float>(divided).first(count), out.subspan(done, count));
    done += count;
  }
}

}  // namespace amalgam
