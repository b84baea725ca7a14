#pragma once

#include "amalgam/weights/rule.hpp"

// One function per rule, each defined in the file of its name in this folder; registry.cpp lists
// them.
namespace amalgam::rules {

const MergeRule& linear();
const MergeRule& task_arithmetic();
const MergeRule& ties();
const MergeRule& dare_linear();
const MergeRule& dare_ties();
const MergeRule& breadcrumbs();
const MergeRule& breadcrumbs_ties();
const MergeRule& della();
const MergeRule& della_linear();
const MergeRule& sce();
const MergeRule& arcee_fusion();
const MergeRule& nearswap();
const MergeRule& ram();
const MergeRule& ramplus_tl();
const MergeRule& passthrough();
const MergeRule& slerp();
const MergeRule& nuslerp();
const MergeRule& multislerp();
const MergeRule& karcher();
const MergeRule& model_stock();
const MergeRule& fisher();
const MergeRule& wise_ft();
const MergeRule& variance_corrected();
const MergeRule& median();
const MergeRule& trimmed_mean();
const MergeRule& geometric_median();
const MergeRule& krum();
const MergeRule& multi_krum();
const MergeRule& bulyan();
const MergeRule& meamed();
const MergeRule& phocas();
const MergeRule& flag();

}  // namespace amalgam::rules
