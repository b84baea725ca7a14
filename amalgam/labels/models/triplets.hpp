#pragma once

#include <cstdint>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/labels/models/worker_pairs.hpp"

/// Closed-form estimates from products of pairs.
namespace amalgam::labels::models {

struct TripletOptions {
  bool mean = false;           ///< of the estimates from all triplets; else their median
  bool skip_negative = false;  ///< leave out triplets whose product is negative, else its size
  std::size_t most = 20'000;   ///< triplets per worker, drawn if there are more
  std::uint64_t seed = 0;
};

/// |u_v| = sqrt(M_vw M_vx / M_wx) over triplets (v, w, x) of workers who all have common tasks,
/// where M = u u' off the diagonal: one such matrix per column of `moments`, whose values are M.
/// [workers, columns]; 0 for a worker without a triplet whose three moments are not 0.
///
/// Where a worker has more than `most` triplets, that many are drawn: evenly many with each w, and
/// those x that follow a random place among the workers whom w has met.
std::vector<double> triplet_sizes(const WorkerPairs& moments, const TripletOptions& options,
                                  const Parallel& parallel);

}  // namespace amalgam::labels::models
