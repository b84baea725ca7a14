#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace amalgam {

/// Features that vote with the same weight in a model or an ensemble (Lin et al. 2024, arXiv
/// 2309.17230, section 4): invariant ones always for the true class; spurious ones keep its side
/// with probability 1 - p and otherwise vote for any class at random.
struct FeatureGroup {
  std::uint32_t invariant = 0;
  std::uint32_t spurious = 0;
  /// Of their votes. Features of one of two models count 1 in both kinds of ensemble, shared ones 2
  /// where outputs are averaged and 4 where weights are.
  std::uint32_t weight = 1;
};

/// What is shifted, and how far.
struct VotingShift {
  std::uint32_t classes = 3;
  double strength = 0.5;  ///< p in [0, 1]
};

/// The probability that the class with the most votes is the true one, ties broken at random,
/// computed exactly over all outcomes. Two features of n_v invariant and n_s spurious each:
/// {{2 n_v, 2 n_s}}. InputError for no classes, p outside [0, 1] or more than 64 spurious features.
double voting_accuracy(const std::vector<FeatureGroup>& groups, const VotingShift& shift);

/// The same by `draws` random outcomes, for any number of features.
double sampled_voting_accuracy(const std::vector<FeatureGroup>& groups, const VotingShift& shift,
                               std::uint64_t draws, std::uint64_t seed);

}  // namespace amalgam
