#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "amalgam/tensor/dtype.hpp"

// Narrow floating-point types by their definition, with nothing but exact arithmetic in double:
// what the bit manipulations of amalgam/tensor are compared with.
namespace amalgam::testing {

struct NarrowFormat {
  DType dtype;
  int exponent_bits;
  int fraction_bits;
  bool has_infinity;

  int total_bits() const { return 1 + exponent_bits + fraction_bits; }
  std::uint32_t patterns() const { return 1U << total_bits(); }
  std::uint32_t sign_bit() const { return patterns() / 2; }
  std::uint32_t fraction_mask() const { return (1U << fraction_bits) - 1; }
  /// All exponent bits set, fraction zero.
  std::uint32_t top_exponent() const { return ((1U << exponent_bits) - 1) << fraction_bits; }
  /// Magnitude pattern of the first value that is not finite.
  std::uint32_t first_special() const { return has_infinity ? top_exponent() : sign_bit() - 1; }
  bool is_nan(std::uint32_t pattern) const {
    const std::uint32_t magnitude = pattern & (sign_bit() - 1);
    return has_infinity ? magnitude > top_exponent() : magnitude == sign_bit() - 1;
  }
};

inline std::ostream& operator<<(std::ostream& out, const NarrowFormat& format) {
  return out << dtype_name(format.dtype);
}

inline const std::vector<NarrowFormat>& narrow_formats() {
  static const std::vector<NarrowFormat> kFormats = {{DType::f16, 5, 10, true},
                                                     {DType::bf16, 8, 7, true},
                                                     {DType::f8_e4m3, 4, 3, false},
                                                     {DType::f8_e5m2, 5, 2, true}};
  return kFormats;
}

/// (-1)^sign x 2^(exponent - bias) x (1 + fraction / 2^bits), or without the 1 and with exponent 1
/// when the exponent field is zero.
inline double narrow_value(const NarrowFormat& format, std::uint32_t pattern) {
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  const std::uint32_t magnitude = pattern & (format.sign_bit() - 1);
  const double sign = (pattern & format.sign_bit()) != 0 ? -1.0 : 1.0;
  if (format.is_nan(pattern)) return std::numeric_limits<double>::quiet_NaN();
  if (magnitude == format.first_special()) return sign * std::numeric_limits<double>::infinity();
  const int exponent = static_cast<int>(magnitude >> format.fraction_bits);
  const auto fraction = static_cast<double>(magnitude & format.fraction_mask());
  const double scaled = std::ldexp(fraction, -format.fraction_bits);
  return sign *
         (exponent == 0 ? std::ldexp(scaled, 1 - bias) : std::ldexp(1.0 + scaled, exponent - bias));
}

/// Rounds to nearest even by comparing with the midpoint of the two neighbours, which is exact in
/// double for every narrow type.
class RoundingReference {
 public:
  explicit RoundingReference(const NarrowFormat& format) : format_(format) {
    for (std::uint32_t pattern = 0; pattern < format.first_special(); ++pattern) {
      values_.push_back(narrow_value(format, pattern));
    }
    // What would come next if the exponent went on: beyond the midpoint lies overflow.
    const double step = values_.back() - values_[values_.size() - 2];
    values_.push_back(values_.back() + step);
  }

  /// Finite non-negative values in increasing order of pattern, then the one of overflow.
  const std::vector<double>& values() const { return values_; }

  /// The pattern `x` (not NaN) rounds to.
  std::uint32_t round(double x) const {
    const std::uint32_t sign = std::signbit(x) ? format_.sign_bit() : 0;
    const double magnitude = std::abs(x);
    if (magnitude >= values_.back()) return sign | format_.first_special();
    const auto above = std::upper_bound(values_.begin(), values_.end(), magnitude);
    const auto low = static_cast<std::uint32_t>(above - values_.begin()) - 1;
    const double middle = (values_[low] + values_[low + 1]) / 2;
    if (magnitude < middle) return sign | low;
    if (magnitude > middle) return sign | (low + 1);
    return sign | (low % 2 == 0 ? low : low + 1);
  }

 private:
  NarrowFormat format_;
  std::vector<double> values_;
};

}  // namespace amalgam::testing
