#include "amalgam/weights/rules/fisher_kernels.hpp"

#include <algorithm>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/weights/rules/fisher_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::kernels::HWY_NAMESPACE {
namespace {

// Elements at a time; every inner loop has this trip count, or fewer at the end.
constexpr std::size_t kTile = 128;

template <class T>
HWY_INLINE void add_member(const T* x, const T* fisher, const FisherFactors& factors,
                           std::size_t length, double* numerator, double* denominator) {
  for (std::size_t k = 0; k < length; ++k) {
    const auto value = static_cast<double>(fisher[k]);
    const double weight = factors.coefficient * (value < factors.floor ? factors.floor : value);
    numerator[k] += weight * static_cast<double>(x[k]);
    denominator[k] += weight;
  }
}

template <class T>
std::uint64_t average(std::span<const T* const> members, std::span<const T* const> fishers,
                      std::span<const FisherFactors> factors, std::span<double> out) {
  std::uint64_t zeros = 0;
  double numerator[kTile];
  double denominator[kTile];
  for (std::size_t first = 0; first < out.size(); first += kTile) {
    const std::size_t length = std::min(kTile, out.size() - first);
    std::fill_n(numerator, kTile, 0.0);
    std::fill_n(denominator, kTile, 0.0);
    for (std::size_t i = 0; i < members.size(); ++i) {
      add_member(members[i] + first, fishers[i] + first, factors[i], length, numerator,
                 denominator);
    }
    std::uint64_t zeros_here = 0;
    for (std::size_t k = 0; k < length; ++k) {
      out[first + k] = numerator[k] / denominator[k];
      zeros_here += denominator[k] == 0.0 ? 1U : 0U;
    }
    if (zeros_here == 0) continue;
    zeros += zeros_here;
    for (std::size_t k = 0; k < length; ++k) {
      if (denominator[k] != 0.0) continue;
      double sum = 0;
      double total = 0;
      for (std::size_t i = 0; i < members.size(); ++i) {
        sum += factors[i].weight * static_cast<double>(members[i][first + k]);
        total += factors[i].weight;
      }
      out[first + k] = sum / total;
    }
  }
  return zeros;
}

// Length of the leading part whose values are all >= 0 and finite, to a tile.
template <class T>
std::size_t valid_tiles(std::span<const T> values) {
  std::size_t first = 0;
  for (; first + kTile <= values.size(); first += kTile) {
    unsigned bad = 0;
    for (std::size_t k = 0; k < kTile; ++k) {
      const T value = values[first + k];
      bad |= static_cast<unsigned>(!(value >= T{0})) |
             static_cast<unsigned>(value > std::numeric_limits<T>::max());
    }
    if (bad != 0) break;
  }
  return first;
}

// HWY_EXPORT takes no templates.
std::uint64_t AverageFloat(std::span<const float* const> members,
                           std::span<const float* const> fishers,
                           std::span<const FisherFactors> factors, std::span<double> out) {
  return average(members, fishers, factors, out);
}
std::uint64_t AverageDouble(std::span<const double* const> members,
                            std::span<const double* const> fishers,
                            std::span<const FisherFactors> factors, std::span<double> out) {
  return average(members, fishers, factors, out);
}
std::size_t ValidFloat(std::span<const float> values) { return valid_tiles(values); }
std::size_t ValidDouble(std::span<const double> values) { return valid_tiles(values); }

}  // namespace
}  // namespace amalgam::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::kernels {
namespace {

HWY_EXPORT(AverageFloat);
HWY_EXPORT(AverageDouble);
HWY_EXPORT(ValidFloat);
HWY_EXPORT(ValidDouble);

template <class T>
std::optional<std::size_t> find_from(std::span<const T> values, std::size_t first) {
  for (std::size_t k = first; k < values.size(); ++k) {
    if (!(values[k] >= T{0}) || values[k] > std::numeric_limits<T>::max()) return k;
  }
  return std::nullopt;
}

}  // namespace

std::uint64_t fisher_average(std::span<const float* const> members,
                             std::span<const float* const> fishers,
                             std::span<const FisherFactors> factors, std::span<double> out) {
  return HWY_DYNAMIC_DISPATCH(AverageFloat)(members, fishers, factors, out);
}
std::uint64_t fisher_average(std::span<const double* const> members,
                             std::span<const double* const> fishers,
                             std::span<const FisherFactors> factors, std::span<double> out) {
  return HWY_DYNAMIC_DISPATCH(AverageDouble)(members, fishers, factors, out);
}
std::optional<std::size_t> find_no_fisher(std::span<const float> values) {
  return find_from(values, HWY_DYNAMIC_DISPATCH(ValidFloat)(values));
}
std::optional<std::size_t> find_no_fisher(std::span<const double> values) {
  return find_from(values, HWY_DYNAMIC_DISPATCH(ValidDouble)(values));
}

}  // namespace amalgam::kernels
#endif
