#include "amalgam/checkpoint/adapter_config.hpp"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

constexpr std::size_t kLargestRank = 1 << 20;
// Names and patterns longer than this have no use, and are compared with every module.
constexpr std::size_t kLongestName = 1024;
constexpr std::size_t kMostPatterns = 10'000;

bool is_given(const json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return false;
  return !(found->is_boolean() && !found->get<bool>()) &&
         !((found->is_array() || found->is_object() || found->is_string()) && found->empty());
}

double number(const json& value, std::string_view key, std::string_view where) {
  if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() <= 0) {
    throw InputError("{}: '{}' is {}; expected a positive number", where, key, value.dump());
  }
  return value.get<double>();
}

std::size_t rank(const json& value, std::string_view key, std::string_view where) {
  const double r = number(value, key, where);
  if (r != std::floor(r) || r > static_cast<double>(kLargestRank)) {
    throw InputError("{}: '{}' is {}; expected a whole number of at most {}", where, key,
                     value.dump(), kLargestRank);
  }
  return static_cast<std::size_t>(r);
}

bool flag(const json& config, const char* key, std::string_view where) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return false;
  if (!found->is_boolean()) {
    throw InputError("{}: '{}' is {}; expected true or false", where, key, found->dump());
  }
  return found->get<bool>();
}

std::string text(const json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::vector<std::string> names(const json& config, const char* key, std::string_view where) {
  std::vector<std::string> result;
  if (!is_given(config, key)) return result;
  const json& value = config.at(key);
  if (!value.is_array()) {
    throw InputError("{}: '{}' is {}; expected a list of module names", where, key, value.dump());
  }
  for (const json& name : value) {
    if (!name.is_string() || name.get_ref<const std::string&>().size() > kLongestName) {
      throw InputError("{}: '{}' holds {}; expected module names", where, key, name.dump());
    }
    result.push_back(name.get<std::string>());
  }
  return result;
}

std::vector<std::pair<std::string, double>> pattern(const json& config, const char* key,
                                                    std::string_view where, bool is_rank) {
  std::vector<std::pair<std::string, double>> result;
  if (!is_given(config, key)) return result;
  const json& value = config.at(key);
  if (!value.is_object() || value.size() > kMostPatterns) {
    throw InputError("{}: '{}' is no object of module names and numbers", where, key);
  }
  for (const auto& [name, one] : value.items()) {
    if (name.size() > kLongestName) {
      throw InputError("{}: '{}' has a name of {} characters", where, key, name.size());
    }
    module_matches(name, "");  // refuses what cannot be read
    result.emplace_back(
        name, is_rank ? static_cast<double>(rank(one, name, where)) : number(one, name, where));
  }
  return result;
}

// Variants of LoRA whose effect is not the change of weights that is computed here.
struct Refused {
  const char* key;
  const char* why;
};
constexpr std::array kRefused = {
    Refused{"use_qalora", "QALoRA pools the inputs of its layers"},
    Refused{"alora_invocation_tokens", "an activated LoRA works on a part of the text only"},
    Refused{"arrow_config", "Arrow chooses among adapters for every token"},
    Refused{"layer_replication", "it repeats layers of the base model"},
    Refused{"target_parameters", "it changes parameters that are not weights of layers"},
    Refused{"trainable_token_indices", "it retrains single tokens"},
    Refused{"use_bdlora", "its factors are made of blocks"},
    Refused{"monteclora_config", "its factors are drawn at random"},
    Refused{"kasa_config", "KaSA cuts the base model's weights first"},
    Refused{"velora_config", "VeLoRA is not a product of two factors"},
};

void refuse_variants(const json& config, std::string_view where) {
  for (const Refused& refused : kRefused) {
    if (!is_given(config, refused.key)) continue;
    throw InputError(
        "{}: '{}' is set: {}, which cannot be applied here; merge it with PEFT (merge_and_unload) "
        "and use the model",
        where, refused.key, refused.why);
  }
  const std::string start = text(config, "init_lora_weights");
  for (const char* changing : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
    if (!start.starts_with(changing)) continue;
    throw InputError(
        "{}: 'init_lora_weights' is '{}', which changed the base model before training, so the "
        "adapter does not fit the original; save it with PEFT's "
        "path_initial_model_for_weight_conversion",
        where, start);
  }
}

// The value of the pattern that matches, if any does.
std::optional<double> matching(const std::vector<std::pair<std::string, double>>& pattern,
                               std::string_view module, const char* what) {
  std::optional<double> value;
  for (const auto& [key, one] : pattern) {
    if (!module_matches(key, module)) continue;
    if (value && *value != one) {
      throw InputError("adapter_config.json: '{}' gives module '{}' both {} and {}", what, module,
                       *value, one);
    }
    value = one;
  }
  return value;
}

}  // namespace

std::size_t AdapterConfig::rank_of(std::string_view module) const {
  const auto other = matching(rank_pattern, module, "rank_pattern");
  return other ? static_cast<std::size_t>(*other) : rank;
}

double AdapterConfig::scale_of(std::string_view module, std::size_t its_rank) const {
  const double its_alpha = matching(alpha_pattern, module, "alpha_pattern").value_or(alpha);
  const auto r = static_cast<double>(its_rank);
  return its_alpha / (rank_stabilised ? std::sqrt(r) : r);
}

AdapterConfig parse_adapter_config(std::string_view content, std::string_view where) {
  const json config = parse_json(content, where, {.depth = 32, .values = 200'000});
  if (!config.is_object()) throw InputError("{}: expected a JSON object", where);
  const std::string type = text(config, "peft_type");
  AdapterConfig result;
  if (type == "IA3") {
    result.kind = AdapterConfig::Kind::ia3;
  } else if (type != "LORA") {
    throw InputError(
        "{}: 'peft_type' is {}; expected LORA or IA3 (other adapters: merge them into the model "
        "with PEFT first)",
        where, config.contains("peft_type") ? config["peft_type"].dump() : "missing");
  }
  refuse_variants(config, where);
  if (config.contains("r")) result.rank = rank(config["r"], "r", where);
  if (config.contains("lora_alpha")) {
    result.alpha = number(config["lora_alpha"], "lora_alpha", where);
  }
  result.rank_stabilised = flag(config, "use_rslora", where);
  result.dora = flag(config, "use_dora", where);
  result.transposed = flag(config, "fan_in_fan_out", where);
  result.rank_pattern = pattern(config, "rank_pattern", where, true);
  result.alpha_pattern = pattern(config, "alpha_pattern", where, false);
  result.modules_to_save = names(config, "modules_to_save", where);
  const auto feedforward = config.find("feedforward_modules");
  if (feedforward == config.end() || !feedforward->is_string()) {
    result.feedforward_modules = names(config, "feedforward_modules", where);
  }
  result.base_model = text(config, "base_model_name_or_path");
  result.task_type = text(config, "task_type");
  return result;
}

std::string format_adapter_config(const AdapterConfig& config,
                                  const std::vector<std::string>& targets) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  const auto text_or_null = [](const std::string& value) {
    return value.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(value);
  };
  const auto whole_pattern = [](const std::vector<std::pair<std::string, double>>& pattern) {
    nlohmann::ordered_json object = nlohmann::ordered_json::object();
    for (const auto& [key, value] : pattern) {
      if (value == std::floor(value)) {
        object[key] = static_cast<std::int64_t>(value);
      } else {
        object[key] = value;
      }
    }
    return object;
  };
  out["peft_type"] = "LORA";
  out["task_type"] = text_or_null(config.task_type);
  out["base_model_name_or_path"] = text_or_null(config.base_model);
  out["inference_mode"] = true;
  out["r"] = config.rank;
  if (config.alpha == std::floor(config.alpha)) {
    out["lora_alpha"] = static_cast<std::int64_t>(config.alpha);
  } else {
    out["lora_alpha"] = config.alpha;
  }
  out["lora_dropout"] = 0.0;
  out["bias"] = "none";
  out["use_rslora"] = config.rank_stabilised;
  out["use_dora"] = config.dora;
  out["fan_in_fan_out"] = config.transposed;
  out["rank_pattern"] = whole_pattern(config.rank_pattern);
  out["alpha_pattern"] = whole_pattern(config.alpha_pattern);
  out["target_modules"] = targets;
  out["modules_to_save"] = config.modules_to_save.empty()
                               ? nlohmann::ordered_json()
                               : nlohmann::ordered_json(config.modules_to_save);
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace amalgam
