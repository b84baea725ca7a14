#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "amalgam/core/random.hpp"

/// Noise for private releases, drawn with integers only: noise drawn in floating point leaks what
/// it should hide through its last bits (Mironov 2012). The samplers are exact (Canonne, Kamath and
/// Steinke 2020, algorithms 1 to 3).
namespace amalgam::labels {

/// Where the bits of noise come from.
class RandomBits {
 public:
  RandomBits() = default;
  RandomBits(const RandomBits&) = delete;
  RandomBits& operator=(const RandomBits&) = delete;
  virtual ~RandomBits() = default;
  virtual std::uint64_t next() = 0;  ///< 64 uniform bits
  /// Uniform on {0, ..., bound - 1} without bias; bound >= 1.
  std::uint64_t below(std::uint64_t bound);
};

/// Bits of the system's cryptographically secure source (getrandom): what a release needs.
class SecureBits final : public RandomBits {
 public:
  /// Error if the system refuses.
  std::uint64_t next() override;

 private:
  std::array<std::uint64_t, 32> buffer_{};
  std::size_t used_ = 32;
};

/// Bits that anyone who knows the seed can draw again: for tests and simulations, never for a
/// release.
class SeededBits final : public RandomBits {
 public:
  explicit SeededBits(std::uint64_t seed) : stream_(seed, "bag noise") {}
  std::uint64_t next() override;

 private:
  RandomStream stream_;
};

/// The largest scale of discrete_laplace and deviation of discrete_gaussian.
inline constexpr std::int64_t kMostLaplaceScale = std::int64_t{1} << 41U;
inline constexpr std::int64_t kMostGaussianDeviation = std::int64_t{1} << 27U;

/// A draw z with P(z) proportional to exp(-|z| / scale); 1 <= scale <= kMostLaplaceScale.
std::int64_t discrete_laplace(std::int64_t scale, RandomBits& bits);

/// A draw z with P(z) proportional to exp(-z^2 / (2 deviation^2)); 1 <= deviation <=
/// kMostGaussianDeviation. Draws beyond 32 deviations (probability below 1e-223) are drawn again.
std::int64_t discrete_gaussian(std::int64_t deviation, RandomBits& bits);

}  // namespace amalgam::labels
