#include "amalgam/weights/data_methods.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

ParameterInfo flag(std::string name, std::string doc) {
  return {.name = std::move(name),
          .kind = ParameterInfo::Kind::flag,
          .doc = std::move(doc),
          .default_value = false};
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

ParameterInfo number_above(std::string name, double value, double low, double high,
                           std::string doc) {
  ParameterInfo info = number(std::move(name), value, low, high, std::move(doc));
  info.low_open = true;
  return info;
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

ParameterInfo heads(std::string chosen, std::string doc) {
  return choice("heads", {"base", "members", "merged"}, std::move(chosen),
                "networks with several heads: " + std::move(doc));
}

RuleInfo greedy_soup_info() {
  return {
      .name = "greedy_soup",
      .summary =
          "Averages the members one after the other in the order of their own score on "
          "held-out data, leaving out those that make the average worse.",
      .source = "Wortsman et al. 2022, Model soups (arXiv 2203.05482), recipe 1",
      .min_members = 1,
      .parameters = {
          flag("strict", "keep a member only if it makes the soup better, not if it is as good"),
          choice("order", {"score", "random"}, "score",
                 "members are tried the best first, or in random order, which may end below the"
                 " best of them"),
          count("passes", 1, 1, "how often what was left out is tried; ends when nothing changes"),
          flag("pruned", "begin with all and drop, the worst first, what makes the soup worse")}};
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

// How two networks of any origin are matched and how much of them stays apart.
std::vector<ParameterInfo> pleas_matching_parameters() {
  ParameterInfo ratio =
      number("ratio", 0, 0, 1,
             "share of the units that both networks keep for themselves; ratio:LAYER=... for one"
             " group");
  ratio.by_group = true;
  ParameterInfo budget =
      number("budget", 1, 1, 2, "instead of ratio: compute, as a multiple of one network's");
  budget.default_value.reset();
  budget.optional = true;
  return {choice("matching", {"activations", "weights", "none"}, "activations",
                 "units go together by what they compute on the data, by their weights (as Git"
                 " Re-Basin does, without data), or as they stand"),
          choice("similarity", {"squared_distance", "correlation"}, "squared_distance",
                 "of activations"),
          ratio, budget,
          choice("allocation", {"uniform", "scored", "zip"}, "uniform",
                 "of the budget to groups: equal ratios, by what each group's separate units gain"
                 " in accuracy on the data, or later groups apart and earlier ones merged")};
}

// Networks that tell different things apart keep their outputs.
std::vector<ParameterInfo> own_head_parameters() {
  return {choice("heads", {"shared", "own", "probe"}, "shared",
                 "last layers: merged as the others (equal classes), one head per network that"
                 " stays as it is, or the same trained anew on labels (a task per network)"),
          {.name = "head_names",
           .kind = ParameterInfo::Kind::text,
           .doc = "own, probe: of the networks' heads, in their order",
           .default_value = std::string("first,second")},
          count("probe_epochs", 50, 1, "probe: over the task's data"),
          number_above("probe_learning_rate", 1e-3, 0, 100, "probe: of Adam")};
}

std::vector<ParameterInfo> pleas_fit_parameters() {
  return {choice("fit", {"averaged", "stacked", "none"}, "averaged",
                 "layers are fitted to the mean of both networks, to either by itself, or not at"
                 " all (no data needed)"),
          choice("solver", {"exact", "adam"}, "exact",
                 "of the fit: least squares in closed form, or steps of Adam as the authors take"),
          number("ridge", 1e-3, 0, 1e6,
                 "exact: how much weights before the fit count, as a share of the mean square of a"
                 " layer's inputs"),
          count("steps", 400, 1, "adam: with a rate that falls to 0 in half a cosine"),
          count("batch", 32, 1, "adam: examples per step"),
          number_above("learning_rate", 5e-4, 0, 100, "adam: the highest")};
}

std::vector<ParameterInfo> joined(std::vector<std::vector<ParameterInfo>> parts) {
  std::vector<ParameterInfo> all;
  for (std::vector<ParameterInfo>& part : parts) {
    std::ranges::move(part, std::back_inserter(all));
  }
  return all;
}

RuleInfo pleas_info() {
  return {.name = "pleas",
          .summary =
              "Merges two networks of any origin: units are matched, those that are alike averaged,"
              " and every layer fitted by least squares to what the two compute.",
          .source =
              "Nasery et al. 2024, PLeaS (arXiv 2407.02447); with fit=none and ratio=0 Git"
              " Re-Basin (Ainsworth et al. 2022, arXiv 2209.04836)",
          .min_members = 2,
          .max_members = 2,
          .parameters =
              joined({pleas_matching_parameters(), pleas_fit_parameters(), own_head_parameters()})};
}

RuleInfo zipit_info() {
  ParameterInfo budget =
      number("budget", 1, 1, 1e6,
             "partial zipping by compute, as a multiple of one network's: the later"
             " groups of units stay apart, as many as it allows");
  ParameterInfo zipped =
      count("zipped", 0, 0,
            "partial zipping: only so many groups of units, the first; others stay"
            " apart");
  for (ParameterInfo* parameter : {&budget, &zipped}) {
    parameter->default_value.reset();
    parameter->optional = true;
  }
  return {.name = "zipit",
          .summary =
              "Merges networks of any origin: the most correlated units become one, those of one"
              " network among themselves included.",
          .source = "Stoica et al. 2023, ZipIt! (arXiv 2305.03053), section 4",
          .min_members = 2,
          .parameters = joined(
              {{number_above("alpha", .3, 0, 1,
                             "what counts of the similarity of merged units when they are to be"
                             " merged again"),
                number("beta", .125, 0, 1,
                       "how much of what has to be merged may be so within one network"),
                budget, zipped},
               own_head_parameters()})};
}

RuleInfo adamerging_info() {
  ParameterInfo density = number("density", .2, 0, 1,
                                 "AdaMerging++: trim task vectors to this share and keep what has"
                                 " the elected sign");
  density.default_value.reset();
  density.optional = true;
  density.low_open = true;
  return {
      .name = "adamerging",
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
                     flag("project", "clamp the learned values themselves after every step"),
                     number("learning_rate", 1e-3, 0, 100, "of Adam"),
                     count("steps", 500, 0, "of Adam"),
                     count("batch", 16, 1, "examples per task and step"),
                     density,
                     heads("members",
                           "the head that the k-th task names is the k-th member's, the base's, or"
                           " merged as everything else")}};
}

RuleInfo twin_merging_info() {
  ParameterInfo rank = count("rank", 8, 0, "svd: this rank instead of a share");
  rank.default_value.reset();
  rank.optional = true;
  return {
      .name = "twin_merging",
      .summary =
          "Keeps one shared model and a small module of what each expert knows beyond it; a"
          " router says for every input how much of each to add.",
      .source = "Lu et al. 2024, Twin-Merging (arXiv 2406.15479)",
      .base = BaseUse::optional,
      .min_members = 1,
      .parameters = {
          number("scaling", .3, -10, 10, "of the task vectors in the shared model"),
          {.name = "shared",
           .kind = ParameterInfo::Kind::path,
           .doc = "instead: the shared model, from any other merge",
           .optional = true},
          choice("compression", {"svd", "magnitude", "drop"}, "svd",
                 "of the modules: largest singular values, largest entries, or random ones"
                 " scaled up"),
          number("density", .1, 0, 1, "share of the rank or of the entries that is kept"),
          rank,
          choice("heads", {"members", "merged"}, "members",
                 "networks with a head per task: each expert's own, which no module changes (the"
                 " tasks name their heads), or merged as everything else"),
          count("router_hidden", 0, 0,
                "width of the router's two hidden layers; 0: twice the"
                " features"),
          count("router_epochs", 50, 1, "of training the router"),
          count("router_batch", 1024, 2, "examples per step of the router"),
          number("router_learning_rate", 5e-4, 0, 100, "of AdamW, falling to 0"),
          number("temperature", 1, 1e-6, 1e6, "the router's scores are divided by it"),
          count("top", 0, 0, "only the best so many experts; 0: all"),
          number("threshold", 0, 0, .999, "shares below it become 0"),
          number("least", 0, 0, 1, "inputs whose largest share is below it get the shared model")}};
}

RuleInfo frank_wolfe_info() {
  return {
      .name = "frank_wolfe",
      .summary =
          "Moves from the base towards those members of a pool that the objective's"
          " gradient favours.",
      .source = "Chen et al. 2025, FW-Merging (arXiv 2503.12649)",
      .base = BaseUse::required,
      .min_members = 1,
      .parameters = {
          choice("variant", {"hard", "soft"}, "hard",
                 "one member per step, or one per task with learned coefficients"),
          granularity("tensor"),
          choice("rule", {"inner", "cosine", "cosine_delta"}, "inner",
                 "how members are compared with the gradient"),
          choice("loss", {"entropy", "cross_entropy", "mse"}, "cross_entropy",
                 "of the predictions (no labels needed), against the labels, or the mean squared"
                 " error of numbers to predict"),
          choice("start", {"base", "merge"}, "base",
                 "from the base, or from all members merged by 'inner'"),
          number("start_weight", .3, 0, 10, "start=merge: of every member"),
          heads("base",
                "the base's, that of the member for the task that names it (a"
                " member per task), or merged as everything else"),
          count("iterations", 10, 1, "steps"),
          choice("inner", {"task_arithmetic", "ties", "dare_ties"}, "task_arithmetic",
                 "hard: the rule that makes the step from the point to the member"),
          number_above("density", .3, 0, 1,
                       "hard: of ties and dare_ties, share of the step that is kept"),
          number("tolerance", 0, 0, 1e9,
                 "hard: end when the Frank-Wolfe gap is below this (0: never)"),
          choice(
              "step_rule", {"schedule", "parabola"}, "schedule",
              "hard: steps of 2 / (t + 2), or to the lowest point of the parabola through the"
              " objective, its slope and its value a whole step on: exact where it is quadratic"),
          number("step_size", 1, 0, 1, "hard: times what step_rule says"),
          number("scaling", 1, 0, 1, "hard: times the step as well"),
          count("line_search", 0, 0, "hard: halvings tried so that the objective does not rise"),
          choice("direction", {"towards", "away", "pairwise"}, "towards",
                 "hard: to the chosen member; away from the worst one that the point consists of,"
                 " where the objective falls faster that way; or from the one to the other"),
          flag("keep_best", "hard: the result is the best point on the way, not the last"),
          count("gradient_batch", 0, 0, "hard: random examples per task and gradient (0: all)"),
          flag("strict",
               "refuse members that do not fit the base or are not finite, instead of leaving them"
               " out"),
          count("most_picks", 0, 0, "soft: members per iteration (0: one per task)"),
          number("initial", .3, -10, 10, "soft: coefficients at the start"),
          number("fixed_step", 0, 0, 10,
                 "soft: coefficients are not learned but initial, later times 2 / (t +"
                 " 2) times this (0: learned)"),
          count("steps", 500, 0, "soft: of Adam, per iteration"),
          number("learning_rate", 1e-3, 0, 100, "soft: of Adam"),
          count("batch", 16, 1, "soft: examples per task and step"),
          flag("simplex", "soft: keep coefficients at least 0 and their sum at most 1")}};
}

}  // namespace

std::span<const RuleInfo> data_methods() {
  static const std::array kMethods = {greedy_soup_info(), learned_soup_info(), regmean_info(),
                                      pleas_info(),       zipit_info(),        adamerging_info(),
                                      frank_wolfe_info(), twin_merging_info()};
  return kMethods;
}

const RuleInfo* find_data_method(std::string_view name) {
  const auto found = std::ranges::find(data_methods(), name, &RuleInfo::name);
  return found == data_methods().end() ? nullptr : &*found;
}

const RuleInfo& find_method(std::string_view name) {
  if (const RuleInfo* method = find_data_method(name)) return *method;
  std::vector<std::string> names;
  for (const MergeRule* rule : merge_rules()) {
    if (rule->info().name == name) return rule->info();
    names.push_back(rule->info().name);
  }
  for (const RuleInfo& method : data_methods()) names.push_back(method.name);
  throw InputError("no merge method '{}'{}; 'amalgam merge methods' lists them", name,
                   did_you_mean(name, names));
}

}  // namespace amalgam
