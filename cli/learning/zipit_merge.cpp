// Networks of any origin and number: ZipIt!.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/learned/pleas_budget.hpp"
#include "amalgam/weights/learned/zipit.hpp"
#include "cli/learning/own_heads.hpp"

namespace amalgam::cli {
namespace {

using Networks = std::vector<std::shared_ptr<learning::Network>>;

// How many groups of units are zipped.
std::optional<std::size_t> zipped_groups(const LearnedMerge& merge, const Networks& networks,
                                         const learned::PermutationSpec& spec) {
  const Parameters& parameters = merge.parameters;
  if (parameters.has("zipped") && parameters.has("budget")) {
    throw InputError("{}: zipit: both a number of groups and a budget; expected one of them",
                     merge.recipe.label);
  }
  if (parameters.has("zipped")) return count_of(parameters, "zipped");
  if (!parameters.has("budget")) return std::nullopt;
  const std::vector<double> ratios = learned::zip_ratios(
      spec, learning::state_of(*networks.front()), parameters.number("budget"), networks.size());
  return static_cast<std::size_t>(std::ranges::count(ratios, 0.0));
}

// [network][unit]: the unit of the result.
Json places_of(const learned::ZipItGroup& group) {
  const auto units = static_cast<std::size_t>(group.units);
  Json places = Json::array();
  for (std::size_t i = 0; i < group.zip.into.size(); ++i) {
    if (i % units == 0) places.push_back(Json::array());
    places.back().push_back(group.zip.into[i]);
  }
  return places;
}

Json details_of(const learned::ZipItMerge& made) {
  Json json{{"compute", made.cost.compute},
            {"dense_compute", made.cost.dense_compute},
            {"parameters_factor", made.cost.parameters},
            {"network", learning::to_json(made.description)},
            {"groups", Json::array()}};
  for (const learned::ZipItGroup& group : made.groups) {
    json["groups"].push_back({{"name", group.name},
                              {"units", group.units},
                              {"zipped", group.zipped},
                              {"width", group.zip.width},
                              {"merges_within", group.zip.within},
                              {"into", places_of(group)}});
  }
  return json;
}

}  // namespace

MergedNetwork merge_by_zipit(LearnedMerge& merge, const Ingredients& from) {
  const Networks networks = networks_of(merge, from);
  learned::PermutationSpec spec = learned::permutation_spec(*networks.front());
  const bool own = has_own_heads(merge);
  if (own) spec = learned::with_own_outputs(std::move(spec));
  const learned::ZipItOptions options{
      .matching = {.alpha = merge.parameters.number("alpha"),
                   .beta = merge.parameters.number("beta")},
      .zipped = zipped_groups(merge, networks, spec),
      .heads = own ? own_head_names(merge) : std::vector<std::string>{}};
  const learned::JointMoments moments =
      learned::joint_moments(networks, spec, merge.data.together(networks.front()->description()));
  learned::ZipItMerge made =
      learned::zipit(networks, spec, learned::joint_correlations(spec, moments), options);
  Json details = details_of(made);
  if (own) {
    const auto network = learned::network_of(made);
    train_own_heads(merge, from, *network, details);
    made.state = learning::copied_state(*network);
  }
  return {std::move(made.state), std::move(made.description), std::move(details)};
}

}  // namespace amalgam::cli
