#include "amalgam/learning/mlp.hpp"

#include <string>

#include "amalgam/learning/architectures.hpp"

namespace amalgam::learning {
namespace {

std::int64_t values_of(const std::vector<std::int64_t>& shape) {
  std::int64_t values = 1;
  for (const std::int64_t axis : shape) values *= axis;
  return values;
}

class Mlp final : public Network {
 public:
  Mlp(const NetworkDescription& description, const std::vector<std::int64_t>& hidden)
      : Network(description),
        stack_(*this, values_of(description.input_shape), hidden, description) {}

 protected:
  torch::Tensor compute(const torch::Tensor& inputs, const LayerObserver& observer) override {
    return stack_.forward(inputs.flatten(1), observer);
  }

 private:
  LinearStack stack_;
};

}  // namespace

OutputLayers::OutputLayers(torch::nn::Module& owner, torch::nn::Module& parent,
                           const std::string& single, std::int64_t inputs,
                           const NetworkDescription& description) {
  if (description.heads.empty()) {
    layers_.push_back(
        parent.register_module(single, std::make_shared<Linear>(inputs, description.classes())));
  } else {
    auto list = std::make_shared<torch::nn::Module>("heads");
    for (const Head& head : description.heads) {
      layers_.push_back(
          list->register_module(head.name, std::make_shared<Linear>(inputs, head.classes)));
    }
    owner.register_module("heads", list);
  }
  for (const auto& layer : layers_) layer->gain = 1;
}

torch::Tensor OutputLayers::forward(const torch::Tensor& features,
                                    const LayerObserver& observer) const {
  if (layers_.size() == 1) return layers_.front()->forward(features, observer);
  std::vector<torch::Tensor> logits;
  logits.reserve(layers_.size());
  for (const auto& layer : layers_) logits.push_back(layer->forward(features, observer));
  return torch::cat(logits, -1);
}

LinearStack::LinearStack(torch::nn::Module& owner, std::int64_t inputs,
                         const std::vector<std::int64_t>& hidden,
                         const NetworkDescription& description)
    : list_(list_in(owner)),
      hidden_(hidden_layers(*list_, inputs, hidden)),
      output_(owner, *list_, std::to_string(hidden.size()), hidden.empty() ? inputs : hidden.back(),
              description) {}

std::shared_ptr<torch::nn::Module> LinearStack::list_in(torch::nn::Module& owner) {
  return owner.register_module("layers", std::make_shared<torch::nn::Module>("layers"));
}

std::vector<std::shared_ptr<Linear>> LinearStack::hidden_layers(
    torch::nn::Module& list, std::int64_t inputs, const std::vector<std::int64_t>& hidden) {
  std::vector<std::shared_ptr<Linear>> layers;
  for (const std::int64_t outputs : hidden) {
    layers.push_back(list.register_module(std::to_string(layers.size()),
                                          std::make_shared<Linear>(inputs, outputs)));
    inputs = outputs;
  }
  return layers;
}

torch::Tensor LinearStack::forward(torch::Tensor x, const LayerObserver& observer) const {
  for (const auto& layer : hidden_) x = torch::relu(layer->forward(x, observer));
  return output_.forward(x, observer);
}

std::shared_ptr<Network> build_network(const NetworkDescription& description,
                                       const MlpOptions& options) {
  return std::make_shared<Mlp>(description, options.hidden);
}

}  // namespace amalgam::learning
