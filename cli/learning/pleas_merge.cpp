// Networks of different origin: PLeaS, and Git Re-Basin as a special case of it.
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/weights/learned/pleas.hpp"
#include "cli/learning/learned_merge.hpp"

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

PleasOptions options_of(const LearnedMerge& merge, const learned::PermutationSpec& spec) {
  const Parameters& parameters = merge.parameters;
  PleasOptions options{.ratios = {},
                       .budget = {},
                       .ridge = parameters.number("ridge"),
                       .fit = parameters.text("fit") == "stacked" ? PleasOptions::Fit::stacked
                                                                  : PleasOptions::Fit::averaged};
  if (parameters.has("budget")) {
    if (merge.recipe.parameters.contains("ratio")) {
      throw InputError("{}: pleas: both a ratio and a budget; expected one of them",
                       merge.recipe.label);
    }
    options.budget = parameters.number("budget");
    return options;
  }
  for (const learned::PermutationGroup& group : spec.groups) {
    options.ratios.push_back(
        data_method_parameters(merge.method, merge.recipe, group.name).number("ratio"));
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

}  // namespace

MergedNetwork merge_by_pleas(LearnedMerge& merge, const Ingredients& from) {
  std::shared_ptr<learning::Network> first = from.network;
  auto right = learning::network_with(*first, from.members[1]);
  learned::check_pair(*first, *right);
  if (learning::has_batch_norm(*first)) {
    first = learning::fold_batch_norm(*first);
    right = learning::fold_batch_norm(*right);
  }
  learning::Network& left = *first;
  const learned::PermutationSpec spec = learned::permutation_spec(left);
  const bool fits = merge.parameters.text("fit") != "none";
  std::optional<PairGrams> grams;
  if (fits || merge.parameters.text("matching") == "activations") {
    grams = learned::pair_grams(left, *right, merge.data.together(left.description()));
  }
  const Matching matching = match(merge, spec, left, *right, grams);
  const PleasOptions options = options_of(merge, spec);
  learned::PleasMerge made =
      fits ? learned::pleas(left, *right, spec, matching, grams.value(), options)
           : learned::partial_merge(left, *right, spec, matching, options);
  Json details = details_of(made, matching);
  return {std::move(made.state), std::move(made.description), std::move(details)};
}

}  // namespace amalgam::cli
