#pragma once

#include <string>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network_file.hpp"

namespace amalgam::learned {

using learning::NamedTensors;

/// Whether a tensor belongs to one of a network's heads ("heads.<name>.weight").
bool is_of_head(const learning::NetworkDescription& network, const std::string& tensor);

/// The tensors of all heads, as methods that learn from tasks need them, which merge what the heads
/// share and leave the heads alone: the head that task number k names is that of member number k, a
/// head that no task names that of `base`. InputError unless there is a member per task, every task
/// names a head, and no two the same.
NamedTensors heads_of_members(const learning::NetworkDescription& network, const NamedTensors& base,
                              const std::vector<NamedTensors>& members,
                              const std::vector<learning::Dataset>& tasks);

/// `state` with `replacements` in place of its tensors of these names.
NamedTensors with_tensors(NamedTensors state, const NamedTensors& replacements);

/// The tensors of `state` that belong to heads, or all others.
NamedTensors only_heads(const learning::NetworkDescription& network, const NamedTensors& state);
NamedTensors without_heads(const learning::NetworkDescription& network, const NamedTensors& state);

}  // namespace amalgam::learned
