#include "amalgam/description/network_description.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/description/architecture_options.hpp"
#include "amalgam/description/options.hpp"

namespace amalgam::learning {
namespace {

constexpr std::size_t kMostHeads = 1000;
constexpr std::int64_t kLongestAxis = 4096;

void parse_input(Options input, NetworkDescription& description) {
  (void)input.has("encoding");  // known here, read where it is used
  description.input_shape = input.counts("shape", {}, 1, kLongestContext, 3);
  if (description.takes_tokens()) {
    input.finish();
    return;
  }
  if (description.input_shape.size() != 3) {
    input.refuse("shape", "[channels, rows, columns], or [longest context] of tokens");
  }
  if (std::ranges::any_of(description.input_shape, [](auto axis) { return axis > kLongestAxis; })) {
    input.refuse("shape", fmt::format("at most {} along an axis", kLongestAxis));
  }
  const auto channels = static_cast<std::size_t>(description.input_shape[0]);
  description.input_mean = input.numbers("mean", std::vector<double>(channels, 0.0), channels);
  description.input_deviation =
      input.numbers("deviation", std::vector<double>(channels, 1.0), channels);
  if (description.input_mean.size() != channels) input.refuse("mean", "one number per channel");
  for (const double deviation : description.input_deviation) {
    if (!(deviation > 0)) input.refuse("deviation", "positive numbers");
  }
  if (description.input_deviation.size() != channels) {
    input.refuse("deviation", "one number per channel");
  }
  input.finish();
}

std::vector<std::string> numerals(std::size_t count) {
  std::vector<std::string> names;
  names.reserve(count);
  for (std::size_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

// The names under `classes` of a network or of a head, or how many there are.
std::vector<std::string> parse_classes(Options& options, const nlohmann::json& json) {
  constexpr const char* kKey = "classes";
  const auto found = json.find(kKey);
  std::vector<std::string> names;
  if (found != json.end() && found->is_number()) {
    names = numerals(options.count(kKey, 0, 1, kMostClasses));
  } else {
    names = options.texts(kKey, kMostClasses);
  }
  if (names.empty()) options.refuse(kKey, "the names of the classes, or how many there are");
  return names;
}

bool is_head_name(const std::string& name) {
  constexpr std::size_t kLongest = 100;
  return !name.empty() && name.size() <= kLongest && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

void parse_heads(const nlohmann::json& list, const std::string& where,
                 NetworkDescription& description) {
  if (!list.is_array() || list.empty() || list.size() > kMostHeads) {
    throw InputError("{}: heads is {}; expected a list of 1 to {} heads", where, list.dump(),
                     kMostHeads);
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    Options options(list[i], where, fmt::format("heads[{}].", i));
    const std::string name = options.text("name", "");
    if (!is_head_name(name)) options.refuse("name", "letters, digits, '-' and '_'");
    if (std::ranges::find(description.heads, name, &Head::name) != description.heads.end()) {
      options.refuse("name", "another name than those of the other heads");
    }
    const std::vector<std::string> classes = parse_classes(options, list[i]);
    options.finish();
    description.heads.push_back(
        {name, description.classes(), static_cast<std::int64_t>(classes.size())});
    description.class_names.insert(description.class_names.end(), classes.begin(), classes.end());
    if (description.class_names.size() > kMostClasses) {
      throw InputError("{}: the heads have more than {} classes", where, kMostClasses);
    }
  }
}

nlohmann::json classes_to_json(const std::vector<std::string>& names) {
  if (names == numerals(names.size())) return names.size();
  return names;
}

}  // namespace

Head NetworkDescription::head(const std::string& name, const std::string& where) const {
  if (name.empty()) return {.name = "", .first = 0, .classes = classes()};
  if (const auto found = std::ranges::find(heads, name, &Head::name); found != heads.end()) {
    return *found;
  }
  std::vector<std::string> names;
  for (const Head& head : heads) names.push_back(head.name);
  if (names.empty()) throw InputError("{}: no head '{}': the network has one output", where, name);
  throw InputError("{}: no head '{}'{}; the network has {}", where, name, did_you_mean(name, names),
                   join(names, ", "));
}

NetworkDescription parse_network_description(const nlohmann::json& json, const std::string& where) {
  Options options(json, where);
  NetworkDescription description;
  description.architecture = options.choice("architecture", "", network_architectures());
  parse_input(options.section("input"), description);
  description.input_encoding = json["input"].value("encoding", nlohmann::json());
  if (const auto heads = json.find("heads"); heads == json.end()) {
    description.class_names = parse_classes(options, json);
  } else {
    if (json.contains("classes")) options.refuse("classes", "nothing: each head has its own");
    parse_heads(*heads, where, description);
  }
  description.options = json;
  for (const char* key : {"architecture", "input", "classes", "heads"}) {
    description.options.erase(key);
  }
  return description;
}

nlohmann::json to_json(const NetworkDescription& description) {
  nlohmann::json json = description.options;
  json["architecture"] = description.architecture;
  json["input"] = {{"shape", description.input_shape}};
  if (!description.input_encoding.is_null()) {
    json["input"]["encoding"] = description.input_encoding;
  }
  if (!description.takes_tokens()) {
    json["input"]["mean"] = description.input_mean;
    json["input"]["deviation"] = description.input_deviation;
  }
  if (description.heads.empty()) {
    json["classes"] = classes_to_json(description.class_names);
    return json;
  }
  json["heads"] = nlohmann::json::array();
  for (const Head& head : description.heads) {
    const auto first = description.class_names.begin() + head.first;
    json["heads"].push_back(
        {{"name", head.name}, {"classes", classes_to_json({first, first + head.classes})}});
  }
  return json;
}

}  // namespace amalgam::learning
