#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "amalgam/labels/weak/dialogue.hpp"

namespace amalgam::labels {

/// Small networks that learn from a few answers which labelling functions are useful (Boecking et
/// al. 2021): features - hidden - hidden - 1 with ReLU, each trained on a bootstrap sample of the
/// answers by Adam on the whole sample at every step.
struct EnsembleOptions {
  std::size_t members = 50;
  std::size_t hidden = 10;
  std::size_t epochs = 200;
  double learning_rate = 1e-3;
  double weight_decay = 1e-4;  ///< added to the gradient, times the weight
};

/// Trains the members side by side and gives the mean and the deviation (divisor: members) of their
/// probabilities for every row of `features`. A function of the seed, for one machine and number of
/// threads. InputError if there is no answer or one is about a row that is not there.
Usefulness usefulness_ensemble(const Features& features, std::span<const DialogueAnswer> answers,
                               std::uint64_t seed, const EnsembleOptions& options = {});

/// The same as a model for a Dialogue.
UsefulnessModel ensemble_model(const EnsembleOptions& options = {});

}  // namespace amalgam::labels
