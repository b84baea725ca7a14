#include "cli/parameter_text.hpp"

#include <fmt/format.h>

#include <cmath>

namespace amalgam::cli {
namespace {

std::string value_text(const ParameterValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const double* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  return std::get<std::string>(value);
}

std::string_view kind_text(ParameterInfo::Kind kind) {
  switch (kind) {
    case ParameterInfo::Kind::number:
      return "number";
    case ParameterInfo::Kind::integer:
      return "integer";
    case ParameterInfo::Kind::flag:
      return "flag";
    case ParameterInfo::Kind::choice:
      return "choice";
    case ParameterInfo::Kind::text:
      return "text";
    case ParameterInfo::Kind::path:
      break;
  }
  return "path";
}

Json json_value(const ParameterValue& value) {
  return std::visit([](const auto& held) { return Json(held); }, value);
}

}  // namespace

std::string range_text(const ParameterInfo& parameter) {
  switch (parameter.kind) {
    case ParameterInfo::Kind::flag:
      return "true or false";
    case ParameterInfo::Kind::path:
      return "a checkpoint";
    case ParameterInfo::Kind::text:
      return "a text";
    case ParameterInfo::Kind::choice:
      return fmt::format("{}", fmt::join(parameter.choices, ", "));
    case ParameterInfo::Kind::number:
    case ParameterInfo::Kind::integer:
      break;
  }
  if (std::isinf(parameter.low) && std::isinf(parameter.high)) return "a number";
  if (std::isinf(parameter.high)) {
    return fmt::format("{} {}", parameter.low_open ? ">" : ">=", parameter.low);
  }
  return fmt::format("{}{}, {}{}", parameter.low_open || std::isinf(parameter.low) ? "(" : "[",
                     parameter.low, parameter.high, parameter.high_open ? ")" : "]");
}

std::string default_text(const ParameterInfo& parameter) {
  if (parameter.default_value) return value_text(*parameter.default_value);
  if (!parameter.optional) return "required";
  return parameter.default_text.empty() ? "none" : parameter.default_text;
}

Json parameter_json(const ParameterInfo& parameter) {
  Json entry = {{"name", parameter.name},
                {"kind", kind_text(parameter.kind)},
                {"per_member", parameter.per_member},
                {"required", !parameter.default_value && !parameter.optional},
                {"default", nullptr},
                {"range", range_text(parameter)},
                {"doc", parameter.doc}};
  if (parameter.default_value) entry["default"] = json_value(*parameter.default_value);
  if (!parameter.default_text.empty()) entry["default_text"] = parameter.default_text;
  return entry;
}

Json parameters_json(std::span<const ParameterInfo> parameters) {
  Json array = Json::array();
  for (const ParameterInfo& parameter : parameters) array.push_back(parameter_json(parameter));
  return array;
}

std::string parameter_names(std::span<const ParameterInfo> parameters) {
  std::vector<std::string> names;
  for (const ParameterInfo& parameter : parameters) {
    names.push_back(parameter.default_value || !parameter.default_text.empty()
                        ? fmt::format("{} ({})", parameter.name, default_text(parameter))
                        : parameter.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string parameter_table(std::span<const ParameterInfo> parameters) {
  if (parameters.empty()) return "";
  Table table({{"parameter"}, {"default"}, {"range"}, {"meaning"}});
  for (const ParameterInfo& parameter : parameters) {
    table.add_row({parameter.name, default_text(parameter), range_text(parameter), parameter.doc});
  }
  return "\n" + table.text();
}

}  // namespace amalgam::cli
