#pragma once

#include <span>

#include "amalgam/labels/label_model.hpp"

/// The methods, each defined in the file of its name.
namespace amalgam::labels::models {

const LabelModel& majority_vote();
const LabelModel& standard();
const LabelModel& softmax();
const LabelModel& wawa();
const LabelModel& zero_based_skill();
const LabelModel& dawid_skene();
const LabelModel& one_coin_dawid_skene();
const LabelModel& zencrowd();

std::span<const LabelModel* const> all_models();

}  // namespace amalgam::labels::models
