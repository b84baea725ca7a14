#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/labels/bags/bags.hpp"
#include "amalgam/labels/bags/noise.hpp"
#include "amalgam/labels/bags/risk.hpp"

/// Label differential privacy of bags' mean responses (Javanmard et al. 2024, algorithm 1, with the
/// sensitivity made right: the noise that the paper prints is half of what its epsilon needs).
namespace amalgam::labels {

/// What is to be indistinguishable.
enum class Neighbours {
  replace,  ///< one response is replaced by another: a bag's sum moves by up to 2 bound
  zero,     ///< one response is replaced by 0 (or one that is 0 by another): by up to bound
};

enum class Mechanism {
  laplace,            ///< epsilon; Laplace noise of scale sensitivity / epsilon
  gaussian,           ///< (epsilon, delta), epsilon <= 1; the classical formula
  analytic_gaussian,  ///< (epsilon, delta), any epsilon; the least noise (Balle and Wang 2018)
};
std::string_view mechanism_name(Mechanism mechanism);
std::string_view neighbours_name(Neighbours neighbours);

struct PrivacyOptions {
  Mechanism mechanism = Mechanism::laplace;
  Neighbours neighbours = Neighbours::replace;
  double epsilon = 1;  ///< > 0, at most 100
  double delta = 0;    ///< in (0, 1) for Gaussian noise; 0 for Laplace noise
  /// Responses are clipped to [-bound, bound]; > 0. A constant that is public, or was chosen
  /// privately itself: never the largest response.
  double bound = 0;
};

/// InputError naming the option that is out of range.
void check_privacy(const PrivacyOptions& options);

/// The paper's bound c_n = constant * sqrt(log rows). Clipping is rare if constant^2 > 2 (|theta|^2
/// + noise), of standardised features. InputError unless constant > 0 and rows >= 2.
double clip_bound(double constant, std::uint64_t rows);

/// The standard deviation of Gaussian noise per unit of sensitivity: sqrt(2 ln(1.25 / delta)) /
/// epsilon (epsilon <= 1), and the smallest one that is (epsilon, delta)-private. InputError for
/// values out of range.
double classical_gaussian_deviation(double epsilon, double delta);
double analytic_gaussian_deviation(double epsilon, double delta);
/// The least delta for which Gaussian noise of this deviation per unit of sensitivity is (epsilon,
/// delta)-private (Balle and Wang 2018, theorem 8).
double gaussian_delta(double epsilon, double deviation);

/// The scale of noise of a bag's sum: b of Laplace noise, the deviation of Gaussian noise. The mean
/// of k responses gets 1 / k of it.
double noise_scale(const PrivacyOptions& options);

/// The variance of that noise, for the risk planner.
AddedNoise added_noise(const PrivacyOptions& options);

/// What was done, to be published with the result.
struct ReleaseRecord {
  PrivacyOptions options;
  double sensitivity = 0;  ///< of a bag's sum
  double scale = 0;        ///< of the noise of a bag's sum, as drawn; see noise_scale
  /// Responses were rounded to multiples of this, a power of two, before anything else.
  double grid = 0;
  std::uint64_t rows = 0;
  std::uint64_t bags = 0;
  std::uint64_t smallest_bag = 0;
  std::uint64_t largest_bag = 0;
};

struct PrivateRelease {
  std::vector<double> means;  ///< [bags], noisy
  ReleaseRecord record;
  /// How many responses were clipped. This is not private: for the owner's eyes only.
  std::uint64_t clipped = 0;
};

/// Releases the bags' mean responses: each response [rows] is clipped and rounded to the grid, bags
/// are summed exactly in integers, and one draw of discrete noise is added to each sum, once. As
/// every response is in one bag, the whole release is (epsilon, delta)-private; those of several
/// releases of the same responses add up. Integers and their exact sampler leave nothing to the
/// rounding of floating-point numbers. InputError for options out of range, a response that is not
/// finite, sizes that do not fit, or bags of more than 2^20 rows.
PrivateRelease release_bags(const Bags& bags, std::span<const double> responses,
                            const PrivacyOptions& options, RandomBits& bits);

}  // namespace amalgam::labels
