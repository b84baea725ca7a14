#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "amalgam/learning/architectures.hpp"
#include "amalgam/learning/mlp.hpp"

// Residual networks for small images (He et al. 2015, section 4.2): a 3x3 convolution, stages of
// blocks of which all but the first halve the image, the mean over pixels, one linear layer.
// With `batch_norm: false` convolutions have biases instead of BatchNorm.
// Tensors are named as in torchvision: conv1, bn1, layer<stage>.<block>.conv1, bn1, conv2, bn2 and
// downsample.0, downsample.1 where the shape changes, fc.
namespace amalgam::learning {
namespace {

// A convolution and what normalises its outputs.
class NormalisedConvolution {
 public:
  NormalisedConvolution(torch::nn::Module& owner, const std::string& convolution,
                        const std::string& norm, std::int64_t inputs, std::int64_t outputs,
                        const ConvolutionShape& shape, bool batch_norm)
      : convolution_(owner.register_module(
            convolution, std::make_shared<Convolution>(inputs, outputs, shape, !batch_norm))) {
    if (batch_norm) norm_ = owner.register_module(norm, std::make_shared<BatchNorm>(outputs));
  }

  torch::Tensor forward(const torch::Tensor& x, const LayerObserver& observer) const {
    const torch::Tensor y = convolution_->forward(x, observer);
    return norm_ ? norm_->forward(y, observer) : y;
  }

 private:
  std::shared_ptr<Convolution> convolution_;
  std::shared_ptr<BatchNorm> norm_;
};

class Block final : public torch::nn::Module {
 public:
  Block(std::int64_t inputs, std::int64_t inner, std::int64_t outputs, std::int64_t stride,
        bool batch_norm)
      : first_(*this, "conv1", "bn1", inputs, inner, {.stride = stride}, batch_norm),
        second_(*this, "conv2", "bn2", inner, outputs, {}, batch_norm) {
    if (stride == 1 && inputs == outputs) return;
    auto list = register_module("downsample", std::make_shared<torch::nn::Module>("downsample"));
    projection_ = std::make_unique<NormalisedConvolution>(
        *list, "0", "1", inputs, outputs,
        ConvolutionShape{.kernel = 1, .stride = stride, .padding = 0}, batch_norm);
  }

  torch::Tensor forward(const torch::Tensor& x, const LayerObserver& observer) const {
    const torch::Tensor inner = torch::relu(first_.forward(x, observer));
    const torch::Tensor outputs = second_.forward(inner, observer);
    return torch::relu(outputs + (projection_ ? projection_->forward(x, observer) : x));
  }

 private:
  NormalisedConvolution first_;
  NormalisedConvolution second_;
  std::unique_ptr<NormalisedConvolution> projection_;
};

class Resnet final : public Network {
 public:
  Resnet(const NetworkDescription& description, const ResnetOptions& options)
      : Network(description),
        first_(*this, "conv1", "bn1", description.input_shape[0], options.widths.front(), {},
               options.batch_norm),
        blocks_(make_blocks(*this, options)),
        output_(*this, *this, "fc", options.widths.back(), description) {}

  // PyTorch's count of batches matters only without momentum.
  bool ignores(const std::string& tensor) const override {
    return tensor.ends_with(".num_batches_tracked");
  }

 protected:
  torch::Tensor compute(const torch::Tensor& inputs, const LayerObserver& observer) override {
    torch::Tensor x = torch::relu(first_.forward(inputs, observer));
    for (const auto& block : blocks_) x = block->forward(x, observer);
    return output_.forward(x.mean({2, 3}), observer);
  }

 private:
  using Blocks = std::vector<std::shared_ptr<Block>>;

  static Blocks make_blocks(torch::nn::Module& owner, const ResnetOptions& options) {
    Blocks all;
    std::int64_t inputs = options.widths.front();
    for (std::size_t stage = 0; stage < options.blocks.size(); ++stage) {
      const std::string name = fmt::format("layer{}", stage + 1);
      auto list = owner.register_module(name, std::make_shared<torch::nn::Module>(name));
      const std::int64_t outputs = options.widths[stage];
      for (std::int64_t i = 0; i < options.blocks[stage]; ++i) {
        const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
        const std::int64_t inner = options.inner[all.size()];
        all.push_back(list->register_module(
            std::to_string(i),
            std::make_shared<Block>(inputs, inner, outputs, stride, options.batch_norm)));
        inputs = outputs;
      }
    }
    return all;
  }

  NormalisedConvolution first_;
  Blocks blocks_;
  OutputLayers output_;
};

}  // namespace

std::shared_ptr<Network> build_network(const NetworkDescription& description,
                                       const ResnetOptions& options) {
  return std::make_shared<Resnet>(description, options);
}

}  // namespace amalgam::learning
