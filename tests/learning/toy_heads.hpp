#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {

/// A toy network with `heads`, a list as in its description, in evaluation mode.
inline std::shared_ptr<Network> toy_network_with_heads(const std::string& architecture,
                                                       const nlohmann::json& options,
                                                       const nlohmann::json& heads,
                                                       std::uint64_t seed) {
  nlohmann::json json = to_json(toy_description(architecture, options));
  json.erase("classes");
  json["heads"] = heads;
  auto network = make_network(parse_network_description(json, "toy"), "toy");
  initialise(*network, seed);
  network->eval();
  return network;
}

/// Examples for one of the heads.
inline Dataset for_head(Dataset data, const std::string& head) {
  data.head = head;
  return data;
}

}  // namespace amalgam::learning
