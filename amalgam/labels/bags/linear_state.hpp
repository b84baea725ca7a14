#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/labels/bags/bags.hpp"

namespace amalgam::labels {

/// A bag, or the part of a bag that one place has: absorbed row by row, combined with the other
/// parts, and only then absorbed into a LinearBagState.
class PartialBag {
 public:
  explicit PartialBag(std::size_t features);
  /// `row` has one number per feature.
  void absorb(std::span<const double> row);
  void combine(PartialBag&& right);

  std::uint64_t rows() const { return rows_; }
  const std::vector<double>& mean() const { return mean_; }  ///< [features]
  /// [features, features], sum_i (x_i - mean) (x_i - mean)^T.
  const std::vector<double>& scatter() const { return scatter_; }

 private:
  std::uint64_t rows_ = 0;
  std::vector<double> mean_;
  std::vector<double> scatter_;
};

/// The numbers that a LinearBagState is, for files; scatters and products are about the means.
struct LinearBagMoments {
  std::uint64_t rows = 0;
  std::uint64_t bags = 0;
  std::vector<double> mean;  ///< [features]
  double response_mean = 0;
  std::vector<double> between;  ///< [features, features]
  std::vector<double> within;   ///< [features, features]
  std::vector<double> cross;    ///< [features]
  double response_square = 0;
};

/// Everything that linear models need to know of bags, whatever rho, ridge and intercept: counts,
/// means and second moments. A sum over bags: bags are absorbed whole, states of disjoint sets of
/// bags combined, up to rounding in any grouping. Second moments are kept about the means (Chan,
/// Golub and LeVeque), so a small scatter about a large mean is not lost.
class LinearBagState {
 public:
  explicit LinearBagState(std::size_t features);
  /// InputError if sizes do not fit, a number is not finite or a square negative, there are fewer
  /// rows than bags, or some of one and none of the other.
  explicit LinearBagState(LinearBagMoments moments);
  /// Absorbs a whole bag with its mean response. InputError if it has no rows or another number of
  /// features, or the response is not finite.
  void absorb(const PartialBag& bag, double response);
  /// InputError if the states have different numbers of features.
  void combine(LinearBagState&& right);

  std::size_t features() const { return mean_.size(); }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t bags() const { return bags_; }
  const std::vector<double>& mean() const { return mean_; }  ///< [features], of all rows
  double response_mean() const { return response_mean_; }    ///< weighted by the bags' rows

  /// Scatter between bags, [features, features]: A = sum_a k_a xbar_a xbar_a^T, or, if `centred`,
  /// of the distances of xbar_a to the mean of all rows.
  std::vector<double> between(bool centred = false) const;
  /// Scatter within bags, [features, features]: B = sum_a sum_{i in a} (x_i - xbar_a)(...)^T.
  const std::vector<double>& within() const { return within_; }
  /// [features]: c = sum_a k_a xbar_a ybar_a, or, if `centred`, of distances to the means.
  std::vector<double> cross(bool centred = false) const;
  /// sum_a k_a ybar_a^2, or, if `centred`, of distances to the mean.
  double response_square(bool centred = false) const;

 private:
  friend class BlockState;

  std::uint64_t rows_ = 0;
  std::uint64_t bags_ = 0;
  std::vector<double> mean_;
  double response_mean_ = 0;
  std::vector<double> between_;  // centred
  std::vector<double> within_;
  std::vector<double> cross_;   // centred
  double response_square_ = 0;  // centred
};

/// The state of bags [first, last) of `data`, by matrix products over blocks of rows.
LinearBagState state_of_range(const BagData& data, std::size_t first, std::size_t last);

/// The state of some bags, or of all bags, of `data`: a fold over leaves of whole bags, whose bits
/// do not depend on the threads.
LinearBagState state_of_bags(const BagData& data, const Parallel& parallel = {});
LinearBagState state_of_bags(const BagData& data, std::span<const std::size_t> bags);

}  // namespace amalgam::labels
