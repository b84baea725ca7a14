// What methods that compute in memory start from: the members of a merge, read and checked.
#include <utility>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/learning/finite.hpp"
#include "cli/learning/learned_merge.hpp"
#include "cli/learning/own_heads.hpp"

namespace amalgam::cli {
namespace {

using learning::Network;
using learning::NetworkDescription;

std::shared_ptr<Network> load_finite(const TensorSource& source, const std::string& path,
                                     const std::optional<NetworkDescription>& kind) {
  auto network = learning::load_network(source, kind);
  learning::check_finite(learning::state_of(*network), path);
  return network;
}

std::shared_ptr<Network> load_finite(const std::string& path,
                                     const std::optional<NetworkDescription>& kind) {
  return load_finite(*open_checkpoint(path), path, kind);
}

void add(Ingredients& ingredients, const std::string& path, const Network& network) {
  ingredients.names.push_back(path);
  ingredients.members.push_back(learning::state_of(network));
  ingredients.kinds.push_back(network.description());
}

NetworkDescription kind_of(const std::string& path) {
  const auto network = learning::description_of(*open_checkpoint(path));
  if (!network) {
    throw InputError(
        "{}: does not say what network it holds; expected a checkpoint that 'amalgam train' made",
        path);
  }
  return *network;
}

// The members of a pool that are of the base's kind and finite, each looked at and left in its
// file; the others are left out, unless `strict` is set.
Ingredients load_pool(const LearnedMerge& merge) {
  const NetworkDescription kind = kind_of(merge.base);
  Ingredients ingredients;
  ingredients.base = learning::state_of(*load_finite(merge.base, kind));
  for (const std::string& path : merge.members) {
    try {
      std::shared_ptr<const TensorSource> source = open_checkpoint(path);
      const auto member = load_finite(*source, path, kind);
      if (ingredients.network == nullptr) ingredients.network = member;
      ingredients.names.push_back(path);
      ingredients.pool.push_back(std::move(source));
      ingredients.kinds.push_back(kind);
    } catch (const InputError& error) {
      if (merge.parameters.flag("strict")) throw;
      log::warn("{}: left out: {}", merge.method.name, error.what());
      ingredients.left_out.push_back({{"file", path}, {"reason", error.what()}});
    }
  }
  if (ingredients.pool.empty()) {
    throw InputError("{}: no member is left; expected at least one that fits the base '{}'",
                     merge.method.name, merge.base);
  }
  return ingredients;
}

}  // namespace

Ingredients load_ingredients(const LearnedMerge& merge) {
  if (merge.method.name == "frank_wolfe") return load_pool(merge);
  const NetworkDescription first = kind_of(merge.members.front());
  // Networks that keep heads of their own are each of its own kind.
  const auto kind = has_own_heads(merge) ? std::nullopt : std::optional(first);
  Ingredients ingredients;
  for (const std::string& path : merge.members) {
    const auto member = load_finite(path, kind);
    if (ingredients.network == nullptr) ingredients.network = member;
    add(ingredients, path, *member);
  }
  if (!merge.base.empty()) {
    ingredients.base = learning::state_of(*load_finite(merge.base, first));
  }
  return ingredients;
}

OpenedMembers open_members(const std::vector<std::string>& members) {
  OpenedMembers opened;
  for (const std::string& path : members) opened.sources.emplace_back(open_checkpoint(path));
  opened.network = kind_of(members.front());
  return opened;
}

}  // namespace amalgam::cli
