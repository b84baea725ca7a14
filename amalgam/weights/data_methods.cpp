#include "amalgam/weights/data_methods.hpp"

#include <algorithm>
#include <array>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/plan_parameters.hpp"

namespace amalgam {
namespace {

RuleInfo greedy_soup_info() {
  return {.name = "greedy_soup",
          .summary =
              "Averages the members one after the other in the order of their own score on "
              "held-out data, leaving out those that make the average worse.",
          .source = "Wortsman et al. 2022, Model soups (arXiv 2203.05482), recipe 1",
          .min_members = 1,
          .parameters = {{.name = "strict",
                          .kind = ParameterInfo::Kind::flag,
                          .doc = "keep a member only if it makes the soup better, not if it is as "
                                 "good",
                          .default_value = false}}};
}

}  // namespace

std::span<const RuleInfo> data_methods() {
  static const std::array kMethods = {greedy_soup_info()};
  return kMethods;
}

const RuleInfo* find_data_method(std::string_view name) {
  const auto found = std::ranges::find(data_methods(), name, &RuleInfo::name);
  return found == data_methods().end() ? nullptr : &*found;
}

Parameters data_method_parameters(const RuleInfo& method, const Recipe& recipe) {
  check_parameters(recipe, method);
  const std::size_t count = recipe.models.size();
  if (count < method.min_members || count > method.max_members) {
    throw InputError("{}: method '{}' merges {} {} models; found {}", recipe.label, method.name,
                     count < method.min_members ? "at least" : "at most",
                     count < method.min_members ? method.min_members : method.max_members, count);
  }
  return resolve_parameters(method, false, {.document = &recipe.parameters},
                            {.recipe = recipe.label, .model = {}, .tensor = {}});
}

}  // namespace amalgam
