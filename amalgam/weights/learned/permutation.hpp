#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/learning/network.hpp"
#include "amalgam/learning/network_file.hpp"

namespace amalgam::learned {

using learning::NamedTensors;
using learning::Network;

/// An axis of a tensor along which units lie, each `block` entries wide: 1, or the number of pixels
/// of a channel where a convolution's output was flattened.
struct UnitAxis {
  std::string tensor;
  std::int64_t axis = 0;  ///< 0: computes the units; 1: takes them as input
  std::int64_t block = 1;
};

/// Units that may change places, as long as they do so along all these axes.
struct PermutationGroup {
  std::string name;  ///< the first layer that computes them
  std::int64_t units = 0;
  std::vector<UnitAxis> axes;
  std::vector<std::string> consumers;  ///< the layers they go into, behind the nonlinearity
};

/// A Linear or Convolution, and which groups (by number) its outputs and inputs belong to; nothing
/// where they may not be permuted.
struct LayerUnits {
  std::string name;
  std::optional<std::size_t> outputs;
  std::optional<std::size_t> inputs;
  std::int64_t positions = 1;  ///< at which it is computed for one example
};

/// What can be permuted in a network, in the order of computation.
struct PermutationSpec {
  std::vector<PermutationGroup> groups;
  std::vector<LayerUnits> layers;
  /// Two networks tell different things apart: the outputs of either stay its own (see
  /// with_own_outputs).
  bool own_outputs = false;
};

/// Derives the specification from the network's own computation graph: axes that a unit flows
/// through are joined (union-find); the network's inputs and logits stay as they are. Operations
/// known to keep units apart: ReLU, pooling, BatchNorm (whose scales and statistics go along),
/// elementwise arithmetic (which joins its operands, as the additions of a residual network do) and
/// flattening. InputError naming any other operation.
PermutationSpec permutation_spec(Network& network);

/// The same for two networks with outputs of their own: what computes these belongs to no group, so
/// that it need not be alike.
PermutationSpec with_own_outputs(PermutationSpec spec);

/// The layer that computes the network's outputs. InputError if there is none.
const std::string& output_layer(const PermutationSpec& spec);

/// By group; [i] is the unit that comes to place i.
using Permutations = std::vector<std::vector<std::int64_t>>;
Permutations identity_permutations(const PermutationSpec& spec);
Permutations inverse(const Permutations& permutations);

/// The state with the units of every group in a new order. Tensors without permutable axes are
/// shared, not copied. InputError if the permutations or the tensors do not fit the specification.
NamedTensors permuted(const PermutationSpec& spec, const NamedTensors& state,
                      const Permutations& permutations);

/// Proves the specification on the network itself: in double, with units in a random order, the
/// logits of random inputs must not change by more than 1e-9 of the largest. Error if they do.
void check_specification(Network& network, const PermutationSpec& spec, std::uint64_t seed);

/// The tensor of this name. InputError beginning with `where` if there is none.
const torch::Tensor& tensor_named(const NamedTensors& state, const std::string& name,
                                  const std::string& where);
/// `permutation` of units as an index of their entries, int64 [units * per_unit].
torch::Tensor unit_index(const std::vector<std::int64_t>& permutation, std::int64_t per_unit);
/// A uniformly random order of `units` units.
std::vector<std::int64_t> random_permutation(std::int64_t units, std::uint64_t seed,
                                             const std::string& what);

}  // namespace amalgam::learned
