#include "amalgam/weights/learned/task_heads.hpp"

#include <algorithm>
#include <set>

#include "amalgam/core/error.hpp"

namespace amalgam::learned {
namespace {

std::string prefix_of(const std::string& head) { return "heads." + head + "."; }

NamedTensors filtered(const learning::NetworkDescription& network, const NamedTensors& state,
                      bool heads) {
  NamedTensors chosen;
  std::ranges::copy_if(state, std::back_inserter(chosen),
                       [&](const auto& one) { return is_of_head(network, one.first) == heads; });
  return chosen;
}

}  // namespace

bool is_of_head(const learning::NetworkDescription& network, const std::string& tensor) {
  return std::ranges::any_of(network.heads, [&](const learning::Head& head) {
    return tensor.starts_with(prefix_of(head.name));
  });
}

NamedTensors only_heads(const learning::NetworkDescription& network, const NamedTensors& state) {
  return filtered(network, state, true);
}

NamedTensors without_heads(const learning::NetworkDescription& network, const NamedTensors& state) {
  return filtered(network, state, false);
}

NamedTensors with_tensors(NamedTensors state, const NamedTensors& replacements) {
  for (auto& [name, tensor] : state) {
    const auto found = std::ranges::find(replacements, name, &NamedTensors::value_type::first);
    if (found != replacements.end()) tensor = found->second;
  }
  return state;
}

NamedTensors heads_of_members(const learning::NetworkDescription& network, const NamedTensors& base,
                              const std::vector<NamedTensors>& members,
                              const std::vector<learning::Dataset>& tasks) {
  if (tasks.size() != members.size()) {
    throw InputError(
        "{} tasks for {} members; expected one for each, in their order, whose head is kept",
        tasks.size(), members.size());
  }
  NamedTensors heads = only_heads(network, base);
  std::set<std::string> seen;
  for (std::size_t k = 0; k < tasks.size(); ++k) {
    const std::string& head = tasks[k].head;
    if (head.empty()) throw InputError("task {} ({}) names no head", k + 1, tasks[k].source);
    if (!seen.insert(head).second) throw InputError("head '{}' is named by two tasks", head);
    (void)network.head(head, tasks[k].source);
    NamedTensors own;
    std::ranges::copy_if(members[k], std::back_inserter(own),
                         [&](const auto& one) { return one.first.starts_with(prefix_of(head)); });
    heads = with_tensors(std::move(heads), own);
  }
  return heads;
}

}  // namespace amalgam::learned
