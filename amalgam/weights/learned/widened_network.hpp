#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/learning/network_file.hpp"

// Networks made of others, with other numbers of units and a head for each of them.
namespace amalgam::learned {

/// The description with the number of units of every layer as given, by name, in the order of
/// computation. InputError for an architecture other than mlp, cnn and resnet.
learning::NetworkDescription widened(
    learning::NetworkDescription description,
    const std::vector<std::pair<std::string, std::int64_t>>& outputs);

/// A head that a network made of several has, and the network whose classes it tells apart.
struct OwnHead {
  std::string name;
  const learning::NetworkDescription* network = nullptr;
};

/// Turns the layer `outputs` of `state`, whose rows are those of the networks one after the other,
/// into a head per network, and says so in `description`. InputError for a name that is none or
/// occurs twice, and if a network has several heads already.
void split_into_heads(const std::vector<OwnHead>& heads, const std::string& outputs,
                      learning::NetworkDescription& description, learning::NamedTensors& state);

}  // namespace amalgam::learned
