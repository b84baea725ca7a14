#pragma once

#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace amalgam {

/// What a YAML text from outside may hold at most.
struct YamlLimits {
  std::size_t bytes = 1'000'000;
  std::size_t documents = 64;
  std::size_t depth = 24;        ///< sequences and maps inside each other
  std::size_t nodes = 200'000;   ///< per document, aliases counted as often as they are used
  std::size_t key_length = 256;  ///< bytes of one key
};

/// A YAML value: a tree in which aliases share their subtree.
struct YamlNode {
  enum class Kind { null, scalar, sequence, map };
  using Pointer = std::shared_ptr<const YamlNode>;

  Kind kind = Kind::null;
  int line = 0;  ///< where it starts, counted from 1
  /// Scalars: the text, and whether it was written without quotes (only then can it be a number or
  /// a flag).
  std::string text;
  bool plain = false;
  std::vector<Pointer> items;                            ///< of a sequence
  std::vector<std::pair<std::string, Pointer>> entries;  ///< of a map, keys unique
  std::size_t size = 1;                                  ///< nodes of the expanded subtree
  std::size_t depth = 1;                                 ///< levels of the expanded subtree

  /// The entry called `key`, or null.
  const YamlNode* find(std::string_view key) const;
};

/// Parses the documents of a YAML text that may be hostile. Anchors, aliases and `<<` merge keys
/// are resolved. InputError "label:line: ..." when it is malformed, exceeds a limit, a map has a
/// key twice or one that is not a plain word, or a text holds control characters.
std::vector<YamlNode::Pointer> parse_yaml(std::string_view text, std::string_view label,
                                          const YamlLimits& limits = {});

/// The node as JSON: unquoted scalars are flags and numbers (whole ones up to 2^53 as integers)
/// where they look like it.
nlohmann::json yaml_as_json(const YamlNode& node);

/// `text` as a YAML scalar that parse_yaml reads back as the same text (not as a number, flag or
/// null): bare where that is safe, in double quotes elsewhere.
std::string yaml_text(std::string_view text);

}  // namespace amalgam
