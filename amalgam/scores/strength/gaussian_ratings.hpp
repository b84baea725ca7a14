#pragma once

#include <cstddef>
#include <vector>

#include "amalgam/scores/strength/contests.hpp"

namespace amalgam::scores {

/// The standard normal density over the probability below x: v(x) = phi(x) / Phi(x), without loss
/// in either tail; the same bits on every processor.
double inverse_mills_ratio(double x);

/// Phi(x), the probability of a standard normal number below x, to about 1e-15 of itself.
double normal_below(double x);

struct GaussianOptions {
  double mean = 25;               ///< of a skill before the first contest
  double deviation = 25.0 / 3;    ///< of it
  double performance = 25.0 / 6;  ///< standard deviation of one performance around the skill
  double drift = 25.0 / 300;      ///< standard deviation by which a skill changes before a contest
  double draw = 0.1;              ///< probability of a tie of two equals, in [0, 1)
};

/// Skills as normal distributions that follow contests one after another: TrueSkill's updates for
/// two players (Herbrich, Minka and Graepel 2006, "TrueSkill: A Bayesian skill rating system").
///
/// Before a contest both variances grow by drift^2. With c^2 = 2 performance^2 + var_w + var_l,
/// t = (mean_w - mean_l) / c of winner and loser and e = margin / c, where ties happen if two
/// performances are within margin = Phi^-1((1 + draw) / 2) sqrt(2) performance of each other:
///   win:  v = phi(t - e) / Phi(t - e),  w = v (v + t - e)
///   tie:  v = (phi(-e - t) - phi(e - t)) / (Phi(e - t) - Phi(-e - t)),
///         w = v^2 + ((e - t) phi(e - t) + (e + t) phi(e + t)) / (Phi(e - t) - Phi(-e - t))
///   mean_w += var_w / c v,  mean_l -= var_l / c v,  var *= 1 - var / c^2 w.
/// With draw = 0 a tie takes the limit of e going to 0: v = -t, w = 1.
class GaussianRatings {
 public:
  GaussianRatings(std::size_t systems, const GaussianOptions& options);

  /// A contest of weight m counts as m equal ones, one after another; of a part of one, the mean
  /// and the variance move by that part of their way. Error for a weight above 1000.
  void absorb(const Contest& contest);
  const std::vector<double>& means() const { return means_; }
  const std::vector<double>& variances() const { return variances_; }
  double margin() const { return margin_; }

 private:
  void absorb_once(const Contest& contest, double part);

  GaussianOptions options_;
  double margin_;
  std::vector<double> means_;
  std::vector<double> variances_;
};

}  // namespace amalgam::scores
