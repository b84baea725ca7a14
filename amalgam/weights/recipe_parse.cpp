// parse_recipe: from a YAML tree to Recipe values, with every key checked.
#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>

#include "amalgam/checkpoint/output_type.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/block_weights.hpp"
#include "amalgam/weights/recipe.hpp"
#include "amalgam/weights/recipe_reader.hpp"
#include "amalgam/weights/yaml.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kMostLayers = 1'000'000;

class RecipeReader : private NodeReader {
 public:
  using NodeReader::NodeReader;

  Recipe document(const YamlNode& node) const {
    expect_map(node, "a recipe");
    check_keys(node, "a recipe",
               {"name", "merge_method", "base_model", "models", "slices", "modules", "parts",
                "parameters", "data", "search", "evaluate", "dtype", "out_dtype",
                "tokenizer_source", "tokenizer", "chat_template"});
    Recipe recipe;
    recipe.label = label();
    recipe.line = {node.line};
    if (const YamlNode* name = node.find("name")) recipe.name = text(*name, "name");
    const YamlNode* method = node.find("merge_method");
    if (method == nullptr) fail(node, "the recipe has no 'merge_method'");
    recipe.merge_method = text(*method, "merge_method");
    recipe.base_model = base_model(node);
    if (const YamlNode* models = sole_content(node, {"models", "slices", "modules"});
        models == node.find("models")) {
      recipe.models = sources(*models, "models", false);
    } else if (models == node.find("slices")) {
      recipe.slices = slices(*models);
    } else {
      recipe.modules = modules(*models);
    }
    recipe.parts = parts(node);
    recipe.parameters = parameters(node);
    read_data_keys(*this, node, recipe);
    recipe.dtype = dtype(node, "dtype");
    recipe.out_dtype = dtype(node, "out_dtype");
    read_tokenizer_keys(*this, node, recipe);
    return recipe;
  }

 private:
  // The value of the one of `keys` that is there.
  const YamlNode* sole_content(const YamlNode& node,
                               std::initializer_list<const char*> keys) const {
    const YamlNode* found = nullptr;
    std::vector<std::string> names;
    std::vector<std::string> there;
    for (const char* key : keys) {
      names.push_back(fmt::format("'{}'", key));
      if (const YamlNode* value = present(node, key)) {
        found = value;
        there.push_back(names.back());
      }
    }
    if (there.size() != 1) {
      fail(node, fmt::format("expected exactly one of {}, found {}", join(names, ", "),
                             there.empty() ? "none" : join(there, " and ")));
    }
    return found;
  }

  ModelReference model_reference(const YamlNode& node, std::string_view what) const {
    return parse_model_reference(text(node, what), where(node));
  }

  std::optional<ModelReference> base_model(const YamlNode& node) const {
    const YamlNode* base = present(node, "base_model");
    if (base == nullptr) return std::nullopt;
    return model_reference(*base, "base_model");
  }

  std::vector<RecipeSource> sources(const YamlNode& node, std::string_view what,
                                    bool in_slice) const {
    std::vector<RecipeSource> read;
    for (const YamlNode::Pointer& item : list(node, what)) read.push_back(source(*item, in_slice));
    return read;
  }

  RecipeSource source(const YamlNode& node, bool in_slice) const {
    const std::string_view what = in_slice ? "a source of a slice" : "an entry of 'models'";
    expect_map(node, what);
    if (!in_slice && node.find("layer_range") != nullptr) {
      fail(node, "'layer_range' belongs to the sources of 'slices', not to 'models'");
    }
    if (in_slice) {
      check_keys(node, what, {"model", "layer_range", "parameters"});
    } else {
      check_keys(node, what, {"model", "parameters"});
    }
    RecipeSource source;
    source.line = {node.line};
    const YamlNode* model = node.find("model");
    if (model == nullptr) fail(node, fmt::format("{} has no 'model'", what));
    source.model = model_reference(*model, "model");
    source.parameters = parameters(node);
    if (in_slice) {
      const YamlNode* range = present(node, "layer_range");
      if (range == nullptr) fail(node, "a source of a slice has no 'layer_range'");
      source.layers = layer_range(*range);
    }
    return source;
  }

  RecipeSource::Layers layer_range(const YamlNode& node) const {
    expect(node, YamlNode::Kind::sequence, "'layer_range'");
    std::vector<std::size_t> bounds;
    for (const YamlNode::Pointer& item : node.items) {
      const ParameterValue value = scalar(*item, "layer_range");
      const double* number = std::get_if<double>(&value);
      if (number == nullptr || !(*number >= 0) || *number > kMostLayers ||
          *number != static_cast<double>(static_cast<std::size_t>(*number))) {
        fail(*item, fmt::format("'{}' is not a layer number", item->text));
      }
      bounds.push_back(static_cast<std::size_t>(*number));
    }
    if (bounds.size() != 2) fail(node, "'layer_range' has not two numbers; expected [first, end]");
    if (bounds[0] >= bounds[1]) {
      fail(node,
           fmt::format("'layer_range' [{}, {}] is empty; expected first < end (the end itself "
                       "is excluded)",
                       bounds[0], bounds[1]));
    }
    return {bounds[0], bounds[1]};
  }

  std::vector<RecipeSlice> slices(const YamlNode& node) const {
    std::vector<RecipeSlice> read;
    for (const YamlNode::Pointer& item : list(node, "slices")) {
      expect_map(*item, "an entry of 'slices'");
      check_keys(*item, "an entry of 'slices'", {"sources", "base_model", "parameters"});
      RecipeSlice slice;
      slice.line = {item->line};
      const YamlNode* from = item->find("sources");
      if (from == nullptr) fail(*item, "an entry of 'slices' has no 'sources'");
      slice.sources = sources(*from, "sources", true);
      slice.base_model = base_model(*item);
      slice.parameters = parameters(*item);
      const std::size_t count = slice.sources.front().range().count();
      for (const RecipeSource& source : slice.sources) {
        if (source.range().count() == count) continue;
        throw InputError(
            "{}:{}: '{}' gives {} layers to a slice, but '{}' gives {}; expected equally many from "
            "every source of a slice",
            label(), source.line.number, source.model.text(), source.range().count(),
            slice.sources.front().model.text(), count);
      }
      read.push_back(std::move(slice));
    }
    return read;
  }

  std::vector<RecipeModule> modules(const YamlNode& node) const {
    expect_map(node, "'modules'");
    if (node.entries.empty()) fail(node, "'modules' is empty");
    std::vector<RecipeModule> read;
    for (const auto& [name, item] : node.entries) {
      expect_map(*item, fmt::format("module '{}'", name));
      check_keys(*item, "a module", {"models", "slices", "parameters"});
      RecipeModule module;
      module.name = name;
      module.line = {item->line};
      if (const YamlNode* content = sole_content(*item, {"models", "slices"});
          content == item->find("models")) {
        module.models = sources(*content, "models", false);
      } else {
        module.slices = slices(*content);
      }
      module.parameters = parameters(*item);
      read.push_back(std::move(module));
    }
    return read;
  }

  std::vector<ParameterValue> values(const YamlNode& node, std::string_view name) const {
    if (node.kind != YamlNode::Kind::sequence) return {scalar(node, name)};
    std::vector<ParameterValue> read;
    for (const YamlNode::Pointer& item : list(node, name)) read.push_back(scalar(*item, name));
    return read;
  }

  ParameterSettings parameters(const YamlNode& node) const {
    ParameterSettings settings;
    const YamlNode* map = present(node, "parameters");
    if (map == nullptr) return settings;
    expect_map(*map, "'parameters'");
    for (const auto& [name, value] : map->entries) {
      if (value->kind == YamlNode::Kind::null) continue;  // as if it were not there
      ParameterSetting setting;
      setting.line = {value->line};
      const bool filters = value->kind == YamlNode::Kind::sequence && !value->items.empty() &&
                           value->items.front()->kind == YamlNode::Kind::map;
      if (filters) {
        for (const YamlNode::Pointer& item : value->items) {
          setting.entries.push_back(filter_entry(*item, name));
        }
      } else if (value->kind == YamlNode::Kind::map) {
        setting.entries.push_back(filter_entry(*value, name));
      } else {
        setting.entries.push_back({{}, values(*value, name)});
      }
      settings.emplace(name, std::move(setting));
    }
    return settings;
  }

  ParameterSetting::Entry filter_entry(const YamlNode& node, std::string_view name) const {
    const std::string what = fmt::format("an entry of '{}'", name);
    expect_map(node, what);
    check_keys(node, what, {"filter", "blocks", "value"});
    ParameterSetting::Entry entry;
    if (const YamlNode* filter = present(node, "filter")) entry.filter = text(*filter, "filter");
    const YamlNode* value = present(node, "value");
    if (value == nullptr) fail(node, fmt::format("{} has no 'value'", what));
    entry.values = values(*value, name);
    if (const YamlNode* blocks = present(node, "blocks")) {
      entry.blocks = text(*blocks, "blocks");
      try {
        check_block_list(entry);
      } catch (const InputError& error) {
        fail(*value, error.what());
      }
    }
    return entry;
  }

  std::vector<RecipePart> parts(const YamlNode& node) const {
    std::vector<RecipePart> read;
    const YamlNode* map = present(node, "parts");
    if (map == nullptr) return read;
    expect_map(*map, "'parts'");
    if (present(node, "models") == nullptr) {
      fail(*map, "'parts' go with 'models', not with 'slices' or 'modules'");
    }
    for (const auto& [name, value] : map->entries) {
      const std::string model = text(*value, name);
      RecipePart part{.name = name, .model = {}, .line = {value->line}};
      if (model != "none") part.model = parse_model_reference(model, where(*value));
      read.push_back(std::move(part));
    }
    return read;
  }

  std::string dtype(const YamlNode& node, std::string_view key) const {
    const YamlNode* value = present(node, key);
    if (value == nullptr) return {};
    std::string name = text(*value, key);
    if (!parse_output_type(name)) {
      fail(*value, fmt::format("'{}' is '{}'; expected a floating-point type such as float32, "
                               "bfloat16 or float16, {}",
                               key, name, output_type_names()));
    }
    return name;
  }
};

}  // namespace

std::vector<Recipe> parse_recipe(std::string_view yaml, std::string_view label) {
  std::vector<Recipe> documents;
  const RecipeReader reader(label);
  for (const YamlNode::Pointer& node : parse_yaml(yaml, label)) {
    if (node->kind != YamlNode::Kind::null) documents.push_back(reader.document(*node));
  }
  if (documents.empty()) throw InputError("{}: the recipe is empty", label);
  check_stages(documents);
  return documents;
}

}  // namespace amalgam
