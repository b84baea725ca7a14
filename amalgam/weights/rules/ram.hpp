#pragma once

#include "amalgam/weights/rule.hpp"

namespace amalgam::rules {

/// RAM: a position that one member's task vector touches takes that member's change whole, one that
/// several touch the mean of theirs. `plus`: RAM+, which makes the first kind larger for members
/// that share much, by a factor found for each tensor.
std::unique_ptr<UnitMerge> begin_ram(const MergeUnit& unit, bool plus);

}  // namespace amalgam::rules
