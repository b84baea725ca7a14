#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/recipe.hpp"
#include "amalgam/weights/yaml.hpp"

namespace amalgam {

/// Reads nodes of a recipe; every error begins with "label:line: ".
class NodeReader {
 public:
  /// `label` outlives the reader.
  explicit NodeReader(std::string_view label) : label_(label) {}

  std::string_view label() const { return label_; }

  [[noreturn]] void fail(const YamlNode& node, std::string_view what) const {
    throw InputError("{}:{}: {}", label_, node.line, what);
  }
  std::string where(const YamlNode& node) const { return fmt::format("{}:{}", label_, node.line); }

  void expect(const YamlNode& node, YamlNode::Kind kind, std::string_view what) const {
    if (node.kind != kind) {
      fail(node, fmt::format("{} is {}; expected {}", what, kind_name(node.kind), kind_name(kind)));
    }
  }
  void expect_map(const YamlNode& node, std::string_view what) const {
    expect(node, YamlNode::Kind::map, what);
  }

  void check_keys(const YamlNode& node, std::string_view what,
                  std::initializer_list<const char*> known) const {
    const std::vector<std::string> names(known.begin(), known.end());
    for (const auto& [key, value] : node.entries) {
      if (std::find(names.begin(), names.end(), key) == names.end()) {
        fail(*value, fmt::format("{} has no key '{}'{}", what, key, did_you_mean(key, names)));
      }
    }
  }

  // The value of a key that may be missing or null.
  static const YamlNode* present(const YamlNode& node, std::string_view key) {
    const YamlNode* value = node.find(key);
    return value != nullptr && value->kind != YamlNode::Kind::null ? value : nullptr;
  }

  std::string text(const YamlNode& node, std::string_view what) const {
    expect(node, YamlNode::Kind::scalar, fmt::format("'{}'", what));
    if (node.text.empty()) fail(node, fmt::format("'{}' is empty", what));
    return node.text;
  }

  // The items of a list that must not be empty.
  const std::vector<YamlNode::Pointer>& list(const YamlNode& node, std::string_view what) const {
    expect(node, YamlNode::Kind::sequence, fmt::format("'{}'", what));
    if (node.items.empty()) fail(node, fmt::format("'{}' is empty", what));
    return node.items;
  }

  ParameterValue scalar(const YamlNode& node, std::string_view what) const {
    expect(node, YamlNode::Kind::scalar, fmt::format("'{}'", what));
    return node.plain ? parse_parameter_value(node.text) : ParameterValue(node.text);
  }

 private:
  static std::string_view kind_name(YamlNode::Kind kind) {
    switch (kind) {
      case YamlNode::Kind::null:
        return "nothing";
      case YamlNode::Kind::scalar:
        return "a single value";
      case YamlNode::Kind::sequence:
        return "a list";
      case YamlNode::Kind::map:
        return "a map";
    }
    return "";
  }

  std::string_view label_;
};

/// Reads the keys `tokenizer_source`, `tokenizer` and `chat_template` of a document, whose models
/// have been read, into `recipe`.
void read_tokenizer_keys(const NodeReader& reader, const YamlNode& document, Recipe& recipe);

/// Reads the keys `data`, `search` and `evaluate` of a document into `recipe`.
void read_data_keys(const NodeReader& reader, const YamlNode& document, Recipe& recipe);

}  // namespace amalgam
