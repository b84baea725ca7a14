#include "amalgam/description/encoding.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/description/options.hpp"

namespace amalgam::learning {
namespace {

constexpr const char* kTable = "table";
constexpr const char* kText = "text";
constexpr double kLargest = 3e38;

bool in_increasing_order(const std::vector<std::string>& names) {
  return std::adjacent_find(names.begin(), names.end(),
                            [](const auto& a, const auto& b) { return a >= b; }) == names.end();
}

// `known`: what the sections of the kind consist of.
void check_kind(Options& options, const nlohmann::json& encoding, const char* kind,
                const std::string& where) {
  if (encoding.is_null()) {
    throw InputError("{}: the network was not trained on a {}, so it cannot say how to read one",
                     where, kind);
  }
  (void)options.choice("kind", "", {kind});
}

TableColumn parse_column(const nlohmann::json& json, const std::string& where, std::size_t index) {
  Options options(json, where, "input.encoding.columns[" + std::to_string(index) + "].");
  TableColumn column;
  column.name = options.text("name", "");
  if (column.name.empty()) options.refuse("name", "the name of a column");
  column.categories = options.texts("categories", kMostCategories);
  if (options.has("categories") &&
      (column.categories.empty() || !in_increasing_order(column.categories))) {
    options.refuse("categories", "texts in increasing order");
  }
  column.fill = options.number("fill", 0, -kLargest, kLargest);
  column.flags_missing = options.flag("flags", false);
  options.finish();
  return column;
}

}  // namespace

nlohmann::json to_json(const TableLayout& layout) {
  nlohmann::json json{{"kind", kTable}};
  if (!layout.label.empty()) json["label"] = layout.label;
  if (layout.target) {
    json["target"] = {{"mean", layout.target->mean}, {"deviation", layout.target->deviation}};
  }
  json["columns"] = nlohmann::json::array();
  for (const TableColumn& column : layout.columns) {
    nlohmann::json one{{"name", column.name}};
    if (column.is_number()) {
      one["fill"] = column.fill;
      one["flags"] = column.flags_missing;
    } else {
      one["categories"] = column.categories;
    }
    json["columns"].push_back(one);
  }
  return json;
}

nlohmann::json to_json(const TextTokens& tokens) {
  nlohmann::json json{{"kind", kText}, {"tokens", token_kind_name(tokens.kind)}};
  if (tokens.kind == TextTokens::Kind::character) json["characters"] = tokens.characters;
  return json;
}

TableLayout parse_table_layout(const nlohmann::json& encoding,
                               const std::vector<std::string>& class_names,
                               const std::string& where) {
  Options options(encoding, where, "input.encoding.");
  check_kind(options, encoding, kTable, where);
  TableLayout layout;
  layout.label = options.text("label", "");
  layout.class_names = class_names;
  if (options.has("target")) {
    constexpr double kSmallest = 1e-300;
    Options target = options.section("target");
    layout.target = {.mean = target.number("mean", 0, -kLargest, kLargest),
                     .deviation = target.number("deviation", 1, kSmallest, kLargest)};
    target.finish();
    if (class_names.size() != 1) {
      options.refuse("target", "nothing in a network with more than one output");
    }
  }
  const bool has_columns = options.has("columns") && encoding["columns"].is_array() &&
                           encoding["columns"].size() <= kWidestTable;
  if (!has_columns) options.refuse("columns", "a list of columns");
  options.finish();
  for (const nlohmann::json& column : encoding["columns"]) {
    layout.columns.push_back(parse_column(column, where, layout.columns.size()));
  }
  if (layout.columns.empty() || layout.width() > kWidestTable) {
    throw InputError("{}: input.encoding has {} numbers per example; expected 1 to {}", where,
                     layout.width(), kWidestTable);
  }
  return layout;
}

TextTokens parse_text_tokens(const nlohmann::json& encoding, const std::string& where) {
  constexpr std::size_t kMost = 100'000;
  Options options(encoding, where, "input.encoding.");
  check_kind(options, encoding, kText, where);
  TextTokens tokens;
  tokens.kind = parse_token_kind(options.text("tokens", ""));
  tokens.characters = options.texts("characters", kMost);
  options.finish();
  const bool characters = tokens.kind == TextTokens::Kind::character;
  if (tokens.characters.empty() == characters || !in_increasing_order(tokens.characters)) {
    options.refuse("characters", characters ? "the characters in increasing order" : "nothing");
  }
  return tokens;
}

}  // namespace amalgam::learning
