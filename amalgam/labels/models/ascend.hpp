#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "amalgam/labels/models/acceleration.hpp"
#include "amalgam/labels/models/em.hpp"

/// The loop of expectation-maximisation.
namespace amalgam::labels::models {

/// What a maximisation takes: the counts of workers, and sums of the posteriors by class.
struct Expected {
  std::vector<double> counts;
  std::vector<double> class_sums;
  double covered = 0;  ///< tasks with annotations
};

/// Sweeps until `convergence` ends the loop. `sweep()` returns an EmPass at what was last
/// maximised, `density()` is what its objective has besides the log-likelihood, and
/// `maximise(Expected&)` takes what it counted. `first`: what was maximised before. With the
/// parameter "acceleration" the counts, and the class sums if `learns_prior`, leap ahead between
/// sweeps.
template <class Sweep, class Density, class Maximise>
void ascend(Convergence& convergence, const FitContext& context, bool learns_prior, Expected first,
            const Sweep& sweep, const Density& density, const Maximise& maximise) {
  const auto joined = [&](const Expected& expected) {
    std::vector<double> all = expected.counts;
    if (learns_prior) {
      all.insert(all.end(), expected.class_sums.begin(), expected.class_sums.end());
    }
    return all;
  };
  const auto part = [&](Expected& expected, std::span<const double> all) {
    const std::size_t counts = expected.counts.size();
    std::copy_n(all.begin(), counts, expected.counts.begin());
    if (!learns_prior) return;
    std::ranges::copy(all.subspan(counts), expected.class_sums.begin());
  };
  std::optional<Anderson> ahead;
  if (context.parameters.text("acceleration") == "anderson") {
    ahead.emplace(joined(first), context.parallel);
  }
  while (true) {
    auto pass = sweep();
    const double objective = pass.log_likelihood + density();
    Expected expected{std::move(pass.counts.sums), std::move(pass.class_sums), pass.covered};
    const bool has_leapt = ahead && ahead->has_leapt();
    if (ahead && has_leapt && convergence.is_small_rise(objective)) ahead->rest();
    if (ahead && !ahead->take(objective, joined(expected))) {
      convergence.taken_back();
    } else if (convergence.done(objective, has_leapt)) {
      return;
    }
    if (ahead) part(expected, ahead->counts());
    maximise(expected);
  }
}

}  // namespace amalgam::labels::models
