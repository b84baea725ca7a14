#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/core/parameters.hpp"

/// Expectation-maximisation that leaps ahead.
namespace amalgam::labels::models {

/// The parameter "acceleration": none or anderson.
ParameterInfo acceleration_parameter();

/// Anderson acceleration of the fixed point of a sweep, which takes counts (the sufficient
/// statistics of the maximisation, at least 0, in any fixed order) and gives the next ones: the
/// next sweep starts from that combination of the last ones at which they would change least, were
/// the sweep linear (Anderson 1965; Walker and Ni 2011; for EM Henderson and Varadhan 2019).
/// Changes are measured by the information of the counts, the square over the count.
///
/// Three safeguards. A leap after which the objective is lower is taken back, so that the
/// objectives of sweeps that count never fall. A leap is at most a multiple of what the sweep
/// itself changed, which shrinks where one was taken back and grows where it was in the way. No
/// count falls below a tenth of what the sweep gave, so that none sticks at 0. Fixed points are
/// those of the sweep.
///
/// Sums are taken in the order of the counts: the bits do not depend on the threads.
class Anderson {
 public:
  /// `counts`: what the first sweep takes. Remembers up to 10 sweeps, fewer where they would take
  /// more than 256 MB.
  Anderson(std::vector<double> counts, const Parallel& parallel);

  /// Takes what a sweep from counts() gave: the objective of those counts, and the next ones [same
  /// size]. Returns whether the sweep counts; if not, the leap to counts() was taken back.
  bool take(double objective, std::vector<double> next);

  /// What the next sweep takes.
  std::span<const double> counts() const { return current_; }
  /// Whether they are just what the last sweep gave: only then the next sweep is a step of plain
  /// expectation-maximisation.
  bool is_plain() const { return is_plain_; }
  /// Whether they are a leap.
  bool has_leapt() const { return has_leapt_; }
  /// The sweep after the next one will be plain.
  void rest() { rests_ = true; }

 private:
  struct Change {
    std::vector<double> residual;  // how the change of the counts by a sweep changed,
    std::vector<double> result;    // and what the sweep gave
  };
  void remember(std::vector<double> residual, const std::vector<double>& next);
  std::vector<double> combination(std::span<const double> weights) const;
  void leap(const std::vector<double>& next);

  Parallel parallel_;
  std::size_t window_;
  std::vector<double> current_;
  std::vector<double> residual_;  // of the last sweep that counts; empty before it
  std::vector<double> safe_;      // what that sweep gave
  std::vector<Change> changes_;   // oldest first
  double reached_ = -std::numeric_limits<double>::infinity();
  double longest_ = 10;  // leap, as a multiple of the sweep's own change
  double length_ = 0;    // of the last leap
  bool was_limited_ = false;
  bool has_leapt_ = false;
  bool is_plain_ = true;
  bool rests_ = false;
};

}  // namespace amalgam::labels::models
