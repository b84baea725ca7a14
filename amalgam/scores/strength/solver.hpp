#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace amalgam::scores {

/// How a likelihood of strengths is maximised. All find the same strengths.
enum class StrengthSolver {
  newton,  ///< quadratic convergence; O(systems^3) per iteration
  mm,      ///< minorisation-maximisation (Zermelo 1929; Hunter 2004): cheap iterations, but many
  lsr,     ///< iterated Luce spectral ranking (Maystre and Grossglauser 2015)
};
StrengthSolver solver_of_name(std::string_view name);

struct StrengthOptions {
  StrengthSolver solver = StrengthSolver::newton;
  std::size_t iterations = 10'000;  ///< at most
  double tolerance = 1e-10;         ///< what may be wrong with a log-strength at the end, about
};

/// Fitted strengths.
struct StrengthFit {
  std::vector<double> strengths;  ///< logarithms, mean 0
  std::size_t iterations = 0;
  bool converged = false;
};

/// Iterates until what is left to go, judged from the ratio of the last two steps, is below the
/// tolerance. `change(strengths)` returns what one iteration adds to the log-strengths.
StrengthFit iterate(std::vector<double> start, const StrengthOptions& options,
                    const std::function<std::vector<double>(std::span<const double>)>& change);

/// Takes the mean away.
void centre_strengths(std::span<double> strengths);

}  // namespace amalgam::scores
