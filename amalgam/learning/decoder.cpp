#include <memory>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/architectures.hpp"
#include "amalgam/learning/attention.hpp"
#include "amalgam/learning/rotary.hpp"
#include "amalgam/learning/transformer_block.hpp"

// The decoder of the Llama family (Touvron et al. 2023) as Hugging Face's LlamaForCausalLM has it:
// RMSNorm, rotary positions, attention whose key and value heads serve several query heads, SwiGLU.
// The vocabulary are the classes of the description.
// Tensors: model.embed_tokens, model.layers.<i>.{input_layernorm, self_attn.{q,k,v,o}_proj,
// post_attention_layernorm, mlp.{gate,up,down}_proj}, model.norm, lm_head (none if tied).
namespace amalgam::learning {
namespace {

std::shared_ptr<Linear> add_linear(torch::nn::Module& owner, const char* name, std::int64_t inputs,
                                   std::int64_t outputs, bool has_bias, double gain = 1) {
  auto layer = owner.register_module(name, std::make_shared<Linear>(inputs, outputs, has_bias));
  layer->gain = gain;
  return layer;
}

class DecoderAttention final : public torch::nn::Module {
 public:
  explicit DecoderAttention(const DecoderOptions& options)
      : q_(add_linear(*this, "q_proj", options.width, options.heads * options.head_width,
                      options.qkv_bias)),
        k_(add_linear(*this, "k_proj", options.width, options.key_value_heads * options.head_width,
                      options.qkv_bias)),
        v_(add_linear(*this, "v_proj", options.width, options.key_value_heads * options.head_width,
                      options.qkv_bias)),
        o_(add_linear(*this, "o_proj", options.heads * options.head_width, options.width,
                      options.output_bias, residual_gain(options.layers))),
        head_width_(options.head_width) {}

  // [batch, length, width] -> the same.
  torch::Tensor forward(const torch::Tensor& x, const LayerObserver& observer,
                        Rotary& rotary) const {
    const torch::Tensor q = rotary.rotate(by_head(q_->forward(x, observer)));
    const torch::Tensor k = rotary.rotate(by_head(k_->forward(x, observer)));
    const torch::Tensor v = by_head(v_->forward(x, observer));
    const torch::Tensor mixed = attend(q, k, v, /*causal=*/true);
    return o_->forward(mixed.transpose(1, 2).flatten(2), observer);
  }

 private:
  // [batch, length, heads * width] -> [batch, heads, length, width].
  torch::Tensor by_head(const torch::Tensor& x) const {
    return x.view({x.size(0), x.size(1), -1, head_width_}).transpose(1, 2);
  }

  std::shared_ptr<Linear> q_;
  std::shared_ptr<Linear> k_;
  std::shared_ptr<Linear> v_;
  std::shared_ptr<Linear> o_;
  std::int64_t head_width_;
};

class DecoderMlp final : public torch::nn::Module {
 public:
  explicit DecoderMlp(const DecoderOptions& options)
      : gate_(add_linear(*this, "gate_proj", options.width, options.inner, options.mlp_bias)),
        up_(add_linear(*this, "up_proj", options.width, options.inner, options.mlp_bias)),
        down_(add_linear(*this, "down_proj", options.inner, options.width, options.mlp_bias,
                         residual_gain(options.layers))) {}

  torch::Tensor forward(const torch::Tensor& x, const LayerObserver& observer) const {
    const torch::Tensor gate = torch::silu(gate_->forward(x, observer));
    return down_->forward(gate * up_->forward(x, observer), observer);
  }

 private:
  std::shared_ptr<Linear> gate_;
  std::shared_ptr<Linear> up_;
  std::shared_ptr<Linear> down_;
};

using DecoderLayer = TransformerBlock<RmsNorm, DecoderAttention, DecoderMlp>;

constexpr BlockNames kLayerNames{"input_layernorm", "self_attn", "post_attention_layernorm", "mlp"};

class Decoder final : public Network {
 public:
  Decoder(const NetworkDescription& description, const DecoderOptions& options)
      : Network(description),
        tied_(options.tied),
        rotary_(options.rotary, options.head_width),
        body_(register_module("model", std::make_shared<torch::nn::Module>("model"))),
        embedding_(body_->register_module(
            "embed_tokens", std::make_shared<Embedding>(description.classes(), options.width))),
        layers_(make_layers(*body_, options)),
        norm_(body_->register_module("norm",
                                     std::make_shared<RmsNorm>(options.width, options.epsilon))),
        output_(options.tied ? std::make_shared<Linear>(embedding_->weight)
                             : add_linear(*this, "lm_head", options.width, description.classes(),
                                          /*has_bias=*/false)) {}

  // Tied weights are sometimes written twice, and old files hold the frequencies of the rotation.
  bool ignores(const std::string& tensor) const override {
    return (tied_ && tensor == "lm_head.weight") || tensor.ends_with(".rotary_emb.inv_freq");
  }

 protected:
  torch::Tensor compute(const torch::Tensor& inputs, const LayerObserver& observer) override {
    if (inputs.dim() != 2 || inputs.scalar_type() != torch::kLong) {
      throw Error("a decoder takes int64 tokens [batch, context]");
    }
    if (inputs.size(1) > description().input_shape[0]) {
      throw InputError("{} tokens, but the network reads at most {}", inputs.size(1),
                       description().input_shape[0]);
    }
    torch::Tensor x = embedding_->forward(inputs, observer);
    for (const auto& layer : layers_) x = layer->forward(x, observer, rotary_);
    return output_->forward(norm_->forward(x, observer), observer);
  }

 private:
  using Layers = std::vector<std::shared_ptr<DecoderLayer>>;

  static Layers make_layers(torch::nn::Module& body, const DecoderOptions& options) {
    Layers layers;
    auto list = body.register_module("layers", std::make_shared<torch::nn::Module>("layers"));
    for (std::int64_t i = 0; i < options.layers; ++i) {
      layers.push_back(list->register_module(
          std::to_string(i),
          std::make_shared<DecoderLayer>(kLayerNames, options.width, options.epsilon, options)));
    }
    return layers;
  }

  bool tied_;
  Rotary rotary_;
  std::shared_ptr<torch::nn::Module> body_;
  std::shared_ptr<Embedding> embedding_;
  Layers layers_;
  std::shared_ptr<RmsNorm> norm_;
  std::shared_ptr<Linear> output_;
};

}  // namespace

std::shared_ptr<Network> build_network(const NetworkDescription& description,
                                       const DecoderOptions& options) {
  return std::make_shared<Decoder>(description, options);
}

}  // namespace amalgam::learning
