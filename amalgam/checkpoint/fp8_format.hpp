#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// Which elements of a matrix of 8-bit floats share a scale: those of a block of rows and columns,
/// of a row (an output channel), or all.
enum class Fp8Scaling { block, channel, tensor };

/// Reads "fp8_block", "fp8_channel" and "fp8_tensor", in any case. Nothing for other names.
std::optional<Fp8Scaling> parse_fp8_scaling(std::string_view name);
std::string_view fp8_scaling_name(Fp8Scaling scaling);

/// How a weight is stored as F8_E4M3 with scales beside it (docs/formats/fp8.md): an element's
/// value is the number stored times its scale. A weight of three dimensions is a stack of matrices,
/// those of experts, each of which has the scales of a matrix.
struct Fp8Format {
  Fp8Scaling scaling = Fp8Scaling::block;
  std::array<std::uint64_t, 2> block = {128, 128};  ///< rows and columns; of Fp8Scaling::block
  std::string ending = "_scale_inv";                ///< the scales of NAME are in NAME + ending
  /// Of the tensor of scales: a scale per row is [rows] or [rows, 1], one scale [], [1] or [1, 1].
  /// Those of a stack have one more, the matrices.
  std::size_t scale_dimensions = 2;
  bool one_for_stack = false;  ///< Fp8Scaling::tensor: the matrices of a stack share one scale
  bool powers_of_two = false;  ///< scales are rounded up to powers of two (scale_fmt "ue8m0")

  bool operator==(const Fp8Format&) const = default;

  /// What most programs read: blocks of 128 x 128 in `weight_scale_inv`, others in `weight_scale`.
  static Fp8Format usual(Fp8Scaling scaling);
  /// The shape of the scales of a weight.
  Shape scale_shape(const Shape& weight) const;
};

/// Where the scales of one weight apply.
class Fp8Grid {
 public:
  /// InputError unless the weight is a matrix, a stack of them, or has one scale.
  Fp8Grid(const Shape& weight, const Fp8Format& format);

  std::uint64_t scales() const { return scales_; }

  /// The number of the scale of an element.
  std::uint64_t scale_at(std::uint64_t element) const {
    const std::uint64_t row = element / columns_;
    return scale_of(row, element % columns_ / block_columns_);
  }

  /// Elements are cut into groups of this many, the last one may be shorter, that share no scale
  /// with each other: a row of blocks, a row, or a matrix.
  std::uint64_t group_elements() const { return group_rows_ * columns_; }

  /// Calls visit(scale, offset, length) for the runs of elements [first, first + count), row-major,
  /// that share a scale; offsets are counted from `first`.
  template <class Visit>
  void for_each_run(std::uint64_t first, std::uint64_t count, const Visit& visit) const {
    for (std::uint64_t done = 0; done < count;) {
      const std::uint64_t row = (first + done) / columns_;
      const std::uint64_t column = (first + done) % columns_;
      const std::uint64_t place = column / block_columns_;
      const std::uint64_t end = std::min((place + 1) * block_columns_, columns_);
      const std::uint64_t length = std::min(end - column, count - done);
      visit(scale_of(row, place), done, length);
      done += length;
    }
  }

 private:
  // `row`: of all matrices; `place`: of the block within the row.
  std::uint64_t scale_of(std::uint64_t row, std::uint64_t place) const {
    if (row < matrix_rows_) return row / block_rows_ * scales_per_row_ + place;
    return row / matrix_rows_ * scales_per_matrix_ +
           row % matrix_rows_ / block_rows_ * scales_per_row_ + place;
  }

  std::uint64_t columns_ = 1;
  std::uint64_t block_rows_ = 1;
  std::uint64_t block_columns_ = 1;
  std::uint64_t matrix_rows_ = 1;
  std::uint64_t scales_per_row_ = 1;
  std::uint64_t scales_per_matrix_ = 1;
  std::uint64_t group_rows_ = 1;
  std::uint64_t scales_ = 0;
};

/// The scale for numbers of at most this magnitude: magnitude / 448, so that the largest becomes
/// F8_E4M3's largest; 1 for zeros. Never a subnormal number (which processors and other programs
/// may take for 0), and never one whose product with 448 overflows.
float fp8_scale(float largest, bool power_of_two);

/// The largest finite magnitude under every scale of a weight, found piece by piece by several
/// threads at once. NaN and infinity do not count.
class Fp8Magnitudes {
 public:
  explicit Fp8Magnitudes(const Fp8Grid& grid) : grid_(&grid), bits_(grid.scales()) {}

  /// Elements from `first` on.
  void add(std::uint64_t first, std::span<const float> values);
  /// The scale number `place`, if all under it has been added.
  float scale(std::uint64_t place, bool power_of_two) const;
  std::vector<float> scales(bool powers_of_two) const;

 private:
  const Fp8Grid* grid_;
  std::vector<std::atomic<std::uint32_t>> bits_;  // of magnitudes, which are ordered as these
};

/// Elements from `first` on as stored: value / scale, one float division, rounded to nearest even.
/// NaN stays NaN, and infinity, which F8_E4M3 has none of, becomes it.
void encode_fp8(const Fp8Grid& grid, std::span<const float> scales, std::uint64_t first,
                std::span<const float> values, std::span<std::byte> out);

/// Numbers of F8_E4M3, decoded, times their scales; `values` are elements from `first` on.
template <class T>
void multiply_by_scales(const Fp8Grid& grid, std::span<const float> scales, std::uint64_t first,
                        std::span<T> values) {
  grid.for_each_run(first, values.size(),
                    [&](std::uint64_t place, std::uint64_t offset, std::uint64_t length) {
                      const T scale = static_cast<T>(scales[place]);
                      T* const run = values.data() + offset;
                      for (std::uint64_t i = 0; i < length; ++i) run[i] *= scale;
                    });
}

}  // namespace amalgam
