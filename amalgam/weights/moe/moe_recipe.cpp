#include "amalgam/weights/moe/moe_recipe.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "amalgam/checkpoint/output_type.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/recipe_reader.hpp"
#include "amalgam/weights/yaml.hpp"

namespace amalgam {
namespace {

using Gates = MoeRecipe::Gates;

constexpr std::size_t kMostExperts = 4096;
constexpr std::array<std::pair<std::string_view, Gates>, 4> kGates = {
    {{"hidden", Gates::hidden},
     {"cheap_embed", Gates::cheap_embed},
     {"random", Gates::random},
     {"uniform_random", Gates::uniform_random}}};

bool needs_prompts(Gates gates) { return gates == Gates::hidden || gates == Gates::cheap_embed; }

class MoeReader : private NodeReader {
 public:
  using NodeReader::NodeReader;

  MoeRecipe document(const YamlNode& node) const {
    expect_map(node, "a recipe of a mixture of experts");
    check_keys(node, "a recipe of a mixture of experts",
               {"base_model", "experts", "shared_experts", "gate_mode", "dtype",
                "experts_per_token", "architecture"});
    MoeRecipe recipe;
    recipe.label = label();
    recipe.line = {node.line};
    const YamlNode* base = present(node, "base_model");
    if (base == nullptr) fail(node, "the recipe has no 'base_model'");
    recipe.base_model = parse_model_reference(text(*base, "base_model"), where(*base));
    const YamlNode* listed = present(node, "experts");
    if (listed == nullptr) fail(node, "the recipe has no 'experts'");
    recipe.experts = experts(*listed, "experts");
    if (const YamlNode* shared = present(node, "shared_experts")) {
      recipe.shared_experts = experts(*shared, "shared_experts");
    }
    if (const YamlNode* gates = present(node, "gate_mode")) recipe.gates = gate_mode(*gates);
    if (const YamlNode* dtype = present(node, "dtype")) recipe.dtype = dtype_name_of(*dtype);
    if (const YamlNode* count = present(node, "experts_per_token")) {
      recipe.experts_per_token = chosen_count(*count, recipe.experts.size());
    }
    if (const YamlNode* name = present(node, "architecture")) {
      recipe.architecture = text(*name, "architecture");
    }
    check_prompts(node, recipe);
    return recipe;
  }

 private:
  std::vector<MoeExpert> experts(const YamlNode& node, std::string_view what) const {
    std::vector<MoeExpert> read;
    for (const YamlNode::Pointer& item : list(node, what)) read.push_back(expert(*item, what));
    if (read.size() > kMostExperts) {
      fail(node, fmt::format("{} experts; expected at most {}", read.size(), kMostExperts));
    }
    return read;
  }

  MoeExpert expert(const YamlNode& node, std::string_view list_name) const {
    const std::string what = fmt::format("an entry of '{}'", list_name);
    expect_map(node, what);
    check_keys(
        node, what,
        {"source_model", "positive_prompts", "negative_prompts", "noise_scale", "residual_scale"});
    MoeExpert read;
    read.line = {node.line};
    const YamlNode* model = present(node, "source_model");
    if (model == nullptr) fail(node, fmt::format("{} has no 'source_model'", what));
    read.model = parse_model_reference(text(*model, "source_model"), where(*model));
    read.positive_prompts = prompts(node, "positive_prompts");
    read.negative_prompts = prompts(node, "negative_prompts");
    read.noise_scale = number(node, "noise_scale", 0);
    if (read.noise_scale < 0) fail(node, "'noise_scale' is negative; expected at least 0");
    read.residual_scale = number(node, "residual_scale", 1);
    return read;
  }

  std::vector<std::string> prompts(const YamlNode& node, std::string_view key) const {
    std::vector<std::string> read;
    const YamlNode* listed = present(node, key);
    if (listed == nullptr) return read;
    for (const YamlNode::Pointer& item : list(*listed, key)) read.push_back(text(*item, key));
    return read;
  }

  double number(const YamlNode& node, std::string_view key, double otherwise) const {
    const YamlNode* value = present(node, key);
    if (value == nullptr) return otherwise;
    const ParameterValue read = scalar(*value, key);
    const double* found = std::get_if<double>(&read);
    if (found == nullptr || !std::isfinite(*found)) {
      fail(*value, fmt::format("'{}' is '{}'; expected a number", key, value->text));
    }
    return *found;
  }

  Gates gate_mode(const YamlNode& node) const {
    const std::string name = text(node, "gate_mode");
    std::vector<std::string> names;
    for (const auto& [known, gates] : kGates) {
      if (known == name) return gates;
      names.emplace_back(known);
    }
    fail(node, fmt::format("'gate_mode' is '{}'; expected {}", name, join(names, ", ")));
  }

  std::string dtype_name_of(const YamlNode& node) const {
    std::string name = text(node, "dtype");
    const auto type = parse_output_type(name);
    if (!type || std::holds_alternative<Quantisation>(*type)) {
      fail(node, fmt::format("'dtype' is '{}'; expected a floating-point type such as bfloat16, "
                             "float16 or float32, or fp8_block, fp8_channel or fp8_tensor",
                             name));
    }
    return name;
  }

  std::size_t chosen_count(const YamlNode& node, std::size_t experts) const {
    const ParameterValue value = scalar(node, "experts_per_token");
    const double* count = std::get_if<double>(&value);
    if (count == nullptr || !(*count >= 1) || *count > static_cast<double>(experts) ||
        *count != std::floor(*count)) {
      fail(node, fmt::format("'experts_per_token' is '{}'; expected a whole number from 1 to {}, "
                             "the number of experts",
                             node.text, experts));
    }
    return static_cast<std::size_t>(*count);
  }

  void check_prompts(const YamlNode& node, const MoeRecipe& recipe) const {
    if (!needs_prompts(recipe.gates)) return;
    for (const MoeExpert& one : recipe.experts) {
      if (!one.positive_prompts.empty()) continue;
      throw InputError(
          "{}:{}: expert '{}' has no 'positive_prompts', which gate_mode {} makes its router of; "
          "add texts that it is to be chosen for, or take gate_mode random and train the routers",
          label(), one.line.number, one.model.text(), gates_name(recipe.gates));
    }
    const MoeExpert& first = recipe.experts.front();
    const bool all_same =
        recipe.experts.size() > 1 &&
        std::all_of(recipe.experts.begin(), recipe.experts.end(), [&](const MoeExpert& one) {
          return one.positive_prompts == first.positive_prompts &&
                 one.negative_prompts == first.negative_prompts;
        });
    if (all_same) {
      fail(node,
           "all experts have the same prompts, so the routers could not tell them apart; give each "
           "expert texts of its own");
    }
  }
};

void add_expert(const MoeExpert& expert, std::string& out) {
  out += fmt::format("  - source_model: {}\n", yaml_text(expert.model.text()));
  const auto add_prompts = [&](const char* key, const std::vector<std::string>& prompts) {
    if (prompts.empty()) return;
    out += fmt::format("    {}:\n", key);
    for (const std::string& prompt : prompts) out += fmt::format("      - {}\n", yaml_text(prompt));
  };
  add_prompts("positive_prompts", expert.positive_prompts);
  add_prompts("negative_prompts", expert.negative_prompts);
  if (expert.noise_scale != 0) out += fmt::format("    noise_scale: {}\n", expert.noise_scale);
  if (expert.residual_scale != 1) {
    out += fmt::format("    residual_scale: {}\n", expert.residual_scale);
  }
}

}  // namespace

bool MoeRecipe::operator==(const MoeRecipe& other) const {
  return base_model == other.base_model && experts == other.experts &&
         shared_experts == other.shared_experts && gates == other.gates &&
         experts_per_token == other.experts_per_token && dtype == other.dtype &&
         architecture == other.architecture;
}

std::size_t MoeRecipe::chosen() const {
  return experts_per_token > 0 ? experts_per_token : std::min<std::size_t>(2, experts.size());
}

std::vector<ModelReference> MoeRecipe::all_models() const {
  std::vector<ModelReference> models{base_model};
  for (const std::vector<MoeExpert>* group : {&experts, &shared_experts}) {
    for (const MoeExpert& expert : *group) {
      if (std::find(models.begin(), models.end(), expert.model) == models.end()) {
        models.push_back(expert.model);
      }
    }
  }
  return models;
}

std::string_view gates_name(Gates gates) {
  return std::find_if(kGates.begin(), kGates.end(),
                      [&](const auto& one) { return one.second == gates; })
      ->first;
}

bool is_moe_recipe(std::string_view yaml, std::string_view label) {
  const std::vector<YamlNode::Pointer> documents = parse_yaml(yaml, label);
  return documents.size() == 1 && documents.front()->kind == YamlNode::Kind::map &&
         documents.front()->find("experts") != nullptr;
}

MoeRecipe parse_moe_recipe(std::string_view yaml, std::string_view label) {
  const std::vector<YamlNode::Pointer> documents = parse_yaml(yaml, label);
  if (documents.size() != 1 || documents.front()->kind == YamlNode::Kind::null) {
    throw InputError("{}: {} YAML documents; expected one recipe of a mixture of experts", label,
                     documents.size());
  }
  if (documents.front()->find("merge_method") != nullptr) {
    throw InputError("{}: is a recipe of a merge ('merge_method'), which 'amalgam merge' takes",
                     label);
  }
  return MoeReader(label).document(*documents.front());
}

std::string format_moe_recipe(const MoeRecipe& recipe) {
  std::string out = fmt::format("base_model: {}\n", yaml_text(recipe.base_model.text()));
  if (!recipe.architecture.empty()) {
    out += fmt::format("architecture: {}\n", yaml_text(recipe.architecture));
  }
  out += fmt::format("gate_mode: {}\n", gates_name(recipe.gates));
  if (!recipe.dtype.empty()) out += fmt::format("dtype: {}\n", yaml_text(recipe.dtype));
  if (recipe.experts_per_token != 0) {
    out += fmt::format("experts_per_token: {}\n", recipe.experts_per_token);
  }
  out += "experts:\n";
  for (const MoeExpert& expert : recipe.experts) add_expert(expert, out);
  if (!recipe.shared_experts.empty()) out += "shared_experts:\n";
  for (const MoeExpert& expert : recipe.shared_experts) add_expert(expert, out);
  return out;
}

}  // namespace amalgam
