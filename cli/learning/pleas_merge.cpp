// Networks of different origin: PLeaS, and Git Re-Basin as a special case of it.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/validation.hpp"
#include "amalgam/weights/learned/pleas.hpp"
#include "amalgam/weights/learned/pleas_budget.hpp"
#include "cli/learning/own_heads.hpp"

namespace amalgam::cli {
namespace {

using learned::Matching;
using learned::PairGrams;
using learned::PleasOptions;

Matching match(const LearnedMerge& merge, const learned::PermutationSpec& spec,
               const learning::Network& left, const learning::Network& right,
               const std::optional<PairGrams>& grams) {
  const std::string& matching = merge.parameters.text("matching");
  if (matching == "activations") {
    return learned::match_activations(spec, grams.value(),
                                      merge.parameters.text("similarity") == "correlation"
                                          ? learned::ActivationSimilarity::correlation
                                          : learned::ActivationSimilarity::squared_distance);
  }
  Matching found = learned::match_weights(spec, left, right, {.seed = merge.seed()});
  return matching == "weights" ? found : learned::without_permutation(std::move(found));
}

// What is merged.
struct Pair {
  std::shared_ptr<learning::Network> left;
  std::shared_ptr<learning::Network> right;
  learned::PermutationSpec spec;
  std::array<std::string, 2> heads;  // names of the result's, if the networks keep their own
};

// What partial merges are scored by.
std::vector<learning::Dataset> tasks_of(LearnedMerge& merge, const Ingredients& from) {
  if (has_own_heads(merge)) return tasks_of_own_heads(merge, from, merge.data);
  return merge.data.tasks(from.network->description());
}

// All inputs, whatever their labels are.
learning::Dataset unlabelled(LearnedMerge& merge, const Pair& pair) {
  return merge.data.together(pair.left->description());
}

// The mean accuracy over the tasks, of partial merges.
std::vector<double> scored_weights(LearnedMerge& merge, const Ingredients& from, const Pair& pair,
                                   const Matching& matching, double budget, Json& details) {
  const std::vector<learning::Dataset> tasks = tasks_of(merge, from);
  const learned::GroupScores scores = learned::group_scores(
      *pair.left, *pair.right, pair.spec, matching, pair.heads, [&](learning::Network& network) {
        double sum = 0;
        for (const learning::Dataset& task : tasks) {
          sum += learning::validate(network, task).accuracy;
        }
        return sum / static_cast<double>(tasks.size());
      });
  std::vector<double> weights = learned::group_weights(scores, budget);
  details["allocation"] = {{"all_merged", scores.all_merged},
                           {"all_separate", scores.all_separate},
                           {"only_separate", scores.only_separate},
                           {"only_merged", scores.only_merged},
                           {"weights", weights}};
  return weights;
}

PleasOptions options_of(LearnedMerge& merge, const Ingredients& from, const Pair& pair,
                        const Matching& matching, Json& details) {
  const Parameters& parameters = merge.parameters;
  PleasOptions options{.ratios = {},
                       .budget = {},
                       .weights = {},
                       .ridge = parameters.number("ridge"),
                       .fit = parameters.text("fit") == "stacked" ? PleasOptions::Fit::stacked
                                                                  : PleasOptions::Fit::averaged,
                       .heads = pair.heads};
  const std::string& allocation = parameters.text("allocation");
  if (!parameters.has("budget")) {
    if (allocation != "uniform") {
      throw InputError("{}: pleas: allocation={} without a budget", merge.recipe.label, allocation);
    }
    for (const learned::PermutationGroup& group : pair.spec.groups) {
      options.ratios.push_back(
          data_method_parameters(merge.method, merge.recipe, group.name).number("ratio"));
    }
    return options;
  }
  if (merge.recipe.parameters.contains("ratio")) {
    throw InputError("{}: pleas: both a ratio and a budget; expected one of them",
                     merge.recipe.label);
  }
  const double budget = parameters.number("budget");
  if (allocation == "zip") {
    options.ratios = learned::zip_ratios(pair.spec, learning::state_of(*pair.left), budget);
    return options;
  }
  options.budget = budget;
  if (allocation == "scored") {
    options.weights = scored_weights(merge, from, pair, matching, budget, details);
  }
  return options;
}

Json details_of(const learned::PleasMerge& made, const Matching& matching) {
  Json json{{"compute", made.cost.compute},
            {"dense_compute", made.cost.dense_compute},
            {"parameters_factor", made.cost.parameters},
            {"network", learning::to_json(made.description)},
            {"groups", Json::array()},
            {"layers", Json::array()}};
  for (std::size_t g = 0; g < made.groups.size(); ++g) {
    const learned::PleasGroup& group = made.groups[g];
    json["groups"].push_back({{"name", group.name},
                              {"units", group.units},
                              {"merged", group.merged},
                              {"ratio", made.ratios[g]},
                              {"similarity_before", group.similarity_before},
                              {"similarity_after", group.similarity_after},
                              {"partners", group.partners}});
  }
  for (const learned::PleasLayer& layer : made.layers) {
    json["layers"].push_back({{"name", layer.name},
                              {"energy", layer.energy},
                              {"residual_before", layer.residual_before},
                              {"residual", layer.residual},
                              {"underdetermined", layer.underdetermined}});
  }
  if (!matching.objective.empty()) json["matching_objective"] = matching.objective;
  return json;
}

Pair pair_of(const LearnedMerge& merge, const Ingredients& from) {
  auto networks = networks_of(merge, from);
  Pair pair{networks[0], networks[1], learned::permutation_spec(*networks[0]), {}};
  if (!has_own_heads(merge)) return pair;
  pair.spec = learned::with_own_outputs(std::move(pair.spec));
  std::ranges::move(own_head_names(merge), pair.heads.begin());
  return pair;
}

}  // namespace

MergedNetwork merge_by_pleas(LearnedMerge& merge, const Ingredients& from) {
  const Parameters& parameters = merge.parameters;
  const Pair pair = pair_of(merge, from);
  const bool fits = parameters.text("fit") != "none";
  const bool by_adam = fits && parameters.text("solver") == "adam";
  std::optional<PairGrams> grams;
  if ((fits && !by_adam) || parameters.text("matching") == "activations") {
    grams = learned::pair_grams(*pair.left, *pair.right, unlabelled(merge, pair));
  }
  const Matching matching = match(merge, pair.spec, *pair.left, *pair.right, grams);
  Json details;
  const PleasOptions options = options_of(merge, from, pair, matching, details);
  learned::PleasMerge made;
  if (by_adam) {
    made = learned::pleas_by_adam(*pair.left, *pair.right, pair.spec, matching,
                                  unlabelled(merge, pair),
                                  {.learning_rate = parameters.number("learning_rate"),
                                   .steps = count_of(parameters, "steps"),
                                   .batch = count_of(parameters, "batch"),
                                   .seed = merge.seed()},
                                  options);
  } else if (fits) {
    made = learned::pleas(*pair.left, *pair.right, pair.spec, matching, grams.value(), options);
  } else {
    made = learned::partial_merge(*pair.left, *pair.right, pair.spec, matching, options);
  }
  details.update(details_of(made, matching));
  if (has_own_heads(merge)) {
    const auto network = learned::network_of(made);
    train_own_heads(merge, from, *network, details);
    made.state = learning::copied_state(*network);
  }
  return {std::move(made.state), std::move(made.description), std::move(details)};
}

}  // namespace amalgam::cli
