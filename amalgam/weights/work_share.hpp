#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "amalgam/core/cluster.hpp"
#include "amalgam/weights/leaves.hpp"
#include "amalgam/weights/plan.hpp"
#include "amalgam/weights/units.hpp"

namespace amalgam {

/// Which of several processes makes what of a merge that they share.
struct WorkShare {
  std::size_t rank = 0;        ///< of this process, < processes
  std::size_t processes = 1;   ///< at least 1
  Cluster* cluster = nullptr;  ///< of these processes; null if there is one
};

/// What every process makes of a unit.
struct UnitOwner {
  bool split = false;    ///< all processes: each its stretch of the leaves
  std::size_t rank = 0;  ///< else this one alone
};

/// Shares the units of a plan out: those that need a pass over their inputs first go whole to the
/// process with the least work so far, but for units of a whole model, of which every process makes
/// its stretch, like units without passes. Depends on its arguments alone. `has_pass`: per unit.
std::vector<UnitOwner> share_units(const MergePlan& plan, const std::vector<WorkUnit>& units,
                                   const std::vector<char>& has_pass, std::size_t processes);

/// How many leaves of each tensor of a unit, in the unit's order, passes look at: none of tied
/// tensors and of scales.
std::vector<std::uint64_t> passed_leaf_counts(const MergePlan& plan, const WorkUnit& unit);

/// The leaves of a split unit that this process makes. Of those that passes look at they are the
/// process's stretch of the passes (leaf_share), so that rules find there again what they kept of
/// them.
std::vector<LeafPlace> leaves_of_share(const MergePlan& plan, const WorkUnit& unit,
                                       const WorkShare& share);

}  // namespace amalgam
