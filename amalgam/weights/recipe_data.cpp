// What recipes and command lines say of data: which examples, which tasks, what is evaluated.
#include "amalgam/weights/recipe_data.hpp"

#include <array>
#include <set>
#include <vector>

#include "amalgam/weights/recipe_reader.hpp"

namespace amalgam {
namespace {

constexpr std::array<const char*, 16> kKeys{
    "name",    "split",   "set",   "label",    "ignore",    "categorical", "tokens",  "context",
    "classes", "relabel", "first", "examples", "imbalance", "partition",   "corrupt", "head"};
constexpr std::array<std::string_view, 8> kWords{"set",   "first",  "examples", "head",
                                                 "label", "tokens", "context",  "corrupt"};
constexpr const char* kCorrupt = "corrupt";

bool is_split(std::string_view text) {
  return text == "train" || text == "validation" || text == "test" || text == "all";
}

std::string text_of(const nlohmann::ordered_json& keys, const char* key) {
  const auto found = keys.find(key);
  return found != keys.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string joined(const std::string& first, const std::string& then) {
  return first.empty() || then.empty() ? first + then : first + "," + then;
}

class DataReader {
 public:
  explicit DataReader(const NodeReader& reader) : reader_(reader) {}

  void data(const YamlNode& node, Recipe& recipe) const {
    reader_.expect_map(node, "'data'");
    recipe.data = one(node, "'data'", true);
    const YamlNode* tasks = NodeReader::present(node, "tasks");
    if (tasks == nullptr) return;
    for (const YamlNode::Pointer& item : reader_.list(*tasks, "tasks")) {
      recipe.tasks.push_back(entry(*item, "an entry of 'tasks'"));
    }
  }

  void evaluate(const YamlNode& node, Recipe& recipe) const {
    if (node.kind == YamlNode::Kind::map) {
      recipe.evaluate.push_back(entry(node, "'evaluate'"));
      return;
    }
    for (const YamlNode::Pointer& item : reader_.list(node, "evaluate")) {
      recipe.evaluate.push_back(entry(*item, "an entry of 'evaluate'"));
    }
  }

  void search(const YamlNode& node, Recipe& recipe) const {
    reader_.expect_map(node, "'search'");
    reader_.check_keys(node, "'search'", {"parameters", "by"});
    const YamlNode* parameters = NodeReader::present(node, "parameters");
    if (parameters == nullptr) reader_.fail(node, "'search' has no 'parameters'");
    reader_.expect_map(*parameters, "'parameters' of 'search'");
    if (parameters->entries.empty()) reader_.fail(*parameters, "'parameters' of 'search' is empty");
    for (const auto& [name, value] : parameters->entries) {
      recipe.search.push_back({name, values(*value, name), {value->line}});
    }
    const YamlNode* by = NodeReader::present(node, "by");
    if (by == nullptr) return;
    recipe.search_by = reader_.text(*by, "by");
    if (recipe.search_by != "accuracy" && recipe.search_by != "nll") {
      reader_.fail(*by, fmt::format("'by' is '{}'; expected accuracy or nll", recipe.search_by));
    }
  }

 private:
  RecipeData entry(const YamlNode& node, std::string_view what) const {
    reader_.expect_map(node, what);
    return one(node, what, false);
  }

  RecipeData one(const YamlNode& node, std::string_view what, bool has_tasks) const {
    std::vector<std::string> known(kKeys.begin(), kKeys.end());
    if (has_tasks) known.emplace_back("tasks");
    RecipeData data;
    data.line = {node.line};
    for (const auto& [key, value] : node.entries) {
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        reader_.fail(*value,
                     fmt::format("{} has no key '{}'{}", what, key, did_you_mean(key, known)));
      }
      if (value->kind == YamlNode::Kind::null || key == "tasks") continue;
      if (key == "name") {
        data.name = reader_.text(*value, key);
      } else if (key == "split") {
        data.split = reader_.text(*value, key);
        if (!is_split(data.split)) {
          reader_.fail(*value, fmt::format("'split' is '{}'; expected train, validation or test (or"
                                           " all of a table or text)",
                                           data.split));
        }
      } else {
        data.keys[key] = yaml_as_json(*value);
      }
    }
    return data;
  }

  std::string values(const YamlNode& node, const std::string& name) const {
    if (node.kind != YamlNode::Kind::sequence) return reader_.text(node, name);
    std::vector<std::string> parts;
    for (const YamlNode::Pointer& item : reader_.list(node, name)) {
      parts.push_back(reader_.text(*item, name));
    }
    return join(parts, ",");
  }

  const NodeReader& reader_;
};

}  // namespace

void read_data_keys(const NodeReader& reader, const YamlNode& document, Recipe& recipe) {
  const DataReader data(reader);
  if (const YamlNode* node = NodeReader::present(document, "data")) data.data(*node, recipe);
  if (const YamlNode* node = NodeReader::present(document, "search")) data.search(*node, recipe);
  if (const YamlNode* node = NodeReader::present(document, "evaluate")) {
    data.evaluate(*node, recipe);
  }
}

RecipeData parse_data_words(std::string_view text, std::string_view where) {
  RecipeData data;
  std::set<std::string> seen;
  for (const std::string& word : split(text, ',')) {
    if (word.empty()) throw InputError("{} '{}': a word between commas is empty", where, text);
    const std::size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    const bool is_key = key == "name" || key == "split" ||
                        std::find(kWords.begin(), kWords.end(), key) != kWords.end();
    if (!is_key) {
      data.keys[kCorrupt] = joined(text_of(data.keys, kCorrupt), word);
      continue;
    }
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (value.empty()) throw InputError("{} '{}': '{}' has no value", where, text, key);
    if (!seen.insert(key).second) throw InputError("{} '{}': '{}' comes twice", where, text, key);
    if (key == "name") {
      data.name = value;
    } else if (key == "split") {
      data.split = value;
    } else if (key == "first" || key == "examples" || key == "context") {
      data.keys[key] = yaml_as_json({.kind = YamlNode::Kind::scalar, .text = value, .plain = true});
    } else {
      data.keys[key] = value;
    }
  }
  if (!data.split.empty() && !is_split(data.split)) {
    throw InputError("{} '{}': 'split' is '{}'; expected train, validation or test", where, text,
                     data.split);
  }
  return data;
}

std::string data_words(const RecipeData& data) {
  std::vector<std::string> words;
  if (!data.name.empty()) words.push_back("name=" + data.name);
  if (!data.split.empty()) words.push_back("split=" + data.split);
  for (const auto& [key, value] : data.keys.items()) {
    const std::string shown = value.is_string() ? value.get<std::string>() : value.dump();
    words.push_back(key == kCorrupt ? shown : key + "=" + shown);
  }
  return join(words, ",");
}

RecipeData task_of(const RecipeData& data, const RecipeData& task) {
  RecipeData whole = task;
  if (whole.split.empty()) whole.split = data.split;
  for (const auto& [key, value] : data.keys.items()) {
    if (!whole.keys.contains(key)) whole.keys[key] = value;
  }
  const std::string corrupt = joined(text_of(data.keys, kCorrupt), text_of(task.keys, kCorrupt));
  if (!corrupt.empty()) whole.keys[kCorrupt] = corrupt;
  return whole;
}

}  // namespace amalgam
