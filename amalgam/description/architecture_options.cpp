#include "amalgam/description/architecture_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/description/options.hpp"

namespace amalgam::learning {
namespace {

constexpr std::int64_t kWidestHidden = 65536;
constexpr std::size_t kMostHidden = 64;
constexpr std::int64_t kMostChannels = 4096;
constexpr std::size_t kMostConvolutions = 12;
constexpr std::uint64_t kLargestKernel = 15;
constexpr std::int64_t kWidestStage = 8192;
constexpr std::int64_t kMostBlocks = 200;
constexpr std::size_t kMostStages = 8;
constexpr std::uint64_t kWidestVit = 16384;
constexpr double kHuge = 1e12;

// A whole number from 1 to `most`.
std::int64_t size_option(Options& options, const char* key, std::int64_t fallback,
                         std::uint64_t most) {
  return static_cast<std::int64_t>(
      options.count(key, static_cast<std::uint64_t>(fallback), 1, most));
}

std::vector<std::int64_t> hidden_widths(Options& options, std::vector<std::int64_t> fallback) {
  return options.counts("hidden", std::move(fallback), 1, kWidestHidden, kMostHidden);
}

ArchitectureOptions mlp_options(const NetworkDescription& /*description*/, Options& options) {
  return MlpOptions{hidden_widths(options, MlpOptions().hidden)};
}

ArchitectureOptions cnn_options(const NetworkDescription& description, Options& options) {
  CnnOptions cnn;
  cnn.channels = options.counts("channels", cnn.channels, 1, kMostChannels, kMostConvolutions);
  cnn.kernel = size_option(options, "kernel", cnn.kernel, kLargestKernel);
  cnn.hidden = hidden_widths(options, cnn.hidden);
  const auto blocks = cnn.channels.size();
  if (blocks == 0 || description.input_shape[1] >> blocks == 0 ||
      description.input_shape[2] >> blocks == 0) {
    options.refuse("channels", "at least one block, and fewer than halve the image to nothing");
  }
  if (cnn.kernel % 2 == 0) options.refuse("kernel", "an odd number");
  return cnn;
}

std::vector<std::int64_t> blocks_per_stage(Options& options) {
  constexpr std::int64_t kStages = 3;
  const auto depth = static_cast<std::int64_t>(options.count("depth", 8, 8, 6 * kMostBlocks + 2));
  std::vector<std::int64_t> blocks(kStages, (depth - 2) / 6);
  if ((depth - 2) % 6 != 0) options.refuse("depth", "6 n + 2, for example 8, 14 or 20");
  if (!options.has("blocks")) return blocks;
  if (options.has("depth")) options.refuse("blocks", "either depth or blocks");
  blocks = options.counts("blocks", {}, 1, kMostBlocks, kMostStages);
  if (blocks.empty()) options.refuse("blocks", "a number of blocks for each stage");
  return blocks;
}

std::vector<std::int64_t> widths_of_stages(Options& options, std::size_t stages) {
  const auto width = static_cast<std::int64_t>(options.count("width", 16, 1, kWidestStage));
  if (!options.has("widths")) {
    std::vector<std::int64_t> widths;
    for (std::size_t stage = 0; stage < stages; ++stage) widths.push_back(width << stage);
    if (widths.back() > kWidestStage) {
      options.refuse("width",
                     fmt::format("at most {} for {} stages", kWidestStage >> (stages - 1), stages));
    }
    return widths;
  }
  if (options.has("width")) options.refuse("widths", "either width or widths");
  std::vector<std::int64_t> widths = options.counts("widths", {}, 1, kWidestStage, kMostStages);
  if (widths.size() != stages) {
    options.refuse("widths", fmt::format("one width for each of {} stages", stages));
  }
  return widths;
}

std::vector<std::int64_t> inner_widths(Options& options, const ResnetOptions& resnet) {
  std::vector<std::int64_t> inner;
  for (std::size_t stage = 0; stage < resnet.blocks.size(); ++stage) {
    inner.insert(inner.end(), static_cast<std::size_t>(resnet.blocks[stage]), resnet.widths[stage]);
  }
  if (!options.has("inner")) return inner;
  const std::size_t blocks = inner.size();
  inner = options.counts("inner", {}, 1, 2 * kWidestStage, kMostBlocks * kMostStages);
  if (inner.size() != blocks) {
    options.refuse("inner", fmt::format("one number for each of {} blocks", blocks));
  }
  return inner;
}

ArchitectureOptions resnet_options(const NetworkDescription& /*description*/, Options& options) {
  ResnetOptions resnet;
  resnet.blocks = blocks_per_stage(options);
  resnet.widths = widths_of_stages(options, resnet.blocks.size());
  resnet.inner = inner_widths(options, resnet);
  resnet.batch_norm = options.flag("batch_norm", true);
  return resnet;
}

ArchitectureOptions vit_options(const NetworkDescription& description, Options& options) {
  VitOptions vit;
  vit.patch = size_option(options, "patch", vit.patch, 1024);
  vit.width = size_option(options, "width", vit.width, kWidestVit);
  vit.depth = size_option(options, "depth", vit.depth, 500);
  vit.heads = size_option(options, "attention_heads", vit.heads, 1024);
  vit.mlp_ratio = size_option(options, "mlp_ratio", vit.mlp_ratio, 64);
  if (description.input_shape[1] % vit.patch != 0 || description.input_shape[2] % vit.patch != 0) {
    options.refuse("patch", "a size that divides rows and columns of the image");
  }
  if (vit.width % vit.heads != 0) options.refuse("attention_heads", "a number that divides width");
  return vit;
}

RotaryOptions rotary_options(Options& options) {
  RotaryOptions rotary;
  rotary.theta = options.number("rope_theta", rotary.theta, 1, kHuge);
  if (!options.has("rope_scaling")) return rotary;
  Options scaling = options.section("rope_scaling");
  const std::string kind = scaling.choice("rope_type", "", {"default", "linear", "llama3"});
  if (kind == "default") {
    scaling.finish();
    return rotary;
  }
  if (!scaling.has("factor")) scaling.refuse("factor", "a number of at least 1");
  rotary.factor = scaling.number("factor", 1, 1, kHuge);
  rotary.scaling = RotaryOptions::Scaling::linear;
  if (kind == "llama3") {
    rotary.scaling = RotaryOptions::Scaling::llama3;
    rotary.low_frequency_factor = scaling.number("low_freq_factor", 1, 0, kHuge);
    rotary.high_frequency_factor = scaling.number("high_freq_factor", 4, 0, kHuge);
    rotary.original_context = scaling.number("original_max_position_embeddings", 8192, 1, kHuge);
    if (!(rotary.high_frequency_factor > rotary.low_frequency_factor)) {
      scaling.refuse("high_freq_factor", "more than low_freq_factor");
    }
  }
  scaling.finish();
  return rotary;
}

void read_sizes(Options& options, DecoderOptions& decoder) {
  decoder.width = size_option(options, "hidden_size", decoder.width, 1 << 17);
  decoder.inner =
      size_option(options, "intermediate_size", (decoder.width * 8 / 3 + 7) / 8 * 8, 1 << 20);
  decoder.layers = size_option(options, "num_hidden_layers", decoder.layers, 1000);
  decoder.heads = size_option(options, "num_attention_heads", decoder.heads, 4096);
  decoder.key_value_heads = size_option(options, "num_key_value_heads", decoder.heads, 4096);
  if (decoder.heads % decoder.key_value_heads != 0) {
    options.refuse("num_key_value_heads", "a number that divides num_attention_heads");
  }
  if (!options.has("head_dim") && decoder.width % decoder.heads != 0) {
    options.refuse("num_attention_heads", "a number that divides hidden_size");
  }
  decoder.head_width = size_option(options, "head_dim",
                                   std::max<std::int64_t>(1, decoder.width / decoder.heads), 4096);
  if (decoder.head_width % 2 != 0) {
    options.refuse(options.has("head_dim") ? "head_dim" : "hidden_size",
                   "heads of an even width, whose halves are rotated");
  }
}

ArchitectureOptions decoder_options(const NetworkDescription& /*description*/, Options& options) {
  DecoderOptions decoder;
  read_sizes(options, decoder);
  decoder.epsilon = options.number("rms_norm_eps", decoder.epsilon, 1e-30, 1);
  decoder.rotary = rotary_options(options);
  decoder.tied = options.flag("tie_word_embeddings", false);
  decoder.output_bias = options.flag("attention_bias", false);
  decoder.qkv_bias = options.flag("qkv_bias", decoder.output_bias);
  decoder.mlp_bias = options.flag("mlp_bias", false);
  return decoder;
}

struct Architecture {
  const char* name;
  ArchitectureOptions (*read)(const NetworkDescription&, Options&);
  bool takes_tokens = false;
};
constexpr std::array kArchitectures{
    Architecture{"mlp", mlp_options},
    Architecture{"cnn", cnn_options},
    Architecture{"resnet", resnet_options},
    Architecture{"vit", vit_options},
    Architecture{"llama", decoder_options, /*takes_tokens=*/true},
};

void check_input(const NetworkDescription& description, const Architecture& architecture,
                 const std::string& where) {
  if (description.takes_tokens() != architecture.takes_tokens) {
    throw InputError("{}: {} takes {}, but the input's shape is {}", where, architecture.name,
                     architecture.takes_tokens ? "tokens" : "images",
                     nlohmann::json(description.input_shape).dump());
  }
  if (architecture.takes_tokens && !description.heads.empty()) {
    throw InputError("{}: {} predicts the next token only, but the network has heads", where,
                     architecture.name);
  }
}

}  // namespace

std::vector<std::string> network_architectures() {
  std::vector<std::string> names;
  names.reserve(std::size(kArchitectures));
  for (const Architecture& architecture : kArchitectures) names.emplace_back(architecture.name);
  return names;
}

ArchitectureOptions architecture_options(const NetworkDescription& description,
                                         const std::string& where) {
  for (const Architecture& architecture : kArchitectures) {
    if (description.architecture != architecture.name) continue;
    check_input(description, architecture, where);
    Options options(description.options, where);
    ArchitectureOptions read = architecture.read(description, options);
    options.finish();
    return read;
  }
  const std::vector<std::string> names = network_architectures();
  throw InputError("{}: no architecture '{}'{}; known are {}", where, description.architecture,
                   did_you_mean(description.architecture, names), join(names, ", "));
}

}  // namespace amalgam::learning
