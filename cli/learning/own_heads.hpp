#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/learning/learned_merge.hpp"

// What methods share that merge networks of any origin (pleas, zipit), which may tell different
// things apart: the result then has a head per member.
namespace amalgam::cli {

/// Whether the parameters ask for that.
bool has_own_heads(const LearnedMerge& merge);

/// The names of these heads, one per member. InputError for another number of them.
std::vector<std::string> own_head_names(const LearnedMerge& merge);

/// The members as networks, in evaluation mode, BatchNorm folded into the convolutions. InputError
/// as learned::check_pair.
std::vector<std::shared_ptr<learning::Network>> networks_of(const LearnedMerge& merge,
                                                            const Ingredients& from);

/// What `data` gives as one task per member, in their order: read as for the member's network, and
/// for its head of the result. InputError for another number of tasks, and for a task that names
/// another head.
std::vector<learning::Dataset> tasks_of_own_heads(const LearnedMerge& merge,
                                                  const Ingredients& from, MergeData& data);

/// Trains each head of the result anew on the labels of its task, if the parameters ask for it, and
/// notes the losses.
void train_own_heads(LearnedMerge& merge, const Ingredients& from, learning::Network& network,
                     Json& details);

}  // namespace amalgam::cli
