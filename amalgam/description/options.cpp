#include "amalgam/description/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam::learning {

Options::Options(nlohmann::json object, std::string where, std::string prefix)
    : object_(std::move(object)), where_(std::move(where)), prefix_(std::move(prefix)) {
  if (object_.is_null()) object_ = nlohmann::json::object();
  if (!object_.is_object()) {
    const std::string place =
        prefix_.empty() ? "the document" : prefix_.substr(0, prefix_.size() - 1);
    throw InputError("{}: {} is {}; expected keys with values", where_, place, object_.dump());
  }
}

void Options::refuse(const std::string& key, std::string_view expected) const {
  const auto found = object_.find(key);
  throw InputError("{}: {}{} is {}; expected {}", where_, prefix_, key,
                   found == object_.end() ? "missing" : found->dump(), expected);
}

const nlohmann::json* Options::find(const std::string& key) {
  known_.insert(key);
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Options::has(const std::string& key) { return find(key) != nullptr; }

double Options::number(const std::string& key, double fallback, double low, double high) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  const double result = value->is_number() ? value->get<double>() : std::nan("");
  const bool is_inside = result >= low && result <= high;
  if (!is_inside) refuse(key, fmt::format("a number from {} to {}", low, high));
  return result;
}

std::uint64_t Options::count(const std::string& key, std::uint64_t fallback, std::uint64_t low,
                             std::uint64_t high) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  const bool whole = value->is_number_unsigned() ||
                     (value->is_number_integer() && value->get<std::int64_t>() >= 0);
  if (!whole || value->get<std::uint64_t>() < low || value->get<std::uint64_t>() > high) {
    refuse(key, fmt::format("a whole number from {} to {}", low, high));
  }
  return value->get<std::uint64_t>();
}

bool Options::flag(const std::string& key, bool fallback) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) refuse(key, "true or false");
  return value->get<bool>();
}

std::string Options::text(const std::string& key, const std::string& fallback) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string() || value->get_ref<const std::string&>().empty()) refuse(key, "a text");
  return value->get<std::string>();
}

std::string Options::choice(const std::string& key, const std::string& fallback,
                            const std::vector<std::string>& choices) {
  std::string value = text(key, fallback);
  if (std::ranges::find(choices, value) != choices.end()) return value;
  refuse(key, "one of " + join(choices, ", ") + did_you_mean(value, choices));
}

std::vector<std::int64_t> Options::counts(const std::string& key,
                                          std::vector<std::int64_t> fallback, std::int64_t low,
                                          std::int64_t high, std::size_t most) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  const auto fits = [&](const nlohmann::json& one) {
    return one.is_number_integer() && one.get<std::int64_t>() >= low &&
           one.get<std::int64_t>() <= high;
  };
  const bool good =
      value->is_array() && value->size() <= most && std::all_of(value->begin(), value->end(), fits);
  if (!good) {
    refuse(key, fmt::format("a list of at most {} whole numbers from {} to {}", most, low, high));
  }
  return value->get<std::vector<std::int64_t>>();
}

std::vector<double> Options::numbers(const std::string& key, std::vector<double> fallback,
                                     std::size_t most) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  const bool good =
      value->is_array() && value->size() <= most &&
      std::all_of(value->begin(), value->end(), [](const auto& one) { return one.is_number(); });
  if (!good) refuse(key, fmt::format("a list of at most {} numbers", most));
  return value->get<std::vector<double>>();
}

std::vector<std::string> Options::texts(const std::string& key, std::size_t most) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  const bool good =
      value->is_array() && value->size() <= most &&
      std::all_of(value->begin(), value->end(), [](const auto& one) { return one.is_string(); });
  if (!good) refuse(key, fmt::format("a list of at most {} texts", most));
  return value->get<std::vector<std::string>>();
}

std::vector<std::string> Options::names(const std::string& key, std::size_t most) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  const auto fits = [](const auto& one) { return one.is_string() || one.is_number_unsigned(); };
  if (!value->is_array() || value->size() > most ||
      !std::all_of(value->begin(), value->end(), fits)) {
    refuse(key, fmt::format("a list of at most {} names or numbers from 0", most));
  }
  std::vector<std::string> names;
  for (const nlohmann::json& one : *value) {
    names.push_back(one.is_string() ? one.get<std::string>() : one.dump());
  }
  return names;
}

Options Options::section(const std::string& key) {
  const nlohmann::json* value = find(key);
  return {value == nullptr ? nlohmann::json::object() : *value, where_, prefix_ + key + "."};
}

void Options::finish() const {
  const std::vector<std::string> names(known_.begin(), known_.end());
  for (const auto& [key, value] : object_.items()) {
    if (known_.contains(key)) continue;
    throw InputError("{}: unknown key '{}{}'{}; known here are {}", where_, prefix_, key,
                     did_you_mean(key, names), join(names, ", "));
  }
}

}  // namespace amalgam::learning
