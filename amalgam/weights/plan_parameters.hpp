#pragma once

#include <string_view>

#include "amalgam/weights/plan.hpp"
#include "amalgam/weights/recipe.hpp"
#include "amalgam/weights/rule.hpp"

namespace amalgam {

/// Checks every parameter that a recipe sets against what the rule declares: names (InputError with
/// the nearest one), kinds and ranges, and that what holds for the whole merge is not set for one
/// model. `int8_mask`, which in mergekit only saves memory, is accepted and has no effect.
void check_parameters(const Recipe& recipe, const RuleInfo& rule);

/// A warning for every filter of a parameter that matches no tensor, of models or output: what it
/// was written for does not happen.
void warn_of_idle_filters(const Recipe& recipe, const MergePlan& plan);

/// The settings that hold for a tensor, nearest first; null where there are none.
struct ParameterLevels {
  const ParameterSettings* source = nullptr;
  const ParameterSettings* slice = nullptr;
  const ParameterSettings* module = nullptr;
  const ParameterSettings* document = nullptr;
};

/// Which tensor parameters are resolved for.
struct ParameterPlace {
  std::string_view recipe;  ///< label, for errors
  std::string_view model;   ///< for errors; empty for what holds for the whole merge
  std::string_view tensor;  ///< seen by filters
  double position = 0;      ///< in the layers, seen by gradients
};

/// The per-member (or else the whole merge's) parameters of `rule` for one tensor: the first value
/// found, nearest level first, in the rule's own kinds, defaults filled in. InputError naming
/// parameter, model and tensor if a required one has no value.
Parameters resolve_parameters(const RuleInfo& rule, bool per_member, const ParameterLevels& levels,
                              const ParameterPlace& place);

}  // namespace amalgam
