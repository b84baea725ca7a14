#pragma once

#include <span>
#include <vector>

namespace amalgam {

/// The p-values adjusted for being many, each at the place of its own: comparing them with a level
/// bounds the probability of any false rejection by that level, however the tests depend on each
/// other (Holm, "A simple sequentially rejective multiple test procedure", 1979: the k-th smallest
/// of m counts (m - k + 1)-fold, and none less than a smaller one). Values are in [0, 1]; a NaN is
/// a test that was not made: it stays NaN and is not counted.
std::vector<double> holm(std::span<const double> p_values);

/// As holm(), but bounds the expected share of false ones among the rejections, for tests that are
/// independent or positively dependent (Benjamini and Hochberg, "Controlling the false discovery
/// rate", 1995: the k-th smallest of m counts m/k-fold, and none more than a larger one).
std::vector<double> benjamini_hochberg(std::span<const double> p_values);

}  // namespace amalgam
