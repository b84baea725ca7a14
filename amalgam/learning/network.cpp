#include "amalgam/learning/network.hpp"

#include <unistd.h>

#include <cmath>
#include <variant>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/learning/architectures.hpp"
#include "amalgam/learning/tensor_memory.hpp"

namespace amalgam::learning {
namespace {

constexpr double kEmbeddingDeviation = 0.02;

torch::Tensor per_channel(const std::vector<double>& values, const torch::Tensor& like) {
  return torch::tensor(values, torch::kDouble).to(like.scalar_type()).view({1, -1, 1, 1});
}

void draw(torch::Tensor tensor, double deviation, std::uint64_t seed, const std::string& name) {
  RandomStream random(seed, "initialise " + name);
  std::vector<float> values(static_cast<std::size_t>(tensor.numel()));
  for (float& value : values) value = static_cast<float>(deviation * random.normal());
  tensor.copy_(torch::from_blob(values.data(), tensor.sizes(), torch::kFloat));
}

// Linear or Convolution.
template <class Layer>
void initialise_matrix(const Layer& layer, std::uint64_t seed, const std::string& name) {
  torch::Tensor weight = layer.weight;
  const double inputs = static_cast<double>(weight.numel()) / static_cast<double>(weight.size(0));
  draw(weight, std::sqrt(layer.gain / inputs), seed, name + ".weight");
  if (torch::Tensor bias = layer.bias; bias.defined()) bias.zero_();
}

void initialise_layer(const torch::nn::Module& layer, std::uint64_t seed, const std::string& name) {
  if (const auto* linear = dynamic_cast<const Linear*>(&layer)) {
    initialise_matrix(*linear, seed, name);
  } else if (const auto* convolution = dynamic_cast<const Convolution*>(&layer)) {
    initialise_matrix(*convolution, seed, name);
  } else if (const auto* embedding = dynamic_cast<const Embedding*>(&layer)) {
    draw(embedding->weight, kEmbeddingDeviation, seed, name + ".weight");
  } else {  // norms: scales and variances are 1, the rest 0
    for (const auto& all : {layer.named_parameters(false), layer.named_buffers(false)}) {
      for (const auto& one : all) {
        torch::Tensor tensor = one.value();
        tensor.fill_(one.key() == "weight" || one.key() == "running_var" ? 1 : 0);
      }
    }
  }
}

std::uint64_t bytes_of_this_machine() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

torch::Tensor Network::forward(const torch::Tensor& inputs, const LayerObserver& observer) {
  if (description_.takes_tokens()) return compute(inputs, observer);
  if (!first_parameter_.defined()) first_parameter_ = parameters().front();
  const torch::Tensor typed = inputs.to(first_parameter_.scalar_type());
  const torch::Tensor centred = (typed - per_channel(description_.input_mean, typed)) /
                                per_channel(description_.input_deviation, typed);
  return compute(centred, observer);
}

torch::Tensor Network::features(const torch::Tensor& inputs) {
  torch::Tensor last;
  forward(inputs,
          [&](const torch::nn::Module& layer, const torch::Tensor& input, const torch::Tensor&) {
            if (dynamic_cast<const Linear*>(&layer) != nullptr) last = input;
          });
  if (!last.defined()) throw Error("the network has no linear layer");
  return last;
}

std::shared_ptr<Network> make_network(const NetworkDescription& description,
                                      const std::string& where) {
  const ArchitectureOptions options = architecture_options(description, where);
  try {
    return std::visit([&](const auto& chosen) { return build_network(description, chosen); },
                      options);
  } catch (const NoTensorMemory& lack) {
    if (lack.bytes() <= bytes_of_this_machine()) throw;
  } catch (const c10::Error&) {  // sizes that no integer holds, or as above
  }
  throw InputError("{}: there is not enough memory for the network that is described", where);
}

void initialise(Network& network, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  for (const auto& one : network.named_modules("", false)) {
    initialise_layer(*one.value(), seed, one.key());
  }
  for (const auto& one : network.named_parameters(false)) {
    draw(one.value(), kEmbeddingDeviation, seed, one.key());
  }
}

}  // namespace amalgam::learning
