#include "amalgam/scores/strength/solver.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::scores {

StrengthSolver solver_of_name(std::string_view name) {
  if (name == "newton") return StrengthSolver::newton;
  if (name == "mm") return StrengthSolver::mm;
  if (name == "lsr") return StrengthSolver::lsr;
  throw InputError("'{}' is no solver; expected newton, mm or lsr", name);
}

void centre_strengths(std::span<double> strengths) {
  double sum = 0;
  for (const double strength : strengths) sum += strength;
  for (double& strength : strengths) strength -= sum / static_cast<double>(strengths.size());
}

StrengthFit iterate(std::vector<double> start, const StrengthOptions& options,
                    const std::function<std::vector<double>(std::span<const double>)>& change) {
  constexpr double kRounding = 1e-14;
  StrengthFit fit{.strengths = std::move(start)};
  double last = 0;
  while (fit.iterations < options.iterations) {
    check_interrupt();
    ++fit.iterations;
    std::vector<double> step = change(fit.strengths);
    centre_strengths(step);
    double longest = 0;
    for (std::size_t i = 0; i < step.size(); ++i) {
      fit.strengths[i] += step[i];
      longest = std::max(longest, std::abs(step[i]));
    }
    if (!std::isfinite(longest)) throw Error("an iteration of strengths is not finite");
    // Steps that shrink by a factor r leave r / (1 - r) of the last one.
    const double ratio = fit.iterations > 1 ? std::min(longest / last, 0.999'999) : 0.5;
    if (longest <= kRounding || longest * std::max(1.0, ratio / (1 - ratio)) <= options.tolerance) {
      fit.converged = true;
      break;
    }
    last = longest;
  }
  centre_strengths(fit.strengths);
  return fit;
}

}  // namespace amalgam::scores
