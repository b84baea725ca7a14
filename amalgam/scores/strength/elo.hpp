#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/scores/strength/contests.hpp"

namespace amalgam::scores {

struct EloOptions {
  double k = 4;  ///< points that a surprise moves at most
  double start = 1000;
  double scale = 400;  ///< this many points ahead is odds of 10 to 1
};

/// Ratings that follow contests one after another (Elo 1978).
class EloRatings {
 public:
  EloRatings(std::size_t systems, const EloOptions& options)
      : options_(options), ratings_(systems, options.start) {}

  /// With E = 1 / (1 + 10^((r_b - r_a) / scale)) and s = 1, 1/2 or 0 for a win, tie or loss of a:
  /// r_a += k weight (s - E), r_b -= the same.
  void absorb(const Contest& contest);
  /// What the first's score should be.
  double expected(System first, System second) const;
  const std::vector<double>& ratings() const { return ratings_; }

 private:
  EloOptions options_;
  std::vector<double> ratings_;
};

struct MeanRatings {
  std::vector<double> ratings;
  std::vector<double> deviations;  ///< standard deviation over the orders; 0 for one order
};

/// Mean ratings over `orders` random orders of the contests, each the Fisher-Yates shuffle by the
/// stream "elo order N" of the seed.
MeanRatings elo_over_orders(std::vector<Contest> contests, std::size_t systems,
                            const EloOptions& options, std::size_t orders, std::uint64_t seed,
                            const Parallel& parallel);

}  // namespace amalgam::scores
