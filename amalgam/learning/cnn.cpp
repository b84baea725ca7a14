#include <memory>
#include <string>
#include <vector>

#include "amalgam/learning/architectures.hpp"
#include "amalgam/learning/max_pool.hpp"
#include "amalgam/learning/mlp.hpp"

namespace amalgam::learning {
namespace {

class Cnn final : public Network {
 public:
  Cnn(const NetworkDescription& description, const CnnOptions& options)
      : Network(description),
        convolutions_(make_convolutions(*this, description.input_shape[0], options)),
        stack_(*this, flattened(description, options), options.hidden, description) {}

 protected:
  torch::Tensor compute(const torch::Tensor& inputs, const LayerObserver& observer) override {
    torch::Tensor x = inputs;
    for (const auto& convolution : convolutions_) {
      // The same values and gradients as pooling after ReLU, over a quarter of the elements.
      x = torch::relu(max_pool_2x2(convolution->forward(x, observer)));
    }
    return stack_.forward(x.flatten(1), observer);
  }

 private:
  using Convolutions = std::vector<std::shared_ptr<Convolution>>;

  static Convolutions make_convolutions(torch::nn::Module& owner, std::int64_t inputs,
                                        const CnnOptions& options) {
    Convolutions convolutions;
    const ConvolutionShape shape{
        .kernel = options.kernel, .stride = 1, .padding = options.kernel / 2};
    auto list = std::make_shared<torch::nn::Module>("convolutions");
    for (const std::int64_t outputs : options.channels) {
      convolutions.push_back(
          list->register_module(std::to_string(convolutions.size()),
                                std::make_shared<Convolution>(inputs, outputs, shape)));
      inputs = outputs;
    }
    owner.register_module("convolutions", list);
    return convolutions;
  }

  static std::int64_t flattened(const NetworkDescription& description, const CnnOptions& options) {
    const auto blocks = options.channels.size();
    return options.channels.back() * (description.input_shape[1] >> blocks) *
           (description.input_shape[2] >> blocks);
  }

  Convolutions convolutions_;
  LinearStack stack_;
};

}  // namespace

std::shared_ptr<Network> build_network(const NetworkDescription& description,
                                       const CnnOptions& options) {
  return std::make_shared<Cnn>(description, options);
}

}  // namespace amalgam::learning
