#include "amalgam/weights/yaml.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <sstream>

#include "amalgam/core/error.hpp"
#include "amalgam/core/parameters.hpp"

namespace amalgam {
namespace {

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\n' && c != '\t' && c != '\r') || byte == 0x7F;
}

bool is_null_word(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

// Builds the tree of one document from the parser's events.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view label, const YamlLimits& limits) : label_(label), limits_(limits) {}

  YamlNode::Pointer take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(YamlNode::Kind::null, mark), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      fail(mark.line + 1, "an alias that stands inside the value it stands for");
    }
    place(found->second, mark.line + 1);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(mark, tag);
    if (std::any_of(value.begin(), value.end(), is_control)) {
      fail(mark.line + 1, "a text with a control character");
    }
    const bool plain = tag == "?";
    auto node =
        make(plain && is_null_word(value) ? YamlNode::Kind::null : YamlNode::Kind::scalar, mark);
    node->text = value;
    node->plain = plain;
    add(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor = 0;
    std::optional<std::string> key;         // read, its value not yet
    std::vector<YamlNode::Pointer> merged;  // values of `<<`
  };

  [[noreturn]] void fail(int line, std::string_view what) const {
    throw InputError("{}:{}: not a recipe: {}", label_, line, what);
  }

  // "?" is the tag of an unquoted scalar, "!" that of a quoted one.
  void check_tag(const YAML::Mark& mark, const std::string& tag) const {
    static constexpr std::array<std::string_view, 6> kKnown = {
        "", "?", "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"};
    if (std::find(kKnown.begin(), kKnown.end(), tag) == kKnown.end()) {
      fail(mark.line + 1, "a YAML tag other than !!str, !!seq and !!map");
    }
  }

  static std::shared_ptr<YamlNode> make(YamlNode::Kind kind, const YAML::Mark& mark) {
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    node->line = mark.line + 1;
    return node;
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    check_tag(mark, tag);
    if (open_.size() >= limits_.depth) {
      throw InputError("{}:{}: nested deeper than {} levels", label_, mark.line + 1, limits_.depth);
    }
    open_.push_back({.node = make(kind, mark), .anchor = anchor, .key = {}, .merged = {}});
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    for (const YamlNode::Pointer& merged : done.merged) merge_entries(*done.node, merged);
    add(std::move(done.node), done.anchor);
  }

  void add(std::shared_ptr<const YamlNode> node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = node;
    const int line = node->line;
    place(std::move(node), line);
  }

  void place(YamlNode::Pointer node, int line) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node->kind == YamlNode::Kind::sequence) {
      grow(*parent.node, *node, line);
      parent.node->items.push_back(std::move(node));
    } else if (!parent.key) {
      parent.key = read_key(*parent.node, *node, line);
    } else if (*parent.key == "<<") {
      parent.merged.push_back(std::move(node));
      parent.key.reset();
    } else {
      grow(*parent.node, *node, line);
      parent.node->entries.emplace_back(std::move(*parent.key), std::move(node));
      parent.key.reset();
    }
  }

  void grow(YamlNode& parent, const YamlNode& child, int line) const {
    parent.size += child.size;
    parent.depth = std::max(parent.depth, child.depth + 1);
    if (parent.size > limits_.nodes) {
      throw InputError("{}:{}: more than {} values (aliases count as often as they are used)",
                       label_, line, limits_.nodes);
    }
    if (parent.depth + open_.size() > limits_.depth + 2) {
      throw InputError("{}:{}: nested deeper than {} levels", label_, line, limits_.depth);
    }
  }

  std::string read_key(const YamlNode& map, const YamlNode& key, int line) const {
    if (key.kind != YamlNode::Kind::scalar || key.text.find('\n') != std::string::npos) {
      fail(line, "a key that is not a word");
    }
    if (key.text.size() > limits_.key_length) {
      throw InputError("{}:{}: a key is longer than {} bytes", label_, line, limits_.key_length);
    }
    if (map.find(key.text) != nullptr) {
      throw InputError("{}:{}: the key '{}' appears twice", label_, line, key.text);
    }
    return key.text;
  }

  // `<<: *defaults` or `<<: [*a, *b]`: entries that the map does not have itself, earlier ones
  // first.
  void merge_entries(YamlNode& map, const YamlNode::Pointer& merged) const {
    if (merged->kind == YamlNode::Kind::sequence) {
      for (const YamlNode::Pointer& item : merged->items) {
        if (item->kind != YamlNode::Kind::map)
          fail(map.line, "'<<' that merges something other than a map");
        merge_entries(map, item);
      }
      return;
    }
    if (merged->kind != YamlNode::Kind::map)
      fail(map.line, "'<<' that merges something other than a map");
    for (const auto& [key, value] : merged->entries) {
      if (map.find(key) != nullptr) continue;
      grow(map, *value, map.line);
      map.entries.emplace_back(key, value);
    }
  }

  const std::string_view label_;
  const YamlLimits& limits_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlNode::Pointer> anchors_;
  YamlNode::Pointer root_;
};

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const auto& entry) { return entry.first == key; });
  return found == entries.end() ? nullptr : found->second.get();
}

std::vector<YamlNode::Pointer> parse_yaml(std::string_view text, std::string_view label,
                                          const YamlLimits& limits) {
  if (text.size() > limits.bytes) {
    throw InputError("{}: {} bytes is too long for a recipe; expected at most {}", label,
                     text.size(), limits.bytes);
  }
  std::istringstream stream{std::string(text)};
  std::vector<YamlNode::Pointer> documents;
  try {
    YAML::Parser parser(stream);
    while (true) {
      TreeBuilder builder(label, limits);
      if (!parser.HandleNextDocument(builder)) return documents;
      if (documents.size() == limits.documents) {
        throw InputError("{}: more than {} documents", label, limits.documents);
      }
      YamlNode::Pointer root = builder.take();
      if (root) documents.push_back(std::move(root));
    }
  } catch (const YAML::Exception& error) {
    throw InputError("{}:{}: not valid YAML: {}", label, error.mark.line + 1, error.msg);
  }
}

nlohmann::json yaml_as_json(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::sequence) {
    nlohmann::json list = nlohmann::json::array();
    for (const YamlNode::Pointer& item : node.items) list.push_back(yaml_as_json(*item));
    return list;
  }
  if (node.kind == YamlNode::Kind::map) {
    nlohmann::json map = nlohmann::json::object();
    for (const auto& [key, value] : node.entries) map[key] = yaml_as_json(*value);
    return map;
  }
  if (node.kind == YamlNode::Kind::null) return nullptr;
  if (!node.plain) return node.text;
  const ParameterValue value = parse_parameter_value(node.text);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  const auto* number = std::get_if<double>(&value);
  if (number == nullptr) return std::get<std::string>(value);
  // Up to here every whole number is a double.
  constexpr double kExact = 1ULL << 53;
  if (std::trunc(*number) != *number || std::abs(*number) > kExact) return *number;
  if (*number < 0) return static_cast<std::int64_t>(*number);
  return static_cast<std::uint64_t>(*number);
}

std::string yaml_text(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_bare = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') ||
           std::string_view("_./-+").find(c) != std::string_view::npos;
  };
  if (!is_null_word(text) && (is_letter(text.front()) || text.front() == '/') &&
      std::all_of(text.begin(), text.end(), is_bare) &&
      std::holds_alternative<std::string>(parse_parameter_value(text))) {
    return std::string(text);
  }
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (is_control(c) || c == '\t' || c == '\r') {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

}  // namespace amalgam
