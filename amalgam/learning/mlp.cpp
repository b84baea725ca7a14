#include "amalgam/learning/mlp.hpp"

#include <string>
#include <utility>

#include "amalgam/learning/architectures.hpp"

namespace amalgam::learning {
namespace {

constexpr std::int64_t kWidest = 65536;
constexpr std::size_t kMostLayers = 64;

class Mlp final : public Network {
 public:
  Mlp(const NetworkDescription& description, const std::vector<std::int64_t>& hidden)
      : Network(description), stack_(*this, widths(description, hidden)) {}

 protected:
  torch::Tensor compute(const torch::Tensor& inputs, const LayerObserver& observer) override {
    return stack_.forward(inputs.flatten(1), observer);
  }

 private:
  static std::vector<std::int64_t> widths(const NetworkDescription& description,
                                          const std::vector<std::int64_t>& hidden) {
    std::int64_t inputs = 1;
    for (const std::int64_t axis : description.input_shape) inputs *= axis;
    std::vector<std::int64_t> all{inputs};
    all.insert(all.end(), hidden.begin(), hidden.end());
    all.push_back(description.classes());
    return all;
  }

  LinearStack stack_;
};

}  // namespace

LinearStack::LinearStack(torch::nn::Module& owner, const std::vector<std::int64_t>& widths) {
  auto list = std::make_shared<torch::nn::Module>("layers");
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    layers_.push_back(list->register_module(std::to_string(i),
                                            std::make_shared<Linear>(widths[i], widths[i + 1])));
  }
  owner.register_module("layers", list);
}

torch::Tensor LinearStack::forward(torch::Tensor x, const LayerObserver& observer) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (i > 0) x = torch::relu(x);
    x = layers_[i]->forward(x, observer);
  }
  return x;
}

std::vector<std::int64_t> hidden_widths(Options& options, std::vector<std::int64_t> fallback) {
  return options.counts("hidden", std::move(fallback), 1, kWidest, kMostLayers);
}

std::shared_ptr<Network> make_mlp(const NetworkDescription& description, Options& options) {
  return std::make_shared<Mlp>(description, hidden_widths(options, {128}));
}

}  // namespace amalgam::learning
