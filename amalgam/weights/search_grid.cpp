#include "amalgam/weights/search_grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/recipe_arguments.hpp"
#include "amalgam/weights/yaml.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kMostPoints = 10'000;
constexpr std::size_t kShares = 51;

double number_of(const std::string& text, const std::string& whole, std::string_view where) {
  const ParameterValue value = parse_parameter_value(text);
  const double* number = std::get_if<double>(&value);
  if (number == nullptr) throw InputError("{}: '{}' of '{}' is no number", where, text, whole);
  return *number;
}

std::vector<std::string> range_of(const std::string& text, std::string_view where) {
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() != 3) {
    throw InputError("{}: '{}' is no range; expected first:last:step, such as 0:1:0.05", where,
                     text);
  }
  const double first = number_of(parts[0], text, where);
  const double last = number_of(parts[1], text, where);
  const double step = number_of(parts[2], text, where);
  if (!(step > 0) || !(last >= first)) {
    throw InputError("{}: '{}' is empty; expected first <= last and a step above 0", where, text);
  }
  const double steps = std::floor((last - first) / step * (1 + 1e-12) + 1e-9);
  if (!(steps < static_cast<double>(kMostPoints))) {
    throw InputError("{}: '{}' has more than {} values", where, text, kMostPoints);
  }
  std::vector<std::string> values;
  // Twelve digits: 0.15, not the 0.15000000000000002 that 3 times 0.05 is.
  for (double i = 0; i <= steps; ++i) values.push_back(fmt::format("{:.12g}", first + i * step));
  return values;
}

std::vector<std::string> shares_of(std::size_t members, std::size_t count, std::uint64_t seed) {
  std::vector<std::string> values;
  for (std::size_t n = 0; n < count; ++n) {
    if (members == 2) {
      const double share = static_cast<double>(n) / static_cast<double>(count - 1);
      values.push_back(fmt::format("{:.12g},{:.12g}", share, 1 - share));
      continue;
    }
    // Dirichlet(1, ..., 1): exponential draws over their sum.
    RandomStream random(seed, fmt::format("search shares {}", n));
    std::vector<double> draws(members);
    double sum = 0;
    for (double& draw : draws) sum += draw = -std::log1p(-random.uniform());
    std::vector<std::string> parts;
    for (const double draw : draws) parts.push_back(fmt::format("{:.6g}", draw / sum));
    values.push_back(join(parts, ","));
  }
  return values;
}

const ParameterInfo& find_parameter(const RuleInfo& rule, const std::string& name,
                                    std::string_view where) {
  std::vector<std::string> names;
  for (const ParameterInfo& info : rule.parameters) {
    if (info.name == name) return info;
    names.push_back(info.name);
  }
  throw InputError("{}: method '{}' has no parameter '{}'{}; it has {}", where, rule.name, name,
                   did_you_mean(name, names), names.empty() ? "none" : join(names, ", "));
}

void forget(ParameterSettings& settings, const std::string& name) { settings.erase(name); }

void forget(std::vector<RecipeSource>& sources, const std::string& name) {
  for (RecipeSource& source : sources) forget(source.parameters, name);
}

void forget(std::vector<RecipeSlice>& slices, const std::string& name) {
  for (RecipeSlice& slice : slices) {
    forget(slice.parameters, name);
    forget(slice.sources, name);
  }
}

// Removes what the recipe says of a parameter, on every level.
void forget(Recipe& recipe, const std::string& name) {
  forget(recipe.parameters, name);
  forget(recipe.models, name);
  forget(recipe.slices, name);
  for (RecipeModule& module : recipe.modules) {
    forget(module.parameters, name);
    forget(module.models, name);
    forget(module.slices, name);
  }
}

}  // namespace

SearchAxis parse_search_axis(const RecipeSearch& search, const RuleInfo& rule, std::size_t members,
                             std::uint64_t seed, std::string_view where) {
  const ParameterInfo& info = find_parameter(rule, search.parameter, where);
  const std::string& text = search.values;
  SearchAxis axis{search.parameter, {}};
  if (text == "shares" || text.starts_with("shares:")) {
    if (!info.per_member || members < 2) {
      throw InputError("{}: shares of '{}' need {}", where, search.parameter,
                       info.per_member ? "at least two members" : "a parameter of each member");
    }
    double count = static_cast<double>(kShares);
    if (text != "shares") count = number_of(text.substr(7), text, where);
    if (!(count >= 2 && count <= static_cast<double>(kMostPoints)) || std::floor(count) != count) {
      throw InputError("{}: '{}'; expected 2 to {} shares", where, text, kMostPoints);
    }
    axis.values = shares_of(members, static_cast<std::size_t>(count), seed);
  } else if (text.find(':') != std::string::npos) {
    axis.values = range_of(text, where);
  } else {
    axis.values = split(text, ',');
    if (axis.values.size() > kMostPoints) {
      throw InputError("{}: {} values; expected at most {}", where, axis.values.size(),
                       kMostPoints);
    }
  }
  for (const std::string& value : axis.values) {
    if (value.empty()) throw InputError("{}: '{}' has an empty value", where, text);
  }
  return axis;
}

std::vector<std::vector<std::string>> search_grid(std::span<const SearchAxis> axes) {
  std::vector<std::vector<std::string>> points{{}};
  std::set<std::string> names;
  for (const SearchAxis& axis : axes) {
    if (!names.insert(axis.parameter).second) {
      throw InputError("'{}' is searched twice", axis.parameter);
    }
    if (points.size() * axis.values.size() > kMostPoints) {
      throw InputError("the search has more than {} points", kMostPoints);
    }
    std::vector<std::vector<std::string>> longer;
    for (const std::vector<std::string>& point : points) {
      for (const std::string& value : axis.values) {
        longer.push_back(point);
        longer.back().push_back(axis.parameter + "=" + value);
      }
    }
    points = std::move(longer);
  }
  return points;
}

Recipe with_parameters(Recipe recipe, const RuleInfo& rule,
                       std::span<const std::string> parameters) {
  for (const std::string& text : parameters) {
    forget(recipe, text.substr(0, text.find_first_of("=:")));
  }
  add_parameters(recipe, rule, parameters);
  return recipe;
}

}  // namespace amalgam
