#include <memory>
#include <string>
#include <vector>

#include "amalgam/learning/architectures.hpp"
#include "amalgam/learning/attention.hpp"
#include "amalgam/learning/mlp.hpp"
#include "amalgam/learning/transformer_block.hpp"

// Vision transformer (Dosovitskiy et al. 2021), pre-norm, with a class token and learned positions.
// Tensors are named as in timm: cls_token, pos_embed, patch_embed.proj, blocks.<i>.norm1, attn.qkv,
// attn.proj, norm2, mlp.fc1, mlp.fc2, norm, head; LayerNorm adds 1e-6 as there.
namespace amalgam::learning {
namespace {

constexpr double kEpsilon = 1e-6;

class VitAttention final : public torch::nn::Module {
 public:
  explicit VitAttention(const VitOptions& options)
      : qkv_(register_module("qkv", std::make_shared<Linear>(options.width, 3 * options.width))),
        proj_(register_module("proj", std::make_shared<Linear>(options.width, options.width))),
        heads_(options.heads) {
    qkv_->gain = 1;
    proj_->gain = residual_gain(options.depth);
  }

  // [batch, tokens, width] -> the same.
  torch::Tensor forward(const torch::Tensor& x, const LayerObserver& observer) const {
    const std::int64_t batch = x.size(0);
    const std::int64_t tokens = x.size(1);
    const std::int64_t width = x.size(2);
    const torch::Tensor qkv = qkv_->forward(x, observer)
                                  .view({batch, tokens, 3, heads_, width / heads_})
                                  .permute({2, 0, 3, 1, 4});
    const torch::Tensor mixed = attend(qkv[0], qkv[1], qkv[2], /*causal=*/false);
    return proj_->forward(mixed.transpose(1, 2).reshape({batch, tokens, width}), observer);
  }

 private:
  std::shared_ptr<Linear> qkv_;
  std::shared_ptr<Linear> proj_;
  std::int64_t heads_;
};

class VitMlp final : public torch::nn::Module {
 public:
  explicit VitMlp(const VitOptions& options)
      : fc1_(register_module(
            "fc1", std::make_shared<Linear>(options.width, options.mlp_ratio * options.width))),
        fc2_(register_module(
            "fc2", std::make_shared<Linear>(options.mlp_ratio * options.width, options.width))) {
    fc2_->gain = residual_gain(options.depth);
  }

  torch::Tensor forward(const torch::Tensor& x, const LayerObserver& observer) const {
    return fc2_->forward(torch::gelu(fc1_->forward(x, observer)), observer);
  }

 private:
  std::shared_ptr<Linear> fc1_;
  std::shared_ptr<Linear> fc2_;
};

using VitBlock = TransformerBlock<LayerNorm, VitAttention, VitMlp>;

constexpr BlockNames kBlockNames{"norm1", "attn", "norm2", "mlp"};

class Vit final : public Network {
 public:
  Vit(const NetworkDescription& description, const VitOptions& options)
      : Network(description),
        class_token_(register_parameter("cls_token", torch::empty({1, 1, options.width}))),
        positions_(register_parameter(
            "pos_embed", torch::empty({1, 1 + patches(description, options), options.width}))),
        projection_(make_projection(*this, description.input_shape[0], options)),
        blocks_(make_blocks(*this, options)),
        norm_(register_module("norm", std::make_shared<LayerNorm>(options.width, kEpsilon))),
        output_(*this, *this, "head", options.width, description) {}

 protected:
  torch::Tensor compute(const torch::Tensor& inputs, const LayerObserver& observer) override {
    const torch::Tensor patches = projection_->forward(inputs, observer).flatten(2).transpose(1, 2);
    torch::Tensor x = torch::cat({class_token_.forward(inputs, observer), patches}, 1) +
                      positions_.forward(inputs, observer);
    for (const auto& block : blocks_) x = block->forward(x, observer);
    return output_.forward(norm_->forward(x, observer).select(1, 0), observer);
  }

 private:
  using Blocks = std::vector<std::shared_ptr<VitBlock>>;

  static std::int64_t patches(const NetworkDescription& description, const VitOptions& options) {
    return (description.input_shape[1] / options.patch) *
           (description.input_shape[2] / options.patch);
  }

  static std::shared_ptr<Convolution> make_projection(torch::nn::Module& owner,
                                                      std::int64_t channels,
                                                      const VitOptions& options) {
    auto embedding =
        owner.register_module("patch_embed", std::make_shared<torch::nn::Module>("patch_embed"));
    auto projection = embedding->register_module(
        "proj",
        std::make_shared<Convolution>(
            channels, options.width,
            ConvolutionShape{.kernel = options.patch, .stride = options.patch, .padding = 0}));
    projection->gain = 1;
    return projection;
  }

  static Blocks make_blocks(torch::nn::Module& owner, const VitOptions& options) {
    Blocks blocks;
    auto list = owner.register_module("blocks", std::make_shared<torch::nn::Module>("blocks"));
    for (std::int64_t i = 0; i < options.depth; ++i) {
      blocks.push_back(list->register_module(
          std::to_string(i),
          std::make_shared<VitBlock>(kBlockNames, options.width, kEpsilon, options)));
    }
    return blocks;
  }

  LearnedConstant class_token_;
  LearnedConstant positions_;
  std::shared_ptr<Convolution> projection_;
  Blocks blocks_;
  std::shared_ptr<LayerNorm> norm_;
  OutputLayers output_;
};

}  // namespace

std::shared_ptr<Network> build_network(const NetworkDescription& description,
                                       const VitOptions& options) {
  return std::make_shared<Vit>(description, options);
}

}  // namespace amalgam::learning
