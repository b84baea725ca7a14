#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>
#include <string_view>
#include <unordered_map>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/learned/permutation.hpp"

// How a network's units flow: its layers are observed while it runs once on a blank image, and
// what lies between them is read from the graph that libtorch records for gradients.
namespace amalgam::learned {
namespace {

using learning::Layer;
using torch::autograd::Edge;
using torch::autograd::Node;

// Operations that treat every unit alike and by itself. Several operands are joined: unit i of one
// meets unit i of the other. Means are those over the pixels of a channel.
constexpr std::array<std::string_view, 10> kKeepUnits = {
    "ReluBackward0",      "GeluBackward0", "MaxPool2DWithIndicesBackward0",
    "AvgPool2DBackward0", "AddBackward0",  "SubBackward0",
    "MulBackward0",       "DivBackward0",  "CloneBackward0",
    "MeanBackward1"};
// learning/max_pool, which libtorch names by its class.
constexpr std::string_view kMaxPool = "::MaxPool>";
constexpr std::string_view kSideBySide = "CatBackward0";
constexpr std::array<std::string_view, 4> kReshape = {"ViewBackward0", "ReshapeAliasBackward0",
                                                      "UnsafeViewBackward0", "FlattenBackward0"};

std::vector<std::int64_t> shape_of(const Edge& edge) {
  return edge.function->input_metadata(edge.input_nr).zeros_like().sizes().vec();
}

struct ObservedLayer {
  std::string name;
  torch::Tensor weight;
  bool has_bias = false;
  bool is_norm = false;  // it scales and moves every unit by itself
  torch::Tensor input;
  torch::Tensor output;
};

// Where units of a layer's input come from.
struct Origin {
  std::optional<std::size_t> layer;  // nothing: the network's input
  std::int64_t block = 1;
  bool operator==(const Origin&) const = default;
};

// Sets of axes that must be permuted together.
class UnionFind {
 public:
  explicit UnionFind(std::size_t count) : parent_(count) {
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
  }
  std::size_t root(std::size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(std::size_t a, std::size_t b) { parent_[root(a)] = root(b); }

 private:
  std::vector<std::size_t> parent_;
};

class Tracer {
 public:
  explicit Tracer(Network& network) {
    for (const auto& one : network.named_modules("", false)) {
      names_[one.value().get()] = one.key();
    }
    std::vector<std::int64_t> shape = network.description().input_shape;
    shape.insert(shape.begin(), 2);
    torch::ScalarType type = torch::kFloat;
    for (const torch::Tensor& parameter : network.parameters()) type = parameter.scalar_type();
    const torch::Tensor blank = torch::zeros(shape, type).requires_grad_(true);
    const torch::AutoGradMode gradients(true);
    const bool was_training = network.is_training();
    network.eval();
    logits_ =
        network.forward(blank, [&](const Layer& layer, const torch::Tensor& input,
                                   const torch::Tensor& output) { observe(layer, input, output); });
    network.train(was_training);
  }

  const std::vector<ObservedLayer>& layers() const { return layers_; }

  std::vector<Origin> origins_of_input(std::size_t layer) const {
    return origins(layers_[layer].input);
  }
  // Of several heads the logits are side by side.
  std::vector<Origin> origins_of_logits() const {
    const auto node = logits_.grad_fn();
    if (node == nullptr || node->name() != kSideBySide) return origins(logits_);
    std::vector<Origin> found;
    std::set<std::pair<const Node*, std::int64_t>> visited;
    for (const Edge& head : node->next_edges()) follow(head, 1, found, visited);
    return found;
  }

 private:
  void observe(const Layer& layer, const torch::Tensor& input, const torch::Tensor& output) {
    const bool is_norm = dynamic_cast<const learning::BatchNorm*>(&layer) != nullptr;
    // Others are met as operations without a rule, if units flow through them.
    if (!is_norm && !learning::is_linear_or_convolution(layer)) return;
    ObservedLayer one{.name = names_.at(&layer),
                      .weight = layer.weight.detach(),
                      .has_bias = layer.bias.defined(),
                      .is_norm = is_norm,
                      .input = input,
                      .output = output};
    if (std::ranges::find(layers_, one.name, &ObservedLayer::name) != layers_.end()) {
      throw InputError("permutations: layer '{}' is used twice", one.name);
    }
    if (input.dim() != 2 && input.dim() != 4) {
      throw InputError("permutations: layer '{}' takes inputs of {} axes; expected 2 or 4",
                       one.name, input.dim());
    }
    layers_.push_back(std::move(one));
  }

  std::vector<Origin> origins(const torch::Tensor& tensor) const {
    std::vector<Origin> found;
    std::set<std::pair<const Node*, std::int64_t>> visited;
    follow(torch::autograd::impl::gradient_edge(tensor), 1, found, visited);
    return found;
  }

  // Units are along axis 1 of whatever `edge` stands for, `block` entries each.
  void follow(const Edge& edge, std::int64_t block, std::vector<Origin>& found,
              std::set<std::pair<const Node*, std::int64_t>>& visited) const {
    const Node* node = edge.function.get();
    if (node == nullptr || !visited.emplace(node, block).second) return;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (layers_[i].output.grad_fn().get() == node) {
        found.push_back({i, block});
        return;
      }
    }
    const std::string name = node->name();
    if (name.ends_with("AccumulateGrad")) {
      found.push_back({std::nullopt, block});
      return;
    }
    const bool keeps =
        std::ranges::find(kKeepUnits, name) != kKeepUnits.end() || name.ends_with(kMaxPool);
    const bool reshapes = std::ranges::find(kReshape, name) != kReshape.end();
    if (!keeps && !reshapes) {
      throw InputError("permutations: the network uses '{}', for which there is no rule",
                       name.substr(0, name.find("Backward")));
    }
    const std::vector<std::int64_t> after = shape_of(edge);
    for (const Edge& next : node->next_edges()) {
      if (!next.is_valid()) continue;
      const std::vector<std::int64_t> before = shape_of(next);
      const bool same_units =
          (before.size() == after.size() || name.starts_with("Mean")) && before[1] == after[1];
      const bool flattens = reshapes && after.size() == 2 && before.size() > 2 &&
                            before[0] == after[0] && before[1] > 0;
      if (!same_units && !flattens) {
        throw InputError(
            "permutations: '{}' between layers changes the units in a way for which"
            " there is no rule",
            name.substr(0, name.find("Backward")));
      }
      follow(next, same_units ? block : block * (after[1] / before[1]), found, visited);
    }
  }

  std::unordered_map<const torch::nn::Module*, std::string> names_;
  std::vector<ObservedLayer> layers_;
  torch::Tensor logits_;
};

// Axis numbers for union-find: the outputs and inputs of each layer, and what stays as it is.
std::size_t outputs_of(std::size_t layer) { return 2 * layer; }
std::size_t inputs_of(std::size_t layer) { return 2 * layer + 1; }

}  // namespace

PermutationSpec permutation_spec(Network& network) {
  const Tracer tracer(network);
  const std::vector<ObservedLayer>& layers = tracer.layers();
  const std::size_t fixed = 2 * layers.size();
  UnionFind axes(fixed + 1);
  std::vector<std::int64_t> block(layers.size(), 1);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::vector<Origin> origins = tracer.origins_of_input(i);
    for (const Origin& origin : origins) {
      if (origin.block != origins.front().block) {
        throw InputError("permutations: layer '{}' joins units of different sizes", layers[i].name);
      }
      if (layers[i].is_norm && origin.block != 1) {
        throw InputError("permutations: '{}' after flattening has no rule", layers[i].name);
      }
      block[i] = origin.block;
      axes.join(inputs_of(i), origin.layer ? outputs_of(*origin.layer) : fixed);
    }
    if (layers[i].is_norm) axes.join(inputs_of(i), outputs_of(i));
  }
  for (const Origin& origin : tracer.origins_of_logits()) {
    if (origin.layer) axes.join(outputs_of(*origin.layer), fixed);
  }

  PermutationSpec spec;
  std::map<std::size_t, std::size_t> group_of;  // by root
  const auto group_at = [&](std::size_t axis) -> std::optional<std::size_t> {
    const auto found = group_of.find(axes.root(axis));
    return found == group_of.end() ? std::nullopt : std::optional(found->second);
  };
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::size_t root = axes.root(outputs_of(i));
    if (root == axes.root(fixed) || !group_of.emplace(root, spec.groups.size()).second) continue;
    spec.groups.push_back({.name = layers[i].name, .units = layers[i].weight.size(0)});
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const ObservedLayer& layer = layers[i];
    LayerUnits units{
        .name = layer.name,
        .outputs = group_at(outputs_of(i)),
        .inputs = group_at(inputs_of(i)),
        .positions = layer.output.numel() / layer.output.size(0) / layer.output.size(1)};
    if (units.outputs) {
      std::vector<UnitAxis>& all = spec.groups[*units.outputs].axes;
      all.push_back({layer.name + ".weight", 0, 1});
      if (layer.has_bias) all.push_back({layer.name + ".bias", 0, 1});
    }
    if (layer.is_norm) {
      if (!units.outputs) continue;
      std::vector<UnitAxis>& all = spec.groups[*units.outputs].axes;
      for (const char* statistic : {".running_mean", ".running_var"}) {
        all.push_back({layer.name + statistic, 0, 1});
      }
      continue;
    }
    if (units.inputs) {
      PermutationGroup& group = spec.groups[*units.inputs];
      if (layer.weight.size(1) != group.units * block[i]) {
        throw InputError("permutations: layer '{}' has {} inputs; expected {} x {}", layer.name,
                         layer.weight.size(1), group.units, block[i]);
      }
      group.axes.push_back({layer.name + ".weight", 1, block[i]});
      group.consumers.push_back(layer.name);
    }
    spec.layers.push_back(std::move(units));
  }
  return spec;
}

}  // namespace amalgam::learned
