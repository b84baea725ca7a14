#include "amalgam/labels/other_methods.hpp"

#include <fmt/ranges.h>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::labels {
namespace {

ParameterInfo most_iterations(double count) {
  return {.name = "iterations",
          .kind = ParameterInfo::Kind::integer,
          .doc = "most iterations",
          .default_value = count,
          .low = 1,
          .high = 1e7};
}

OtherMethod bradley_terry() {
  return {.command = "pairwise",
          .name = "bradley-terry",
          .summary = "Each item wins by its share of two scores; all workers are alike.",
          .source = "Bradley and Terry 1952; Hunter 2004",
          .parameters = {
              most_iterations(100),
              {.name = "tolerance",
               .doc = "ends when no score changes by more",
               .default_value = 1e-5,
               .low = 0},
              {.name = "prior",
               .doc = "wins and losses of each item against one of the mean score; above 0 where "
                      "some items always win",
               .default_value = 0.0,
               .low = 0,
               .high = 1e9}}};
}

OtherMethod noisy_bradley_terry() {
  return {.command = "pairwise",
          .name = "noisy-bradley-terry",
          .summary = "Each worker judges by the items with a skill of his own, else by his bias.",
          .source = "Chen et al. 2013; crowd-kit's NoisyBradleyTerry",
          .parameters = {
              most_iterations(500),
              {.name = "tolerance",
               .doc = "ends when no entry of the gradient is larger",
               .default_value = 1e-6,
               .low = 0},
              {.name = "regularisation",
               .doc = "pulls items to one score, and workers to log-odds of 1 of judging and no "
                      "bias",
               .default_value = 0.1,
               .low = 0,
               .high = 1e9}}};
}

std::vector<OtherMethod> all_methods() {
  return {
      bradley_terry(),
      noisy_bradley_terry(),
      {"text", "rover", "Texts aligned word by word, and the most votes at each place.",
       "Fiscus 1997"},
      {"masks", "em", "EM for how often each mask is right on a pixel, per task.",
       "Jung-Lin Lee et al. 2018; crowd-kit's SegmentationEM"},
      {"masks", "majority", "The pixels that more than half of the masks have.",
       "crowd-kit's SegmentationMajorityVote"},
      {"multilabel", "binary-relevance",
       "Each label is a yes-or-no question of its own, for any method above (--method).",
       "Tsoumakas and Katakis 2007; crowd-kit's BinaryRelevance"},
      {"bags fit", "interpolated",
       "Bag-level loss plus rho times the instance-level one, linear or a network.",
       "Javanmard et al. 2024, learning from aggregate responses"},
      {"bags fit", "bag", "The mean prediction of each bag is its response (rho = 0).",
       "Javanmard et al. 2024"},
      {"bags fit", "instance", "Each row's prediction is its bag's response (rho = 1).",
       "Javanmard et al. 2024"},
      {"bags fit", "ridge", "Ridge regression on the means of bags.",
       "Javanmard et al. 2024 (baseline)"},
      {"bags fit", "label-proportions", "A classifier by the shares of classes in each bag.",
       "Javanmard et al. 2024, bag-level loss; Ardehaly and Culotta 2017"},
      {"autows", "few-shot", "Logistic regression on the labelled rows.",
       "Roberts et al. 2022 (AutoWS-Bench-101)"},
      {"autows", "label-propagation", "Labels spread along a graph of neighbours.",
       "Zhu and Ghahramani 2002"},
      {"autows", "goggles", "Mixtures on affinities of rows, matched with classes by a few labels.",
       "Das et al. 2020"},
      {"autows", "snuba", "Labelling functions are made from a few labelled rows and pruned.",
       "Varma and Re 2019"},
      {"autows", "snuba-multipolar", "Snuba whose functions may vote for every class.",
       "Roberts et al. 2022 (AutoWS-Bench-101)"},
      {"autows", "iws", "Labelling functions are proposed, and someone says which are useful.",
       "Boecking et al. 2021"}};
}

}  // namespace

std::span<const OtherMethod> other_methods() {
  static const std::vector<OtherMethod> methods = all_methods();
  return methods;
}

const OtherMethod& find_other_method(std::string_view command, std::string_view name) {
  std::vector<std::string> names;
  for (const OtherMethod& method : other_methods()) {
    if (method.command != command) continue;
    if (method.name == name) return method;
    names.push_back(method.name);
  }
  throw InputError("'{}' is no method of 'label {}'{}; expected {}", printable(std::string(name)),
                   command, did_you_mean(name, names), fmt::join(names, " or "));
}

}  // namespace amalgam::labels
