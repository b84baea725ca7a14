#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/labels/weak/protocol.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/recipe.hpp"

namespace amalgam::labels {

/// Features as a table to train on: inputs [rows, columns, 1, 1]. Labels are 0 until they are set.
learning::Dataset as_dataset(const Features& features, std::vector<std::string> class_names);

/// What goes into the network's last layer, as features of the examples.
Features encode(learning::Network& network, const learning::Dataset& data);

/// How networks are trained on what a label model says.
struct EndModelOptions {
  /// The network's description as in a training recipe; a null value: {architecture: mlp, hidden:
  /// [64]}.
  nlohmann::json network;
  double learning_rate = 0.1;
  std::uint64_t batch = 256;
  std::uint64_t steps = 1000;  ///< about: whole epochs, at least this many steps
  bool hard = false;           ///< train on the most probable class alone
  std::uint64_t seed = 0;
};

/// Trains a network on the covered examples by soft cross-entropy with their probabilities (plain
/// SGD, constant rate). InputError if there are other numbers of examples, classes or
/// probabilities, or no example is covered.
std::shared_ptr<learning::Network> train_end_model(const learning::Dataset& data,
                                                   const WeakLabels& labels,
                                                   const EndModelOptions& options = {});

/// The network's probabilities for all examples.
SoftLabels predict(learning::Network& network, const learning::Dataset& data);

}  // namespace amalgam::labels
