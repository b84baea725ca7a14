#pragma once

#include <cmath>

#include "amalgam/weights/rules/elementary.hpp"

namespace amalgam {

/// The cosine of the angle between a and b from |a|^2, <a, b>, |b|^2. A vector of norm <= 1e-8 has
/// no direction worth the name: it is taken as it is instead of being normalised.
inline double cosine_between(double aa, double ab, double bb) {
  constexpr double kZeroNorm = 1e-8;
  const double norm_a = std::sqrt(aa);
  const double norm_b = std::sqrt(bb);
  // One division by the product, which gives exactly 1 or -1 for vectors of one element: two
  // divisions may miss -1 by a rounding, and an arc of almost half a turn has no bound.
  return ab / ((norm_a <= kZeroNorm ? 1.0 : norm_a) * (norm_b <= kZeroNorm ? 1.0 : norm_b));
}

/// The factors of a and b at share t of the way from a to b.
struct ArcWeights {
  double a = 0;
  double b = 0;
};
inline ArcWeights straight_weights(double t) { return {1 - t, t}; }
/// sin((1-t) angle) / sin(angle) and sin(t angle) / sin(angle); `angle` is not a multiple of pi.
inline ArcWeights arc_weights(double angle, double t) {
  const double whole = sine(angle);
  return {sine((1 - t) * angle) / whole, sine(t * angle) / whole};
}

}  // namespace amalgam
