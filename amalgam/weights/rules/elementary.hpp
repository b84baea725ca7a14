#pragma once

namespace amalgam {

/// Elementary functions for coefficients of merges, from additions, multiplications, divisions and
/// square roots alone. The C library picks other code on CPUs with fused multiply-add, and with it
/// other last bits; these give the same bits everywhere. Relative error below 1e-15 on the stated
/// domains; none needs to be fast.

/// sin x and cos x, |x| < 1e5.
double sine(double x);
double cosine(double x);
/// The angle in [0, pi] whose cosine is `c`; values beyond [-1, 1] count as the nearer end.
double arc_cosine(double c);
/// base^exponent, base > 0 and the result in the range of normal doubles.
double power(double base, double exponent);

}  // namespace amalgam
