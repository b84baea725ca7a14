#pragma once

#include <cstdint>

/// What tests and intervals need of distributions. NaN arguments give NaN.
namespace amalgam {

/// P(|Z| >= |z|) of a standard normal Z.
double normal_two_sided(double z);
/// P(Z <= z) of a standard normal Z.
double normal_below(double z);
/// z with P(Z <= z) = p of a standard normal Z; p in (0, 1), infinite at its ends.
double normal_quantile(double p);

/// P(|T| >= |t|) of Student's T with `degrees` > 0 degrees of freedom.
double student_two_sided(double t, double degrees);
/// t with P(T <= t) = p of Student's T, p in (0, 1).
double student_quantile(double p, double degrees);

/// P(X >= x) of a chi-squared X with `degrees` > 0 degrees of freedom.
double chi_squared_above(double x, double degrees);

/// The probability that as many fair coins show a number of heads at least as far from half of them
/// as `heads` of `coins` is: the exact two-sided binomial test of 1/2. 1 without coins.
double fair_coins_two_sided(std::uint64_t heads, std::uint64_t coins);

}  // namespace amalgam
