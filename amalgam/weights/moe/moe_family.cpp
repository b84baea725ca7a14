#include "amalgam/weights/moe/moe_family.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

// What transformers takes where the config of a dense model says nothing, and takes differently
// for a mixture.
json dense_defaults(std::string_view model_type) {
  if (model_type == "llama") {
    return {{"hidden_act", "silu"},     {"max_position_embeddings", 2048},
            {"rms_norm_eps", 1e-6},     {"rope_theta", 10000.0},
            {"sliding_window", json()}, {"tie_word_embeddings", false}};
  }
  if (model_type == "mistral") {
    return {{"hidden_act", "silu"},    {"max_position_embeddings", 131072},
            {"rms_norm_eps", 1e-6},    {"rope_theta", 10000.0},
            {"sliding_window", 4096},  {"tie_word_embeddings", false},
            {"num_key_value_heads", 8}};
  }
  // The Qwens.
  json defaults = {{"hidden_act", "silu"},        {"max_position_embeddings", 32768},
                   {"rms_norm_eps", 1e-6},        {"rope_theta", 10000.0},
                   {"use_sliding_window", false}, {"tie_word_embeddings", false},
                   {"num_key_value_heads", 32}};
  if (model_type == "qwen3") defaults["head_dim"] = 128;
  return defaults;
}

void state_defaults(json& config, std::string_view model_type) {
  const json defaults = dense_defaults(model_type);
  for (const auto& [key, value] : defaults.items()) {
    if (key == "rope_theta" && config.contains("rope_parameters")) continue;
    if (!config.contains(key)) config[key] = value;
  }
  if (!config.contains("num_key_value_heads") || config["num_key_value_heads"].is_null()) {
    config["num_key_value_heads"] = config["num_attention_heads"];
  }
}

}  // namespace

std::span<const MoeFamily> moe_families() {
  static const std::vector<std::string_view> kSame = {"down_proj", "gate_proj", "up_proj"};
  static const std::vector<std::string> kLayer = {
      "input_layernorm.weight",  "post_attention_layernorm.weight", "self_attn.q_proj.weight",
      "self_attn.k_proj.weight", "self_attn.v_proj.weight",         "self_attn.o_proj.weight"};
  static const std::vector<std::string> kBiases = {"self_attn.q_proj.bias", "self_attn.k_proj.bias",
                                                   "self_attn.v_proj.bias"};
  std::vector<std::string> with_norms = kLayer;
  with_norms.insert(with_norms.end(), {"self_attn.q_norm.weight", "self_attn.k_norm.weight"});
  std::vector<std::string> all_biases = kBiases;
  all_biases.emplace_back("self_attn.o_proj.bias");
  static const std::vector<MoeFamily> kFamilies = {
      {.name = "mixtral",
       .alias = "mixtral",
       .model_type = "mixtral",
       .architecture = "MixtralForCausalLM",
       .dense_types = {"llama", "mistral"},
       .router = "block_sparse_moe.gate.weight",
       .experts = "block_sparse_moe.experts.",
       .projections = {"w2", "w1", "w3"},
       .shared_expert = {},
       .shared_router = {},
       .count_key = "num_local_experts",
       .kept = kLayer,
       .kept_if_there = {},
       .biases = {}},
      {.name = "qwen2_moe",
       .alias = "qwen",
       .model_type = "qwen2_moe",
       .architecture = "Qwen2MoeForCausalLM",
       .dense_types = {"qwen2", "llama", "mistral"},
       .router = "mlp.gate.weight",
       .experts = "mlp.experts.",
       .projections = kSame,
       .shared_expert = "mlp.shared_expert.",
       .shared_router = "mlp.shared_expert_gate.weight",
       .count_key = "num_experts",
       .kept = kLayer,
       .kept_if_there = {},
       .biases = kBiases},
      {.name = "qwen3_moe",
       .alias = "qwen3",
       .model_type = "qwen3_moe",
       .architecture = "Qwen3MoeForCausalLM",
       .dense_types = {"qwen3"},
       .router = "mlp.gate.weight",
       .experts = "mlp.experts.",
       .projections = kSame,
       .shared_expert = {},
       .shared_router = {},
       .count_key = "num_experts",
       .kept = with_norms,
       .kept_if_there = all_biases,
       .biases = {}},
  };
  return kFamilies;
}

const MoeFamily& find_moe_family(const MoeRecipe& recipe, std::string_view model_type) {
  const bool shares = !recipe.shared_experts.empty();
  std::vector<std::string> names;
  std::vector<std::string> suiting;
  for (const MoeFamily& family : moe_families()) {
    const bool suits = std::find(family.dense_types.begin(), family.dense_types.end(),
                                 model_type) != family.dense_types.end();
    names.emplace_back(family.name);
    if (suits) suiting.emplace_back(family.name);
    const bool named = family.name == recipe.architecture || family.alias == recipe.architecture;
    if (recipe.architecture.empty() ? !suits || family.shared_expert.empty() == shares : !named) {
      continue;
    }
    if (!suits) {
      throw InputError("{}: a {} is made of models of type {}; the base '{}' is of type '{}'",
                       recipe.label, family.name, join(family.dense_types, " or "),
                       recipe.base_model.text(), model_type);
    }
    if (family.shared_expert.empty() == shares || (shares && recipe.shared_experts.size() != 1)) {
      throw InputError("{}: a {} has {}; the recipe has {} under 'shared_experts'", recipe.label,
                       family.name,
                       family.shared_expert.empty() ? "no shared expert" : "one shared expert",
                       recipe.shared_experts.size());
    }
    return family;
  }
  if (!recipe.architecture.empty()) {
    throw InputError("{}: the architecture '{}' is not known{}; expected {}", recipe.label,
                     recipe.architecture, did_you_mean(recipe.architecture, names),
                     join(names, ", "));
  }
  if (suiting.empty()) {
    throw InputError(
        "{}: the base '{}' is of type '{}'; a mixture of experts can be made of llama, mistral, "
        "qwen2 and qwen3",
        recipe.label, recipe.base_model.text(), model_type);
  }
  throw InputError("{}: what a base of type '{}' can become ({}) has {} shared expert; {}",
                   recipe.label, model_type, join(suiting, ", "), shares ? "no" : "one",
                   shares ? "leave 'shared_experts' out" : "name one under 'shared_experts'");
}

json moe_config(json config, const MoeFamily& family, const MoeRecipe& recipe,
                std::string_view where) {
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"}) {
    if (config.is_object() && config.contains(key) && config[key].is_number_unsigned() &&
        config[key].get<std::uint64_t>() > 0) {
      continue;
    }
    throw InputError("{}: no '{}' of at least 1, which a mixture's config needs", where, key);
  }
  state_defaults(config, config.at("model_type").get<std::string>());
  for (const char* key : {"pretraining_tp", "mlp_bias", "auto_map", "_name_or_path",
                          "quantization_config", "transformers_version"}) {
    config.erase(key);
  }
  if (family.kept_if_there.empty()) config.erase("attention_bias");
  config["model_type"] = family.model_type;
  config["architectures"] = json::array({family.architecture});
  config[std::string(family.count_key)] = recipe.experts.size();
  config["num_experts_per_tok"] = recipe.chosen();
  config["output_router_logits"] = false;
  if (family.model_type != "mixtral") {
    config["moe_intermediate_size"] = config["intermediate_size"];
    config["norm_topk_prob"] = true;
    config["decoder_sparse_step"] = 1;
    config["mlp_only_layers"] = json::array();
  }
  if (!family.biases.empty()) config["qkv_bias"] = true;
  if (!family.shared_expert.empty()) {
    config["shared_expert_intermediate_size"] = config["intermediate_size"];
  }
  return config;
}

}  // namespace amalgam
