#include "amalgam/weights/data_methods.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

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

ParameterInfo choice(std::string name, std::vector<std::string> choices, std::string chosen,
                     std::string doc) {
  return {.name = std::move(name),
          .kind = ParameterInfo::Kind::choice,
          .doc = std::move(doc),
          .default_value = std::move(chosen),
          .choices = std::move(choices)};
}

ParameterInfo number(std::string name, double value, double low, double high, std::string doc) {
  return {.name = std::move(name),
          .doc = std::move(doc),
          .default_value = value,
          .low = low,
          .high = high};
}

ParameterInfo count(std::string name, double value, double low, std::string doc) {
  ParameterInfo info = number(std::move(name), value, low, 1e9, std::move(doc));
  info.kind = ParameterInfo::Kind::integer;
  return info;
}

ParameterInfo granularity(std::string chosen) {
  return choice("granularity", {"whole", "tensor"}, std::move(chosen),
                "one coefficient per member, or one per member and tensor");
}

ParameterInfo loss(std::string chosen) {
  return choice("loss", {"entropy", "cross_entropy"}, std::move(chosen),
                "of the predictions (no labels needed), or against the labels");
}

RuleInfo learned_soup_info() {
  return {.name = "learned_soup",
          .summary =
              "Averages the members with shares that make the cross-entropy on held-out data"
              " small.",
          .source = "Wortsman et al. 2022, Model soups (arXiv 2203.05482), section 2",
          .min_members = 1,
          .parameters = {granularity("tensor"), number("learning_rate", .05, 0, 100, "of AdamW"),
                         count("epochs", 5, 1, "over the held-out data"),
                         count("batch", 256, 1, "examples per step")}};
}

RuleInfo regmean_info() {
  return {.name = "regmean",
          .summary =
              "Merges every layer so that its outputs on the members' own inputs, known by"
              " their Gram matrices, change least.",
          .source = "Jin et al. 2023, Dataless Knowledge Fusion (arXiv 2212.09849), eq. 2",
          .min_members = 1,
          .parameters = {{.name = "gram",
                          .kind = ParameterInfo::Kind::path,
                          .doc = "what 'amalgam gram' wrote for the member",
                          .per_member = true},
                         {.name = "weight",
                          .doc = "share of the member",
                          .default_value = 1.0,
                          .per_member = true,
                          .low = 0},
                         number("off_diagonal", .9, 0, 1,
                                "how much the off-diagonal entries of Gram matrices count")}};
}

RuleInfo adamerging_info() {
  ParameterInfo density = number("density", .2, 0, 1,
                                 "AdaMerging++: trim task vectors to this share and keep what has"
                                 " the elected sign");
  density.default_value.reset();
  density.optional = true;
  density.low_open = true;
  return {.name = "adamerging",
          .summary =
              "Adds task vectors with coefficients that make the predictions on unlabelled"
              " inputs confident.",
          .source = "Yang et al. 2024, AdaMerging (arXiv 2310.02575), eq. 4 and 5",
          .base = BaseUse::required,
          .min_members = 1,
          .parameters = {granularity("whole"),
                         loss("entropy"),
                         number("initial", .3, -10, 10, "coefficient at the start"),
                         {.name = "clamp",
                          .kind = ParameterInfo::Kind::flag,
                          .doc = "merge with coefficients clamped to [0, 1]",
                          .default_value = true},
                         number("learning_rate", 1e-3, 0, 100, "of Adam"),
                         count("steps", 500, 0, "of Adam"),
                         count("batch", 16, 1, "examples per task and step"),
                         density}};
}

RuleInfo frank_wolfe_info() {
  return {.name = "frank_wolfe",
          .summary =
              "Moves from the base towards those members of a pool that the objective's"
              " gradient favours.",
          .source = "Chen et al. 2025, FW-Merging (arXiv 2503.12649)",
          .base = BaseUse::required,
          .min_members = 1,
          .parameters = {choice("variant", {"hard", "soft"}, "hard",
                                "one member per step, or one per task with learned coefficients"),
                         granularity("tensor"),
                         choice("rule", {"inner", "cosine", "cosine_delta"}, "inner",
                                "how members are compared with the gradient"),
                         loss("cross_entropy"),
                         count("iterations", 10, 1, "steps"),
                         number("step_size", 1, 0, 1, "hard: times 2 / (t + 2)"),
                         number("scaling", 1, 0, 1, "hard: times the step as well"),
                         count("line_search", 0, 0,
                               "hard: halvings tried so that the objective does not rise"),
                         count("steps", 500, 0, "soft: of Adam, per iteration"),
                         number("learning_rate", 1e-3, 0, 100, "soft: of Adam"),
                         count("batch", 16, 1, "soft: examples per task and step"),
                         {.name = "simplex",
                          .kind = ParameterInfo::Kind::flag,
                          .doc = "soft: keep coefficients at least 0 and their sum at most 1",
                          .default_value = false}}};
}

}  // namespace

std::span<const RuleInfo> data_methods() {
  static const std::array kMethods = {greedy_soup_info(), learned_soup_info(), regmean_info(),
                                      adamerging_info(), frank_wolfe_info()};
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

Parameters data_method_member_parameters(const RuleInfo& method, const Recipe& recipe,
                                         std::size_t member) {
  const RecipeSource& source = recipe.models.at(member);
  return resolve_parameters(method, true,
                            {.source = &source.parameters, .document = &recipe.parameters},
                            {.recipe = recipe.label, .model = source.model.path, .tensor = {}});
}

}  // namespace amalgam
