#pragma once

#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace amalgam {

/// The value of a method's parameter (of a merge rule: for one tensor, after filters and layer
/// gradients are resolved).
using ParameterValue = std::variant<bool, double, std::string>;

/// Parameters by name. Values have been checked against ParameterInfo and defaults filled in, so
/// the accessors below only fail on a programming error.
class Parameters {
 public:
  void set(std::string name, ParameterValue value) { values_[std::move(name)] = std::move(value); }
  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  double number(std::string_view name) const;
  bool flag(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  const std::map<std::string, ParameterValue, std::less<>>& all() const { return values_; }

 private:
  std::map<std::string, ParameterValue, std::less<>> values_;
};

/// What a method says of one of its parameters: enough to check a recipe or a command line, print
/// help and fill defaults.
struct ParameterInfo {
  enum class Kind {
    number,   ///< double in the stated range
    integer,  ///< whole number in the stated range (held as double)
    flag,     ///< true or false
    choice,   ///< one of `choices` (flags accepted as "true"/"false" where those are choices)
    path,     ///< a checkpoint with a tensor for each merged one (e.g. a Fisher file)
    text,     ///< any text: the method itself says what it may be
  };

  std::string name;
  Kind kind = Kind::number;
  std::string doc;  ///< one sentence, with the unit and the source if it is not the rule's own
  std::optional<ParameterValue> default_value;  ///< none: required, unless `optional`
  bool optional = false;                        ///< may be absent (Parameters::has tells)
  /// For people: what being absent means, where that depends on other parameters ("tensor (paper:
  /// model)"); empty: it means that nothing is done.
  std::string default_text;
  bool per_member = false;  ///< one value per member instead of one per merge
  bool by_group = false;    ///< of methods that look at data: filters choose among groups of units
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false;   ///< `low` itself is excluded
  bool high_open = false;  ///< `high` itself is excluded
  std::vector<std::string> choices;
};

/// What is expected of a parameter, for errors: "a number in [0, 1]", "one of a, b".
std::string expected_value(const ParameterInfo& info);

/// A value for errors: texts are quoted.
std::string shown_value(const ParameterValue& value);

/// The value in the kind that `info`'s accessor expects; nothing if it is not one, or not in range.
std::optional<ParameterValue> converted_value(const ParameterInfo& info,
                                              const ParameterValue& value);

/// What a bare word means: true/false (yes, no, on, off), a finite number, or text.
ParameterValue parse_parameter_value(std::string_view text);

/// The parameters of `method` from "name=value" texts, checked, defaults filled in. InputError
/// naming the text: not of that form, an unknown name (with the nearest), one that was given
/// before, a value out of range, or a required parameter that is missing.
Parameters parameters_from_arguments(std::string_view method, std::span<const ParameterInfo> infos,
                                     std::span<const std::string> arguments);

}  // namespace amalgam
