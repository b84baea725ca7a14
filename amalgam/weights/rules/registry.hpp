#pragma once

#include "amalgam/weights/rule.hpp"

// One function per rule, each defined in the file of its name in this folder; registry.cpp lists them.
namespace amalgam::rules {

const MergeRule& linear();

}  // namespace amalgam::rules
