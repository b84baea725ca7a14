#include "amalgam/learning/network.hpp"

#include <array>
#include <cmath>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/learning/architectures.hpp"
#include "amalgam/learning/options.hpp"

namespace amalgam::learning {
namespace {

constexpr std::size_t kMostClasses = 100'000;
constexpr std::int64_t kLongestAxis = 4096;

struct Architecture {
  const char* name;
  std::shared_ptr<Network> (*make)(const NetworkDescription&, Options&);
};
constexpr std::array kArchitectures{
    Architecture{"mlp", make_mlp},
    Architecture{"cnn", make_cnn},
};

torch::Tensor per_channel(const std::vector<double>& values, const torch::Tensor& like) {
  return torch::tensor(values, torch::kDouble).to(like.scalar_type()).view({1, -1, 1, 1});
}

}  // namespace

NetworkDescription parse_network_description(const nlohmann::json& json, const std::string& where) {
  Options options(json, where);
  NetworkDescription description;
  description.architecture = options.choice("architecture", "", network_architectures());

  Options input = options.section("input");
  description.input_shape = input.counts("shape", {}, 1, kLongestAxis, 3);
  if (description.input_shape.size() != 3) input.refuse("shape", "[channels, rows, columns]");
  const auto channels = static_cast<std::size_t>(description.input_shape[0]);
  description.input_mean = input.numbers("mean", std::vector<double>(channels, 0.0), channels);
  description.input_deviation =
      input.numbers("deviation", std::vector<double>(channels, 1.0), channels);
  if (description.input_mean.size() != channels) input.refuse("mean", "one number per channel");
  for (const double deviation : description.input_deviation) {
    if (!(deviation > 0)) input.refuse("deviation", "positive numbers");
  }
  if (description.input_deviation.size() != channels) {
    input.refuse("deviation", "one number per channel");
  }
  input.finish();

  description.class_names = options.texts("classes", kMostClasses);
  if (description.class_names.empty()) options.refuse("classes", "the names of the classes");

  description.options = json;
  for (const char* key : {"architecture", "input", "classes"}) description.options.erase(key);
  return description;
}

nlohmann::json to_json(const NetworkDescription& description) {
  nlohmann::json json = description.options;
  json["architecture"] = description.architecture;
  json["input"] = {{"shape", description.input_shape},
                   {"mean", description.input_mean},
                   {"deviation", description.input_deviation}};
  json["classes"] = description.class_names;
  return json;
}

torch::Tensor Network::forward(const torch::Tensor& inputs, const LayerObserver& observer) {
  const torch::Tensor centred = (inputs - per_channel(description_.input_mean, inputs)) /
                                per_channel(description_.input_deviation, inputs);
  return compute(centred, observer);
}

std::vector<std::string> network_architectures() {
  std::vector<std::string> names;
  names.reserve(std::size(kArchitectures));
  for (const Architecture& architecture : kArchitectures) names.emplace_back(architecture.name);
  return names;
}

std::shared_ptr<Network> make_network(const NetworkDescription& description,
                                      const std::string& where) {
  for (const Architecture& architecture : kArchitectures) {
    if (description.architecture != architecture.name) continue;
    Options options(description.options, where);
    auto network = architecture.make(description, options);
    options.finish();
    return network;
  }
  const std::vector<std::string> names = network_architectures();
  throw InputError("{}: no architecture '{}'{}; known are {}", where, description.architecture,
                   did_you_mean(description.architecture, names), join(names, ", "));
}

void initialise(Network& network, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  torch::Tensor last;  // the output layer: it comes last among the matrices
  for (const auto& parameter : network.named_parameters()) {
    if (parameter.value().dim() == 2) last = parameter.value();
  }
  for (auto& parameter : network.named_parameters()) {
    torch::Tensor& tensor = parameter.value();
    if (tensor.dim() < 2) {
      tensor.zero_();
      continue;
    }
    const double inputs = static_cast<double>(tensor.numel()) / static_cast<double>(tensor.size(0));
    const double deviation = std::sqrt((tensor.is_same(last) ? 1.0 : 2.0) / inputs);
    RandomStream random(seed, "initialise " + parameter.key());
    std::vector<float> values(static_cast<std::size_t>(tensor.numel()));
    for (float& value : values) value = static_cast<float>(deviation * random.normal());
    tensor.copy_(torch::from_blob(values.data(), tensor.sizes(), torch::kFloat));
  }
}

}  // namespace amalgam::learning
