#include "amalgam/core/parameters.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

template <class T>
const T& get(const std::map<std::string, ParameterValue, std::less<>>& values,
             std::string_view name) {
  const auto found = values.find(name);
  if (found == values.end()) throw Error("parameter '{}' is not set", name);
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) throw Error("parameter '{}' has another kind", name);
  return *value;
}

bool is_word(std::string_view text, std::string_view word) {
  return text.size() == word.size() &&
         std::equal(text.begin(), text.end(), word.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

std::optional<double> number_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::string_view digits = text;
  if (digits.starts_with('-')) digits.remove_prefix(1);
  if (digits.starts_with('.')) digits.remove_prefix(1);
  if (digits.empty() || digits.front() < '0' || digits.front() > '9') return std::nullopt;
  double value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc{} || end != last) return std::nullopt;
  return value;
}

bool in_range(const ParameterInfo& info, double value) {
  return std::isfinite(value) && (info.low_open ? value > info.low : value >= info.low) &&
         (info.high_open ? value < info.high : value <= info.high);
}

}  // namespace

double Parameters::number(std::string_view name) const { return get<double>(values_, name); }
bool Parameters::flag(std::string_view name) const { return get<bool>(values_, name); }
const std::string& Parameters::text(std::string_view name) const {
  return get<std::string>(values_, name);
}

std::string shown_value(const ParameterValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const double* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  return "'" + std::get<std::string>(value) + "'";
}

std::string expected_value(const ParameterInfo& info) {
  switch (info.kind) {
    case ParameterInfo::Kind::flag:
      return "true or false";
    case ParameterInfo::Kind::path:
      return "the path of a checkpoint";
    case ParameterInfo::Kind::text:
      return "a text";
    case ParameterInfo::Kind::choice:
      return "one of " + join(info.choices, ", ");
    case ParameterInfo::Kind::number:
    case ParameterInfo::Kind::integer:
      break;
  }
  std::string text = info.kind == ParameterInfo::Kind::integer ? "a whole number" : "a number";
  const bool above = std::isfinite(info.low);
  const bool below = std::isfinite(info.high);
  if (above && below) {
    text += fmt::format(" in {}{}, {}{}", info.low_open ? '(' : '[', info.low, info.high,
                        info.high_open ? ')' : ']');
  } else if (above) {
    text += fmt::format(" {} {}", info.low_open ? "above" : "of at least", info.low);
  } else if (below) {
    text += fmt::format(" {} {}", info.high_open ? "below" : "of at most", info.high);
  }
  return text;
}

std::optional<ParameterValue> converted_value(const ParameterInfo& info,
                                              const ParameterValue& value) {
  switch (info.kind) {
    case ParameterInfo::Kind::flag:
      if (std::holds_alternative<bool>(value)) return value;
      break;
    case ParameterInfo::Kind::path:
    case ParameterInfo::Kind::text:
      if (std::holds_alternative<std::string>(value)) return value;
      break;
    case ParameterInfo::Kind::choice: {
      const bool* flag = std::get_if<bool>(&value);
      std::string word = flag == nullptr ? std::string() : (*flag ? "true" : "false");
      if (const auto* text = std::get_if<std::string>(&value)) word = *text;
      if (std::find(info.choices.begin(), info.choices.end(), word) != info.choices.end()) {
        return word;
      }
      break;
    }
    case ParameterInfo::Kind::number:
    case ParameterInfo::Kind::integer:
      if (const double* number = std::get_if<double>(&value);
          number != nullptr && in_range(info, *number) &&
          (info.kind == ParameterInfo::Kind::number || std::floor(*number) == *number)) {
        return value;
      }
      break;
  }
  return std::nullopt;
}

ParameterValue parse_parameter_value(std::string_view text) {
  for (const std::string_view word : {"true", "yes", "on"}) {
    if (is_word(text, word)) return true;
  }
  for (const std::string_view word : {"false", "no", "off"}) {
    if (is_word(text, word)) return false;
  }
  if (const auto number = number_of(text)) return *number;
  return std::string(text);
}

Parameters parameters_from_arguments(std::string_view method, std::span<const ParameterInfo> infos,
                                     std::span<const std::string> arguments) {
  std::vector<std::string> names;
  for (const ParameterInfo& info : infos) names.push_back(info.name);
  Parameters parameters;
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw InputError("-p {}: expected name=value", argument);
    }
    const std::string name = argument.substr(0, equals);
    const auto info = std::ranges::find(infos, name, &ParameterInfo::name);
    if (info == infos.end()) {
      throw InputError("-p {}: method '{}' has no parameter '{}'{}; it has {}", argument, method,
                       name, did_you_mean(name, names), names.empty() ? "none" : join(names, ", "));
    }
    if (parameters.has(name)) {
      throw InputError("-p {}: the same parameter was given before", argument);
    }
    const std::string text = argument.substr(equals + 1);
    const bool is_text =
        info->kind == ParameterInfo::Kind::path || info->kind == ParameterInfo::Kind::text;
    const ParameterValue given = is_text ? ParameterValue(text) : parse_parameter_value(text);
    std::optional<ParameterValue> value = converted_value(*info, given);
    if (!value) {
      throw InputError("-p {}: parameter '{}' of method '{}' is {}; expected {}", argument, name,
                       method, shown_value(given), expected_value(*info));
    }
    parameters.set(name, *std::move(value));
  }
  for (const ParameterInfo& info : infos) {
    if (parameters.has(info.name)) continue;
    if (info.default_value) {
      parameters.set(info.name, *info.default_value);
    } else if (!info.optional) {
      throw InputError("method '{}' needs -p {}=VALUE; expected {}", method, info.name,
                       expected_value(info));
    }
  }
  return parameters;
}

}  // namespace amalgam
