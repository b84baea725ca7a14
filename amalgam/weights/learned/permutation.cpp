#include "amalgam/weights/learned/permutation.hpp"

#include <algorithm>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/data/shuffle.hpp"

namespace amalgam::learned {
namespace {

constexpr double kSameLogits = 1e-9;

void check_permutation(const std::vector<std::int64_t>& permutation,
                       const PermutationGroup& group) {
  std::vector<bool> seen(static_cast<std::size_t>(group.units), false);
  bool fits = permutation.size() == seen.size();
  for (std::size_t i = 0; fits && i < permutation.size(); ++i) {
    fits = permutation[i] >= 0 && permutation[i] < group.units &&
           !seen[static_cast<std::size_t>(permutation[i])];
    if (fits) seen[static_cast<std::size_t>(permutation[i])] = true;
  }
  if (!fits) {
    throw InputError("group '{}': not a permutation of its {} units", group.name, group.units);
  }
}

}  // namespace

const torch::Tensor& tensor_named(const NamedTensors& state, const std::string& name,
                                  const std::string& where) {
  const auto found = std::ranges::find(state, name, &NamedTensors::value_type::first);
  if (found == state.end()) throw InputError("{}: no tensor '{}'", where, name);
  return found->second;
}

torch::Tensor unit_index(const std::vector<std::int64_t>& permutation, std::int64_t per_unit) {
  const torch::Tensor first = torch::tensor(permutation, torch::kLong) * per_unit;
  return (first.unsqueeze(1) + torch::arange(per_unit, torch::kLong)).flatten();
}

std::vector<std::int64_t> random_permutation(std::int64_t units, std::uint64_t seed,
                                             const std::string& what) {
  const std::vector<std::size_t> order =
      shuffled_indices(static_cast<std::size_t>(units), seed, what);
  return {order.begin(), order.end()};
}

PermutationSpec with_own_outputs(PermutationSpec spec) {
  spec.own_outputs = true;
  for (const LayerUnits& layer : spec.layers) {
    if (layer.outputs) continue;
    for (PermutationGroup& group : spec.groups) {
      std::erase_if(group.axes, [&](const UnitAxis& axis) {
        return axis.tensor == layer.name + ".weight" || axis.tensor == layer.name + ".bias";
      });
    }
  }
  return spec;
}

const std::string& output_layer(const PermutationSpec& spec) {
  const auto found = std::ranges::find_if(
      spec.layers, [](const LayerUnits& layer) { return !layer.outputs.has_value(); });
  if (found == spec.layers.end()) throw InputError("the network has no layer of outputs");
  return found->name;
}

Permutations identity_permutations(const PermutationSpec& spec) {
  Permutations permutations;
  permutations.reserve(spec.groups.size());
  for (const PermutationGroup& group : spec.groups) {
    std::vector<std::int64_t>& one =
        permutations.emplace_back(static_cast<std::size_t>(group.units));
    std::iota(one.begin(), one.end(), 0);
  }
  return permutations;
}

Permutations inverse(const Permutations& permutations) {
  Permutations result = permutations;
  for (std::size_t g = 0; g < permutations.size(); ++g) {
    for (std::size_t i = 0; i < permutations[g].size(); ++i) {
      result[g][static_cast<std::size_t>(permutations[g][i])] = static_cast<std::int64_t>(i);
    }
  }
  return result;
}

NamedTensors permuted(const PermutationSpec& spec, const NamedTensors& state,
                      const Permutations& permutations) {
  if (permutations.size() != spec.groups.size()) {
    throw InputError("{} permutations for {} groups of units", permutations.size(),
                     spec.groups.size());
  }
  const torch::NoGradGuard no_grad;
  NamedTensors result = state;
  for (std::size_t g = 0; g < spec.groups.size(); ++g) {
    const PermutationGroup& group = spec.groups[g];
    check_permutation(permutations[g], group);
    for (const UnitAxis& axis : group.axes) {
      const auto found = std::ranges::find(result, axis.tensor, &NamedTensors::value_type::first);
      if (found == result.end() || found->second.dim() <= axis.axis ||
          found->second.size(axis.axis) != group.units * axis.block) {
        throw InputError("group '{}': tensor '{}' is missing or does not have {} x {} entries",
                         group.name, axis.tensor, group.units, axis.block);
      }
      found->second =
          found->second.detach().index_select(axis.axis, unit_index(permutations[g], axis.block));
    }
  }
  return result;
}

void check_specification(Network& network, const PermutationSpec& spec, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  Permutations order;
  order.reserve(spec.groups.size());
  for (const PermutationGroup& group : spec.groups) {
    order.push_back(random_permutation(group.units, seed, "check " + group.name));
  }
  const NamedTensors state = learning::state_of(network);
  const auto before = learning::network_with(network, state);
  const auto after = learning::network_with(network, permuted(spec, state, order));
  before->to(torch::kDouble);
  after->to(torch::kDouble);
  std::vector<std::int64_t> shape = network.description().input_shape;
  shape.insert(shape.begin(), 4);
  torch::Tensor inputs = torch::empty(shape, torch::kDouble);
  RandomStream random(seed, "check inputs");
  double* values = inputs.data_ptr<double>();
  for (std::int64_t i = 0; i < inputs.numel(); ++i) values[i] = random.uniform();
  const torch::Tensor expected = before->forward(inputs);
  const double difference = (after->forward(inputs) - expected).abs().max().item<double>();
  const double scale = expected.abs().max().item<double>();
  if (!(difference <= kSameLogits * scale)) {
    throw Error("permuting the units of a network by its specification changes logits by {}",
                difference);
  }
}

}  // namespace amalgam::learned
