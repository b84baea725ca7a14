#pragma once

#include <cstddef>

/// How large a difference between two systems can be seen, and how many measurements it takes, by
/// the normal approximation of two-sided tests. `level` is the probability of a false alarm,
/// `power` that of seeing an effect that is there, both in (0, 1); InputError otherwise.
namespace amalgam::scores {

/// Paired values: the mean of `count` differences of standard deviation `deviation` > 0. With
/// clusters, `deviation` is sqrt(count) times the clustered standard error.
double mean_power(double count, double deviation, double effect, double level);
/// The smallest |effect| that is seen with `power` (neglecting the chance to see it with the wrong
/// sign).
double detectable_mean(double count, double deviation, double level, double power);
/// How many pairs it takes to see `effect`; infinite for 0.
double pairs_for_mean(double effect, double deviation, double level, double power);

/// Right or wrong answers to the same questions, by McNemar's test: `discordant` is the share of
/// questions that exactly one of the two answers rightly, `effect` the difference of accuracies,
/// |effect| <= discordant (Connor 1987, "Sample size for testing differences in proportions for the
/// paired-sample design").
double mcnemar_power(double count, double discordant, double effect, double level);
/// As detectable_mean; NaN if not even |effect| = discordant is seen with `power`.
double detectable_accuracy(double count, double discordant, double level, double power);
/// As pairs_for_mean.
double pairs_for_accuracy(double effect, double discordant, double level, double power);

/// Half the width of Hoeffding's interval of a share of `votes` >= 1 independent votes: with
/// probability 1 - delta the true share is no farther away, whatever the distribution (Hoeffding
/// 1963).
double hoeffding_half_width(double votes, double delta);
/// The same at every number of votes and for all pairs of `systems` at once, so that one may stop
/// measuring when one has seen enough (Himmi et al. 2024).
double uniform_half_width(std::size_t systems, double votes, double delta);

}  // namespace amalgam::scores
