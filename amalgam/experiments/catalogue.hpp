#pragma once

#include "amalgam/experiments/experiment.hpp"

namespace amalgam::experiments {

/// One function per experiment, each in the file of its name; registry.cpp has them all.
const Experiment& model_soups();
const Experiment& sparse_model_soups();
const Experiment& fisher_merging();
const Experiment& adamerging();
const Experiment& fw_merging();
const Experiment& pleas();
const Experiment& twin_merging();
const Experiment& wise_ft_bang();
const Experiment& merging_at_scale();
const Experiment& autows();
const Experiment& aggregate_responses();
const Experiment& crowd_soft_labels();
const Experiment& best_systems();
const Experiment& generalization_difficulty();
const Experiment& accuracy_on_the_curve();
const Experiment& onebench();
const Experiment& observatory();
const Experiment& lr0fm();
const Experiment& binary_decision_bias();

}  // namespace amalgam::experiments
