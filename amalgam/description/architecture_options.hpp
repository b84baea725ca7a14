#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "amalgam/description/network_description.hpp"

// What a description says of each architecture, checked: sizes fit together and are within limits,
// so that a network can be built from it. The names of the options are those of the JSON.
namespace amalgam::learning {

/// mlp: linear layers with ReLU between.
struct MlpOptions {
  std::vector<std::int64_t> hidden{128};  ///< `hidden`: widths
};

/// cnn: for each number of channels a convolution, ReLU and 2x2 max-pooling, then an mlp.
struct CnnOptions {
  std::vector<std::int64_t> channels{16, 32};  ///< `channels`
  std::int64_t kernel = 3;                     ///< `kernel`, odd
  std::vector<std::int64_t> hidden{64};        ///< `hidden`
};

/// resnet: see resnet.cpp. `depth` (6 n + 2: n blocks in each of three stages; default 8) or
/// `blocks`, and `width` (of the first stage, doubled from stage to stage; default 16) or `widths`.
struct ResnetOptions {
  std::vector<std::int64_t> blocks;  ///< per stage
  std::vector<std::int64_t> widths;  ///< per stage
  std::vector<std::int64_t> inner;   ///< `inner`, per block: channels between its convolutions
  bool batch_norm = true;            ///< `batch_norm`
};

/// vit: see vit.cpp.
struct VitOptions {
  std::int64_t patch = 4;      ///< `patch`: side of the square patches, divides the image
  std::int64_t width = 64;     ///< `width`
  std::int64_t depth = 4;      ///< `depth`: blocks
  std::int64_t heads = 4;      ///< `attention_heads`, divides the width
  std::int64_t mlp_ratio = 2;  ///< `mlp_ratio`: hidden units of a block's mlp, in widths
};

/// Rotary position embeddings (Su et al. 2021) as Hugging Face's Llama has them: which angles.
/// `rope_theta` and `rope_scaling`, an object with `rope_type` and its parameters.
struct RotaryOptions {
  double theta = 10'000;
  enum class Scaling {
    none,
    linear,  ///< all frequencies divided by `factor`
    llama3,  ///< the low ones only, with a smooth transition
  } scaling = Scaling::none;
  double factor = 1;
  double low_frequency_factor = 1;   ///< llama3
  double high_frequency_factor = 4;  ///< llama3
  double original_context = 8192;    ///< llama3
};

/// llama: see decoder.cpp. Named as in Hugging Face's config.json.
struct DecoderOptions {
  std::int64_t width = 64;           ///< `hidden_size`
  std::int64_t inner = 0;            ///< `intermediate_size`; 8/3 of the width, a multiple of 8
  std::int64_t layers = 2;           ///< `num_hidden_layers`
  std::int64_t heads = 4;            ///< `num_attention_heads`
  std::int64_t key_value_heads = 0;  ///< `num_key_value_heads`, divides the heads; as many
  std::int64_t head_width = 0;       ///< `head_dim`, even; width / heads
  double epsilon = 1e-6;             ///< `rms_norm_eps`
  RotaryOptions rotary;
  bool tied = false;         ///< `tie_word_embeddings`
  bool qkv_bias = false;     ///< `qkv_bias`; `attention_bias`
  bool output_bias = false;  ///< `attention_bias`
  bool mlp_bias = false;     ///< `mlp_bias`
};

using ArchitectureOptions =
    std::variant<MlpOptions, CnnOptions, ResnetOptions, VitOptions, DecoderOptions>;

/// The architectures' names: mlp, cnn, resnet, vit, llama.
std::vector<std::string> network_architectures();

/// Reads and checks the options of the description's architecture. InputError naming `where` and
/// the option, for one that is not known, an unknown architecture, and inputs or heads that the
/// architecture does not have.
ArchitectureOptions architecture_options(const NetworkDescription& description,
                                         const std::string& where);

}  // namespace amalgam::learning
