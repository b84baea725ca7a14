// format_recipe: the canonical YAML of a recipe, keys in the order of the documentation.
#include <fmt/format.h>

#include "amalgam/core/text.hpp"
#include "amalgam/weights/recipe.hpp"
#include "amalgam/weights/yaml.hpp"

namespace amalgam {
namespace {

std::string format_value(const ParameterValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const double* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  return yaml_text(std::get<std::string>(value));
}

std::string format_values(const std::vector<ParameterValue>& values) {
  if (values.size() == 1) return format_value(values.front());
  std::vector<std::string> parts;
  parts.reserve(values.size());
  for (const ParameterValue& value : values) parts.push_back(format_value(value));
  return "[" + join(parts, ", ") + "]";
}

std::string json_text(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

class Writer {
 public:
  std::string take() { return std::move(text_); }

  void document(const Recipe& recipe) {
    if (!recipe.name.empty()) line(0, "name: " + yaml_text(recipe.name));
    line(0, "merge_method: " + yaml_text(recipe.merge_method));
    base_model(0, recipe.base_model);
    if (!recipe.models.empty()) models(0, recipe.models);
    if (!recipe.slices.empty()) slices(0, recipe.slices);
    if (!recipe.modules.empty()) {
      line(0, "modules:");
      for (const RecipeModule& module : recipe.modules) {
        line(1, yaml_text(module.name) + ":");
        if (!module.models.empty()) models(2, module.models);
        if (!module.slices.empty()) slices(2, module.slices);
        parameters(2, module.parameters);
      }
    }
    if (!recipe.parts.empty()) line(0, "parts:");
    for (const RecipePart& part : recipe.parts) {
      line(1, yaml_text(part.name) + ": " + (part.model ? yaml_text(part.model->text()) : "none"));
    }
    parameters(0, recipe.parameters);
    data(recipe);
    if (!recipe.dtype.empty()) line(0, "dtype: " + yaml_text(recipe.dtype));
    if (!recipe.out_dtype.empty()) line(0, "out_dtype: " + yaml_text(recipe.out_dtype));
    tokenizer(recipe);
    if (!recipe.chat_template.empty()) {
      line(0, "chat_template: " + yaml_text(recipe.chat_template));
    }
  }

 private:
  void line(std::size_t level, std::string_view content) {
    text_.append(2 * level, ' ');
    text_ += content;
    text_ += '\n';
  }

  void base_model(std::size_t level, const std::optional<ModelReference>& model) {
    if (model) line(level, "base_model: " + yaml_text(model->text()));
  }

  void models(std::size_t level, const std::vector<RecipeSource>& models) {
    line(level, "models:");
    source_list(level + 1, models);
  }

  void source_list(std::size_t level, const std::vector<RecipeSource>& sources) {
    for (const RecipeSource& source : sources) {
      line(level, "- model: " + yaml_text(source.model.text()));
      if (source.layers) {
        line(level + 1,
             fmt::format("layer_range: [{}, {}]", source.layers->first, source.layers->last));
      }
      parameters(level + 1, source.parameters);
    }
  }

  void slices(std::size_t level, const std::vector<RecipeSlice>& slices) {
    line(level, "slices:");
    for (const RecipeSlice& slice : slices) {
      line(level + 1, "- sources:");
      source_list(level + 3, slice.sources);
      base_model(level + 2, slice.base_model);
      parameters(level + 2, slice.parameters);
    }
  }

  void tokenizer(const Recipe& recipe) {
    if (recipe.tokenizer_source.empty()) return;
    if (recipe.tokens.empty() && recipe.pad_vocabulary == 0) {
      line(0, "tokenizer_source: " + yaml_text(recipe.tokenizer_source));
      return;
    }
    line(0, "tokenizer:");
    line(1, "source: " + yaml_text(recipe.tokenizer_source));
    if (!recipe.tokens.empty()) line(1, "tokens:");
    for (const RecipeToken& token : recipe.tokens) {
      const bool is_empty = token.source == RecipeToken::Source::unsaid && !token.force;
      line(2, yaml_text(token.token) + (is_empty ? ": {}" : ":"));
      token_source(token);
      if (token.force) line(3, "force: true");
    }
    if (recipe.pad_vocabulary != 0) {
      line(1, fmt::format("pad_to_multiple_of: {}", recipe.pad_vocabulary));
    }
  }

  void token_source(const RecipeToken& token) {
    const auto of_model = [&](const std::string& what) {
      line(3, fmt::format("source: {{kind: model_token, model: {}, {}}}",
                          json_text(token.model.text()), what));
    };
    switch (token.source) {
      case RecipeToken::Source::unsaid:
        return;
      case RecipeToken::Source::model:
        return line(3, "source: " + yaml_text(token.model.text()));
      case RecipeToken::Source::model_token:
        return of_model("token: " + json_text(token.model_token));
      case RecipeToken::Source::model_row:
        return of_model(fmt::format("token_id: {}", token.row));
      case RecipeToken::Source::zero:
        return line(3, "source: {kind: zero}");
    }
  }

  void data(const Recipe& recipe) {
    if (recipe.data) {
      line(0, "data:");
      if (recipe.tasks.empty() || !recipe.data->empty()) {
        examples("  ", "  ", *recipe.data);
      }
      if (!recipe.tasks.empty()) line(1, "tasks:");
      for (const RecipeData& task : recipe.tasks) examples("    - ", "      ", task);
    }
    if (!recipe.search.empty()) {
      line(0, "search:");
      line(1, "parameters:");
      for (const RecipeSearch& one : recipe.search) {
        line(2, yaml_text(one.parameter) + ": " + yaml_text(one.values));
      }
      if (!recipe.search_by.empty()) line(1, "by: " + recipe.search_by);
    }
    if (!recipe.evaluate.empty()) line(0, "evaluate:");
    for (const RecipeData& one : recipe.evaluate) examples("  - ", "    ", one);
  }

  // The keys of a map, `first` before the first of them and `then` before the others.
  void examples(std::string_view first, std::string_view then, const RecipeData& data) {
    std::string_view start = first;
    const auto add = [&](std::string_view key, const std::string& value) {
      text_ += fmt::format("{}{}: {}\n", start, key, value);
      start = then;
    };
    if (!data.name.empty()) add("name", yaml_text(data.name));
    if (!data.split.empty()) add("split", yaml_text(data.split));
    for (const auto& [key, value] : data.keys.items()) {
      // JSON is YAML.
      add(key, value.is_string() ? yaml_text(value.get<std::string>()) : json_text(value));
    }
    if (data.empty()) text_ += fmt::format("{}{{}}\n", first);
  }

  void parameters(std::size_t level, const ParameterSettings& settings) {
    if (settings.empty()) return;
    line(level, "parameters:");
    for (const auto& [name, setting] : settings) {
      const auto& entries = setting.entries;
      if (entries.size() == 1 && entries.front().filter.empty() && entries.front().blocks.empty()) {
        line(level + 1, yaml_text(name) + ": " + format_values(entries.front().values));
        continue;
      }
      line(level + 1, yaml_text(name) + ":");
      for (const ParameterSetting::Entry& entry : entries) {
        std::vector<std::string> keys;
        if (!entry.filter.empty()) keys.push_back("filter: " + yaml_text(entry.filter));
        if (!entry.blocks.empty()) keys.push_back("blocks: " + yaml_text(entry.blocks));
        keys.push_back("value: " + format_values(entry.values));
        for (std::size_t i = 0; i < keys.size(); ++i) {
          line(level + (i == 0 ? 2 : 3), (i == 0 ? "- " : "") + keys[i]);
        }
      }
    }
  }

  std::string text_;
};

}  // namespace

std::string format_recipe(const Recipe& recipe) {
  Writer writer;
  writer.document(recipe);
  return writer.take();
}

std::string format_recipes(const std::vector<Recipe>& documents) {
  std::string text;
  for (const Recipe& document : documents) {
    if (!text.empty()) text += "---\n";
    text += format_recipe(document);
  }
  return text;
}

}  // namespace amalgam
