#include <memory>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/architectures.hpp"
#include "amalgam/learning/attention.hpp"
#include "amalgam/learning/rotary.hpp"

// The decoder of the Llama family (Touvron et al. 2023) as Hugging Face's LlamaForCausalLM has it:
// RMSNorm, rotary positions, attention whose key and value heads serve several query heads, SwiGLU.
// Options have the names of its config.json: `hidden_size` (default 64), `intermediate_size`
// (default 8/3 of it, as a multiple of 8), `num_hidden_layers` (2), `num_attention_heads` (4),
// `num_key_value_heads` (as many), `head_dim` (hidden_size / num_attention_heads), `rms_norm_eps`
// (1e-6), `rope_theta` (10000), `rope_scaling` (see rotary.hpp), `tie_word_embeddings` (false),
// `attention_bias`, `mlp_bias` (false), and `qkv_bias` (false; what Qwen2 has). The vocabulary are
// the classes of the description.
// Tensors: model.embed_tokens, model.layers.<i>.{input_layernorm, self_attn.{q,k,v,o}_proj,
// post_attention_layernorm, mlp.{gate,up,down}_proj}, model.norm, lm_head (none if tied).
namespace amalgam::learning {
namespace {

struct DecoderOptions {
  std::int64_t width = 64;
  std::int64_t inner = 0;
  std::int64_t layers = 2;
  std::int64_t heads = 4;
  std::int64_t key_value_heads = 0;
  std::int64_t head_width = 0;
  double epsilon = 1e-6;
  RotaryOptions rotary;
  bool tied = false;
  bool qkv_bias = false;
  bool output_bias = false;
  bool mlp_bias = false;
};

// Layers that write to the residual stream start small, so that its variance does not grow with
// the depth.
double residual_gain(const DecoderOptions& options) {
  return 0.5 / static_cast<double>(options.layers);
}

std::shared_ptr<Linear> add_linear(torch::nn::Module& owner, const char* name, std::int64_t inputs,
                                   std::int64_t outputs, bool has_bias, double gain = 1) {
  auto layer = owner.register_module(name, std::make_shared<Linear>(inputs, outputs, has_bias));
  layer->gain = gain;
  return layer;
}

std::shared_ptr<RmsNorm> add_norm(torch::nn::Module& owner, const char* name,
                                  const DecoderOptions& options) {
  return owner.register_module(name, std::make_shared<RmsNorm>(options.width, options.epsilon));
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
                      options.output_bias, residual_gain(options))),
        head_width_(options.head_width) {}

  // [batch, length, width] -> the same.
  torch::Tensor forward(const torch::Tensor& x, Rotary& rotary,
                        const LayerObserver& observer) const {
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
                         residual_gain(options))) {}

  torch::Tensor forward(const torch::Tensor& x, const LayerObserver& observer) const {
    const torch::Tensor gate = torch::silu(gate_->forward(x, observer));
    return down_->forward(gate * up_->forward(x, observer), observer);
  }

 private:
  std::shared_ptr<Linear> gate_;
  std::shared_ptr<Linear> up_;
  std::shared_ptr<Linear> down_;
};

class DecoderLayer final : public torch::nn::Module {
 public:
  explicit DecoderLayer(const DecoderOptions& options)
      : norm_(add_norm(*this, "input_layernorm", options)),
        attention_(register_module("self_attn", std::make_shared<DecoderAttention>(options))),
        mlp_norm_(add_norm(*this, "post_attention_layernorm", options)),
        mlp_(register_module("mlp", std::make_shared<DecoderMlp>(options))) {}

  torch::Tensor forward(const torch::Tensor& x, Rotary& rotary,
                        const LayerObserver& observer) const {
    const torch::Tensor y = x + attention_->forward(norm_->forward(x, observer), rotary, observer);
    return y + mlp_->forward(mlp_norm_->forward(y, observer), observer);
  }

 private:
  std::shared_ptr<RmsNorm> norm_;
  std::shared_ptr<DecoderAttention> attention_;
  std::shared_ptr<RmsNorm> mlp_norm_;
  std::shared_ptr<DecoderMlp> mlp_;
};

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
        norm_(add_norm(*body_, "norm", options)),
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
    for (const auto& layer : layers_) x = layer->forward(x, rotary_, observer);
    return output_->forward(norm_->forward(x, observer), observer);
  }

 private:
  using Layers = std::vector<std::shared_ptr<DecoderLayer>>;

  static Layers make_layers(torch::nn::Module& body, const DecoderOptions& options) {
    Layers layers;
    auto list = body.register_module("layers", std::make_shared<torch::nn::Module>("layers"));
    for (std::int64_t i = 0; i < options.layers; ++i) {
      layers.push_back(
          list->register_module(std::to_string(i), std::make_shared<DecoderLayer>(options)));
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

void read_sizes(Options& options, DecoderOptions& decoder) {
  const auto count = [&](const char* key, std::int64_t fallback, std::uint64_t most) {
    return static_cast<std::int64_t>(
        options.count(key, static_cast<std::uint64_t>(fallback), 1, most));
  };
  decoder.width = count("hidden_size", decoder.width, 1 << 17);
  decoder.inner = count("intermediate_size", (decoder.width * 8 / 3 + 7) / 8 * 8, 1 << 20);
  decoder.layers = count("num_hidden_layers", decoder.layers, 1000);
  decoder.heads = count("num_attention_heads", decoder.heads, 4096);
  decoder.key_value_heads = count("num_key_value_heads", decoder.heads, 4096);
  if (decoder.heads % decoder.key_value_heads != 0) {
    options.refuse("num_key_value_heads", "a number that divides num_attention_heads");
  }
  if (!options.has("head_dim") && decoder.width % decoder.heads != 0) {
    options.refuse("num_attention_heads", "a number that divides hidden_size");
  }
  decoder.head_width =
      count("head_dim", std::max<std::int64_t>(1, decoder.width / decoder.heads), 4096);
  if (decoder.head_width % 2 != 0) {
    options.refuse(options.has("head_dim") ? "head_dim" : "hidden_size",
                   "heads of an even width, whose halves are rotated");
  }
}

}  // namespace

std::shared_ptr<Network> make_llama(const NetworkDescription& description, Options& options) {
  DecoderOptions decoder;
  read_sizes(options, decoder);
  decoder.epsilon = options.number("rms_norm_eps", decoder.epsilon, 1e-30, 1);
  decoder.rotary = rotary_options(options);
  decoder.tied = options.flag("tie_word_embeddings", false);
  decoder.output_bias = options.flag("attention_bias", false);
  decoder.qkv_bias = options.flag("qkv_bias", decoder.output_bias);
  decoder.mlp_bias = options.flag("mlp_bias", false);
  return std::make_shared<Decoder>(description, decoder);
}

}  // namespace amalgam::learning
