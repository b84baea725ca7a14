#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

// Kernels of the task-vector family over a tile: a few hundred elements that stay in the
// first-level cache. Compiled for every SIMD target; each element's operations are fixed, so all
// targets give the same bits. d = x - base is one subtraction in the type of the inputs; all else
// is in double.
namespace amalgam::rules {

/// The largest tile.
inline constexpr std::size_t kTile = 512;

/// Which elements of a tile survive, by the key of |d|: those with low < key <= high.
template <class Key>
struct KeyRange {
  Key low = -1;  ///< signed: -1 keeps zero as well
  Key high = 0;
};
using FloatKeyRange = KeyRange<std::int32_t>;
using DoubleKeyRange = KeyRange<std::int64_t>;

/// y[i] = weight * (factor * d[i]).
void weigh(std::span<const float> x, const float* base, double factor, double weight, double* y);
void weigh(std::span<const double> x, const double* base, double factor, double weight, double* y);

/// The same where the magnitude is in range, 0 elsewhere.
void weigh_range(std::span<const float> x, const float* base, FloatKeyRange range, double factor,
                 double weight, double* y);
void weigh_range(std::span<const double> x, const double* base, DoubleKeyRange range, double factor,
                 double weight, double* y);

/// The same where words[i] <= last, 0 elsewhere.
void weigh_words(std::span<const float> x, const float* base, const std::uint32_t* words,
                 std::uint32_t last, double factor, double weight, double* y);
void weigh_words(std::span<const double> x, const double* base, const std::uint32_t* words,
                 std::uint32_t last, double factor, double weight, double* y);

/// Which of a tensor's elements survive, packed for weigh_bits: how many bytes that takes. The
/// layout is that of the SIMD target in use.
std::size_t survivor_bytes(std::size_t elements);
/// Packs words[i] <= last of elements first, first + 1, ... (`first` a multiple of 64) into `bits`,
/// where element 0 is.
void pack_survivors(std::span<const std::uint32_t> words, std::uint32_t last, std::size_t first,
                    std::uint8_t* bits);
/// As weigh_words, for elements packed before.
void weigh_bits(std::span<const float> x, const float* base, const std::uint8_t* bits,
                std::size_t first, double factor, double weight, double* y);

/// Sums in 16 virtual lanes, element i in lane i mod 16; tiles but the last have a multiple of 16
/// elements. total() adds the lanes in the fixed tree of tensor/kernels.hpp.
struct LaneSums {
  std::array<double, 16> lanes{};
  double total() const;
};
void add_absolute(std::span<const double> values, LaneSums& sums);
void add_squares(std::span<const double> values, LaneSums& sums);
double largest_absolute(std::span<const double> values);

/// Adds |d| to `all`, and to `kept` where words[i] <= last.
void add_absolute_words(std::span<const float> x, const float* base, const std::uint32_t* words,
                        std::uint32_t last, LaneSums& all, LaneSums& kept);
void add_absolute_words(std::span<const double> x, const double* base, const std::uint32_t* words,
                        std::uint32_t last, LaneSums& all, LaneSums& kept);

}  // namespace amalgam::rules
