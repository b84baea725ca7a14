#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>

#include "amalgam/core/random.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network.hpp"
#include "amalgam/learning/network_file.hpp"

namespace amalgam::learning {

/// A small problem: images [1, 6, 6] of noise with a bright 3 x 3 corner that tells the class, of
/// four. A function of the seed.
inline Dataset toy_data(std::int64_t count, std::uint64_t seed) {
  Dataset data;
  data.source = "toy";
  data.class_names = {"upper left", "upper right", "lower left", "lower right"};
  data.inputs = torch::empty({count, 1, 6, 6});
  data.labels = torch::empty({count}, torch::kLong);
  RandomStream random(seed, "toy");
  auto pixels = data.inputs.accessor<float, 4>();
  auto labels = data.labels.accessor<std::int64_t, 1>();
  for (std::int64_t n = 0; n < count; ++n) {
    labels[n] = static_cast<std::int64_t>(random.below(4));
    for (std::int64_t r = 0; r < 6; ++r) {
      for (std::int64_t c = 0; c < 6; ++c) {
        const bool bright = r / 3 == labels[n] / 2 && c / 3 == labels[n] % 2;
        pixels[n][0][r][c] = static_cast<float>((bright ? 0.4 : 0.1) + 0.5 * random.uniform());
      }
    }
  }
  return data;
}

inline NetworkDescription toy_description(const std::string& architecture,
                                          const nlohmann::json& options) {
  NetworkDescription description;
  description.architecture = architecture;
  description.input_shape = {1, 6, 6};
  description.input_mean = {0.4};
  description.input_deviation = {0.2};
  description.class_names = {"upper left", "upper right", "lower left", "lower right"};
  description.options = options;
  return description;
}

inline std::shared_ptr<Network> toy_network(const std::string& architecture,
                                            const nlohmann::json& options, std::uint64_t seed) {
  auto network = make_network(toy_description(architecture, options), "toy");
  initialise(*network, seed);
  return network;
}

/// A toy network whose biases (and scales and statistics of norms) are not those of new networks:
/// units differ by them too.
inline std::shared_ptr<Network> network_with_biases(const std::string& architecture,
                                                    const nlohmann::json& options,
                                                    std::uint64_t seed) {
  auto network = toy_network(architecture, options, seed);
  const torch::NoGradGuard no_grad;
  RandomStream random(seed, "biases");
  for (auto& [name, tensor] : state_of(*network)) {
    if (tensor.dim() != 1) continue;
    const bool positive = name.ends_with("running_var");
    for (std::int64_t i = 0; i < tensor.size(0); ++i) {
      tensor[i] = positive ? 0.5 + random.uniform() : 0.3 * random.normal();
    }
  }
  return network;
}

/// All parameters in one tensor.
inline torch::Tensor all_parameters(const Network& network) {
  std::vector<torch::Tensor> parts;
  for (const auto& one : network.parameters()) parts.push_back(one.detach().flatten());
  return torch::cat(parts).clone();
}

}  // namespace amalgam::learning
