#include "amalgam/description/hugging_face.hpp"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/description/options.hpp"
#include "amalgam/weights/model_config.hpp"

namespace amalgam::learning {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// A family, and what its configs leave out.
struct Family {
  const char* model_type;
  std::int64_t context;           // max_position_embeddings
  std::uint64_t key_value_heads;  // 0: as many as there are heads
  bool qkv_bias;
};
constexpr std::array kFamilies{
    Family{"llama", 2048, 0, false},
    Family{"mistral", 131'072, 8, false},
    Family{"qwen2", 32'768, 32, true},
};

const Family& family_of(Options& options) {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.model_type);
  const std::string name = options.choice("model_type", "", names);
  for (const Family& family : kFamilies) {
    if (name == family.model_type) return family;
  }
  options.refuse("model_type", "a known one");
}

// The config as the decoder's options: keys that must be there, and those that may.
void copy_keys(const Json& config, Options& options, Json& result) {
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"}) {
    if (!options.has(key)) options.refuse(key, "a whole number");
    result[key] = config[key];
  }
  for (const char* key : {"num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta",
                          "tie_word_embeddings", "attention_bias", "mlp_bias"}) {
    if (options.has(key)) result[key] = config[key];
  }
}

// `rope_scaling` of versions up to 4, `rope_parameters` of version 5, in which theta is inside.
void copy_rotation(const Json& config, Options& options, Json& result) {
  const char* key = options.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!options.has(key)) return;
  Json scaling = config[key];
  if (!scaling.is_object()) options.refuse(key, "an object");
  if (scaling.contains("type")) {
    if (!scaling.contains("rope_type")) scaling["rope_type"] = scaling["type"];
    scaling.erase("type");
  }
  if (scaling.contains("rope_theta")) {
    result["rope_theta"] = scaling["rope_theta"];
    scaling.erase("rope_theta");
  }
  if (!scaling.contains("rope_type")) scaling["rope_type"] = "default";
  result["rope_scaling"] = scaling;
}

void refuse_what_is_not_computed(const Json& config, Options& options, std::uint64_t context) {
  if (options.text("hidden_act", "silu") != "silu") options.refuse("hidden_act", "silu");
  if (options.has("quantization_config")) {
    options.refuse("quantization_config", "nothing: quantised weights are not run");
  }
  const bool slides = options.has("sliding_window") && options.flag("use_sliding_window", true);
  if (!slides) return;
  const Json& window = config["sliding_window"];
  if (!window.is_number_unsigned() || window.get<std::uint64_t>() < context) {
    options.refuse("sliding_window",
                   fmt::format("nothing, or at least max_position_embeddings ({})", context));
  }
}

}  // namespace

NetworkDescription hugging_face_description(const Json& config, const std::string& where) {
  Options options(config, where);
  const Family& family = family_of(options);
  const std::uint64_t context =
      options.count("max_position_embeddings", static_cast<std::uint64_t>(family.context), 1,
                    static_cast<std::uint64_t>(kLongestContext));
  refuse_what_is_not_computed(config, options, context);

  Json result = Json::object();
  result["architecture"] = "llama";
  copy_keys(config, options, result);
  copy_rotation(config, options, result);
  if (family.key_value_heads > 0 && !options.has("num_key_value_heads")) {
    result["num_key_value_heads"] = family.key_value_heads;
  }
  if (family.qkv_bias) result["qkv_bias"] = true;
  if (!options.has("vocab_size")) options.refuse("vocab_size", "a whole number");
  result["classes"] = options.count("vocab_size", 0, 1, kMostClasses);
  result["input"] = {{"shape", {context}}};
  // Tokens of larger vocabularies are what a tokenizer of the model's own says.
  if (config["vocab_size"] == 256) {
    result["input"]["encoding"] = {{"kind", "text"}, {"tokens", "byte"}};
  }
  return parse_network_description(result, where);
}

std::optional<NetworkDescription> hugging_face_folder(const fs::path& path) {
  const std::string name = path.filename().string();
  const bool is_weights = name == "model.safetensors" || name == "pytorch_model.bin";
  const fs::path config = (is_weights ? path.parent_path() : path) / "config.json";
  if (!names_file(config)) return std::nullopt;
  const std::string text = read_text_file(config, kLargestConfig);
  return hugging_face_description(parse_json(text, config.string()), config.string());
}

}  // namespace amalgam::learning
