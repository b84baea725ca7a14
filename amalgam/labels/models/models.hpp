#pragma once

#include <span>

#include "amalgam/labels/label_model.hpp"

/// The methods, each defined in the file of its name.
namespace amalgam::labels::models {

const LabelModel& majority_vote();
const LabelModel& weighted_majority();
const LabelModel& gold_majority();
const LabelModel& standard();
const LabelModel& softmax();
const LabelModel& wawa();
const LabelModel& zero_based_skill();
const LabelModel& dawid_skene();
const LabelModel& fast_dawid_skene();
const LabelModel& one_coin_dawid_skene();
const LabelModel& zencrowd();
const LabelModel& glad();
const LabelModel& mace();
const LabelModel& kos();
const LabelModel& bcc();
const LabelModel& m_msr();
const LabelModel& generative();
const LabelModel& flying_squid();
const LabelModel& weaver();
const LabelModel& average();

std::span<const LabelModel* const> all_models();

}  // namespace amalgam::labels::models
