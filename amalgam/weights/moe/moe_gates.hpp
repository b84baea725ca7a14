#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/generated_source.hpp"
#include "amalgam/weights/moe/moe_recipe.hpp"

namespace amalgam {

/// What a language model makes of prompts.
class PromptStates {
 public:
  virtual ~PromptStates() = default;
  /// The hidden state that enters each layer at the last of these tokens: [layers][hidden].
  virtual std::vector<std::vector<double>> last_states(
      const std::vector<std::size_t>& tokens) const = 0;
};

/// The model whose tokenizer, embeddings and hidden states turn prompts into gates.
struct GateModel {
  const TensorSource& tensors;
  std::filesystem::path folder;
  std::uint64_t hidden = 0;              ///< columns of a router
  std::size_t layers = 0;                ///< routers
  const PromptStates* states = nullptr;  ///< null: it is not run
};

/// One unit vector per expert.
using Directions = std::vector<std::vector<double>>;

/// What routers are made of: asked for one router at a time.
class MoeGates {
 public:
  /// `experts`: those that the routers choose among (or the shared expert alone). Reads the prompts
  /// where the recipe has gates of prompts. InputError as prompt_directions, and for gates of
  /// hidden states of a model that is not run.
  MoeGates(const MoeRecipe& recipe, const std::vector<MoeExpert>& experts, const GateModel& model,
           std::uint64_t seed);

  /// What fills the router of a layer, [experts, hidden], called `name`. Random ones are a function
  /// of seed and name (core/indexed_random.hpp, index the row-major one).
  GeneratedTensor::Fill router(std::size_t layer, std::string_view name) const;

 private:
  MoeRecipe::Gates gates_;
  std::uint64_t hidden_;
  std::uint64_t seed_;
  std::vector<std::shared_ptr<const Directions>>
      directions_;  // of prompts: by layer, or one for all
};

}  // namespace amalgam
