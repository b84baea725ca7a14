#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/source.hpp"
#include "amalgam/learning/network.hpp"

namespace amalgam::learning {

/// The metadata key under which a checkpoint carries its network's description.
inline constexpr const char* kNetworkKey = "amalgam.network";

/// Tensors by name, e.g. a network's state or what an optimiser remembers of it.
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// Parameters and buffers of a network, by name; the tensors are the network's own.
NamedTensors state_of(const Network& network);

/// Copies of them, which later changes of the network leave alone.
NamedTensors copied_state(const Network& network);
/// A network of the kind of `like` with copies of these weights and their type (float or double),
/// in evaluation mode. InputError if one is missing or of another shape.
std::shared_ptr<Network> network_with(const Network& like, const NamedTensors& state);

/// Writes tensors (float or double, any shape) as a safetensors file, which comes into place whole.
/// InputError if the place is taken and `overwrite` is not set.
void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata, bool overwrite);

/// Tensor number `index` of `source`, in the type that holds its values exactly: double for F64,
/// else float.
torch::Tensor read_tensor(const TensorSource& source, std::size_t index);

/// Writes a network as a plain state dict with its description in the metadata.
void save_network(const std::filesystem::path& path, const Network& network, bool overwrite);

/// The description that `source` carries in its metadata; else, of a folder in Hugging Face layout
/// (a source's label is its path), what its config.json says (hugging_face.hpp); else nothing.
std::optional<NetworkDescription> description_of(const TensorSource& source);

/// Builds the network that `source` describes (or `description`, for a checkpoint without one) with
/// its weights, in evaluation mode. InputError if there is no description, or tensors are missing,
/// left over (unless the network ignores them) or of another shape.
std::shared_ptr<Network> load_network(const TensorSource& source,
                                      const std::optional<NetworkDescription>& description = {});

}  // namespace amalgam::learning
