#pragma once

#include <cstddef>
#include <vector>

#include "amalgam/weights/plan.hpp"
#include "amalgam/weights/units.hpp"

namespace amalgam {

/// Which of several processes makes what of a merge that they share.
struct WorkShare {
  std::size_t rank = 0;       ///< of this process, < processes
  std::size_t processes = 1;  ///< at least 1
};

/// What every process makes of a unit.
struct UnitOwner {
  bool split = false;    ///< all processes: each its stretch of the leaves
  std::size_t rank = 0;  ///< else this one alone
};

/// Shares the units of a plan out: those that need a pass over their inputs first go whole to the
/// process with the least work so far, but for units of a whole model, which every process passes
/// over and of which it then makes its stretch, like units without passes. Depends on its arguments
/// alone. `has_pass`: per unit.
std::vector<UnitOwner> share_units(const MergePlan& plan, const std::vector<WorkUnit>& units,
                                   const std::vector<char>& has_pass, std::size_t processes);

}  // namespace amalgam
