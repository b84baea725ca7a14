#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <string_view>
#include <vector>

#include "amalgam/core/parallel.hpp"

/// Closed-form estimates from products of pairs.
namespace amalgam::labels::models {

/// What is measured of pairs of workers: a symmetric matrix that should have rank one off its
/// diagonal.
struct PairMoments {
  Eigen::MatrixXd values;  ///< [workers, workers]
  Eigen::MatrixXd common;  ///< [workers, workers] annotations it is from; 0: not known
};

struct TripletOptions {
  bool mean = false;           ///< of the estimates from all pairs; else their median
  bool skip_negative = false;  ///< leave out triplets whose product is negative, else its size
  std::size_t most = 20'000;   ///< pairs of others per worker, drawn if there are more
  std::uint64_t seed = 0;
};

/// |u_v| = sqrt(M_vw M_vx / M_wx) over pairs (w, x) of other workers, where M = u u' off the
/// diagonal. 0 for a worker without a triplet whose three moments are known and not 0.
std::vector<double> triplet_sizes(const PairMoments& moments, const TripletOptions& options,
                                  const Parallel& parallel);

/// InputError if `matrices` of [workers, workers] are beyond what fits (2^26 numbers).
void check_pairs_size(std::string_view method, std::size_t workers, std::size_t matrices);

}  // namespace amalgam::labels::models
