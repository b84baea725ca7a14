#include "amalgam/weights/learned/widened_network.hpp"

#include "amalgam/core/error.hpp"

namespace amalgam::learned {
namespace {

using learning::NetworkDescription;
using Widths = std::vector<std::pair<std::string, std::int64_t>>;

// Of a residual network: how many blocks each stage has, how wide it is, and each block inside.
void widen_resnet(nlohmann::json& options, const Widths& outputs) {
  std::vector<std::int64_t> blocks;
  std::vector<std::int64_t> widths;
  std::vector<std::int64_t> inner;
  std::string stage;
  for (const auto& [layer, width] : outputs) {
    if (!layer.starts_with("layer")) continue;
    const std::string its_stage = layer.substr(0, layer.find('.'));
    if (its_stage != stage) {
      stage = its_stage;
      blocks.push_back(0);
      widths.push_back(0);
    }
    if (layer.ends_with(".conv1")) {
      inner.push_back(width);
      ++blocks.back();
    } else if (layer.ends_with(".conv2")) {
      widths.back() = width;
    }
  }
  for (const char* key : {"depth", "width"}) options.erase(key);
  options["blocks"] = blocks;
  options["widths"] = widths;
  options["inner"] = inner;
}

std::vector<std::int64_t> widths_of(const Widths& outputs, const std::string& list) {
  std::vector<std::int64_t> found;
  for (const auto& [layer, width] : outputs) {
    if (layer.starts_with(list + ".")) found.push_back(width);
  }
  return found;
}

}  // namespace

NetworkDescription widened(NetworkDescription description, const Widths& outputs) {
  if (description.architecture == "resnet") {
    widen_resnet(description.options, outputs);
    return description;
  }
  if (description.architecture != "mlp" && description.architecture != "cnn") {
    throw InputError("how to widen an '{}' is not known; expected an mlp, a cnn or a resnet",
                     description.architecture);
  }
  std::vector<std::int64_t> hidden = widths_of(outputs, "layers");
  if (description.heads.empty()) hidden.pop_back();  // the logits
  description.options["hidden"] = hidden;
  if (description.architecture == "cnn") {
    description.options["channels"] = widths_of(outputs, "convolutions");
  }
  return description;
}

void split_into_heads(const std::vector<OwnHead>& heads, const std::string& outputs,
                      NetworkDescription& description, learning::NamedTensors& state) {
  description.heads.clear();
  description.class_names.clear();
  for (const OwnHead& head : heads) {
    if (!head.network->heads.empty()) {
      throw InputError("networks with several heads have no other outputs of their own");
    }
    description.heads.push_back({head.name,
                                 static_cast<std::int64_t>(description.class_names.size()),
                                 head.network->classes()});
    description.class_names.insert(description.class_names.end(), head.network->class_names.begin(),
                                   head.network->class_names.end());
  }
  // Refuses names that are none, or twice the same.
  (void)learning::parse_network_description(learning::to_json(description), "the merged network");
  learning::NamedTensors split;
  for (const auto& [name, tensor] : state) {
    if (!name.starts_with(outputs + ".")) {
      split.emplace_back(name, tensor);
      continue;
    }
    for (const learning::Head& head : description.heads) {
      split.emplace_back("heads." + head.name + name.substr(outputs.size()),
                         tensor.narrow(0, head.first, head.classes).clone());
    }
  }
  state = std::move(split);
}

}  // namespace amalgam::learned
