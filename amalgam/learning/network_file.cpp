#include "amalgam/learning/network_file.hpp"

#include <algorithm>
#include <span>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/description/hugging_face.hpp"

namespace amalgam::learning {
namespace {

Shape shape_of(const torch::Tensor& tensor) {
  Shape shape;
  for (const std::int64_t size : tensor.sizes()) shape.push_back(static_cast<std::uint64_t>(size));
  return shape;
}

std::vector<std::int64_t> sizes_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

void check_shapes(const TensorSource& source, const Network& network, const NamedTensors& state) {
  for (const auto& [name, tensor] : state) {
    const auto index = source.find(name);
    if (!index) {
      throw InputError("{}: tensor '{}', which its network needs, is missing", source.label(),
                       name);
    }
    const TensorInfo& info = source.tensors()[*index];
    if (info.shape != shape_of(tensor)) {
      throw InputError("{}: tensor '{}' has shape {}, but its network needs {}", source.label(),
                       name, format_shape(info.shape), format_shape(shape_of(tensor)));
    }
  }
  if (source.tensors().size() == state.size()) return;
  for (const TensorInfo& info : source.tensors()) {
    const auto same = [&](const auto& one) { return one.first == info.name; };
    if (std::none_of(state.begin(), state.end(), same) && !network.ignores(info.name)) {
      throw InputError("{}: tensor '{}' does not belong to the network that the file describes",
                       source.label(), info.name);
    }
  }
}

}  // namespace

NamedTensors state_of(const Network& network) {
  NamedTensors state;
  for (const auto& one : network.named_parameters()) state.emplace_back(one.key(), one.value());
  for (const auto& one : network.named_buffers()) state.emplace_back(one.key(), one.value());
  return state;
}

NamedTensors copied_state(const Network& network) {
  NamedTensors copies = state_of(network);
  for (auto& [name, tensor] : copies) tensor = tensor.detach().clone();
  return copies;
}

std::shared_ptr<Network> network_with(const Network& like, const NamedTensors& state) {
  auto made = make_network(like.description(), "copy of a network");
  if (!state.empty()) made->to(state.front().second.scalar_type());
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : state_of(*made)) {
    const auto found = std::ranges::find(state, name, &NamedTensors::value_type::first);
    if (found == state.end() || found->second.sizes() != tensor.sizes()) {
      throw InputError("tensor '{}', which the network needs, is {}", name,
                       found == state.end() ? "missing" : "of another shape");
    }
    tensor.copy_(found->second);
  }
  made->eval();
  return made;
}

void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata, bool overwrite) {
  OutputTransaction output(path, {.overwrite = overwrite});
  std::vector<TensorInfo> infos;
  for (const auto& [name, tensor] : tensors) {
    const DType dtype = tensor.scalar_type() == torch::kDouble ? DType::f64 : DType::f32;
    infos.push_back(make_tensor_info(name, dtype, shape_of(tensor), path.string()));
  }
  const auto sink = create_safetensors_file(output.work_path(), std::move(infos), metadata);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const bool is_double = sink->tensors()[i].dtype == DType::f64;
    const torch::Tensor contents =
        tensors[i].second.detach().to(is_double ? torch::kDouble : torch::kFloat).contiguous();
    sink->write(i, 0, {static_cast<const std::byte*>(contents.data_ptr()), contents.nbytes()});
  }
  sink->finish();
  output.commit();
}

torch::Tensor read_tensor(const TensorSource& source, std::size_t index) {
  const TensorInfo& info = source.tensors()[index];
  if (!dtype_is_floating(info.dtype)) {
    throw InputError("{}: tensor '{}' is {}; expected real numbers", source.label(), info.name,
                     dtype_name(info.dtype));
  }
  const auto count = static_cast<std::size_t>(info.elements);
  if (info.dtype == DType::f64) {
    torch::Tensor tensor = torch::empty(sizes_of(info.shape), torch::kDouble);
    source.read(index, 0, std::span(tensor.data_ptr<double>(), count));
    return tensor;
  }
  torch::Tensor tensor = torch::empty(sizes_of(info.shape), torch::kFloat);
  source.read(index, 0, std::span(tensor.data_ptr<float>(), count));
  return tensor;
}

void save_network(const std::filesystem::path& path, const Network& network, bool overwrite) {
  save_tensors(path, state_of(network), {{kNetworkKey, to_json(network.description()).dump()}},
               overwrite);
}

std::optional<NetworkDescription> description_of(const TensorSource& source) {
  const auto found = source.metadata().find(kNetworkKey);
  if (found == source.metadata().end()) return hugging_face_folder(source.label());
  const std::string where = source.label() + ": metadata '" + kNetworkKey + "'";
  return parse_network_description(parse_json(found->second, where), where);
}

std::shared_ptr<Network> load_network(const TensorSource& source,
                                      const std::optional<NetworkDescription>& description) {
  const auto known = description ? description : description_of(source);
  if (!known) {
    throw InputError(
        "{}: the file does not say what network it holds (no '{}' in its metadata);"
        " use a checkpoint that 'amalgam train' made, or --network with one of its kind",
        source.label(), kNetworkKey);
  }
  auto network = make_network(*known, source.label());
  const NamedTensors state = state_of(*network);
  check_shapes(source, *network, state);
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : state) {
    torch::Tensor target = tensor;
    if (const auto found = source.find(name)) target.copy_(read_tensor(source, *found));
  }
  network->eval();
  return network;
}

}  // namespace amalgam::learning
