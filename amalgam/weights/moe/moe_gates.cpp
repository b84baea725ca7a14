#include "amalgam/weights/moe/moe_gates.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/indexed_random.hpp"
#include "amalgam/weights/moe/prompt_directions.hpp"

namespace amalgam {

MoeGates::MoeGates(const MoeRecipe& recipe, const std::vector<MoeExpert>& experts,
                   const GateModel& model, std::uint64_t seed)
    : gates_(recipe.gates), hidden_(model.hidden), seed_(seed) {
  if (gates_ == MoeRecipe::Gates::hidden && model.states == nullptr) {
    throw InputError(
        "{}: gate_mode hidden (the default) needs the hidden states of the base, which only "
        "'amalgam moe' and 'amalgam verify' compute, where the learning library is installed; set "
        "'gate_mode: "
        "cheap_embed' for token embeddings of the prompts",
        recipe.label);
  }
  if (gates_ == MoeRecipe::Gates::hidden || gates_ == MoeRecipe::Gates::cheap_embed) {
    for (Directions& one : prompt_directions(recipe, experts, model)) {
      directions_.push_back(std::make_shared<const Directions>(std::move(one)));
    }
  }
}

GeneratedTensor::Fill MoeGates::router(std::size_t layer, std::string_view name) const {
  if (!directions_.empty()) {
    const auto& rows = directions_[std::min(layer, directions_.size() - 1)];
    return [rows, hidden = hidden_](std::uint64_t first, std::span<double> out) {
      for (double& value : out) {
        value = (*rows)[first / hidden][first % hidden];
        ++first;
      }
    };
  }
  const IndexedRandom random(seed_, name);
  if (gates_ == MoeRecipe::Gates::random) {
    return [random](std::uint64_t first, std::span<double> out) {
      for (double& value : out) value = random.normal(first++);
    };
  }
  return [random, bound = 1 / std::sqrt(static_cast<double>(hidden_))](std::uint64_t first,
                                                                       std::span<double> out) {
    for (double& value : out) value = (2 * random.uniform(first++) - 1) * bound;
  };
}

}  // namespace amalgam
