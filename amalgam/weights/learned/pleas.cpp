#include "amalgam/weights/learned/pleas.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/pleas_budget.hpp"
#include "amalgam/weights/learned/pleas_layers.hpp"
#include "amalgam/weights/learned/widened_network.hpp"

namespace amalgam::learned {
namespace {

std::vector<std::int64_t> separate_counts(const PermutationSpec& spec, const NamedTensors& state,
                                          const PleasOptions& options) {
  const std::size_t groups = spec.groups.size();
  if (options.budget && !options.ratios.empty()) {
    throw InputError("pleas: both a budget and ratios; expected one of them");
  }
  if (options.ratios.size() > 1 && options.ratios.size() != groups) {
    throw InputError("pleas: {} ratios; expected one, or one for each of the {} groups",
                     options.ratios.size(), groups);
  }
  std::vector<double> ratios(groups, 0.0);
  if (options.budget && !options.weights.empty()) {
    ratios = allocate_budget(spec, state, *options.budget, options.weights);
  } else if (options.budget) {
    ratios.assign(groups, uniform_ratio(spec, state, *options.budget));
  } else if (options.ratios.size() == 1) {
    ratios.assign(groups, options.ratios.front());
  } else if (!options.ratios.empty()) {
    ratios = options.ratios;
  }
  std::vector<std::int64_t> separate;
  separate.reserve(groups);
  const auto carried_out = [&](std::size_t g) {
    return static_cast<double>(separate[g]) / static_cast<double>(spec.groups[g].units);
  };
  for (std::size_t g = 0; g < groups; ++g) {
    separate.push_back(separate_units(spec.groups[g].units, ratios[g]));
    ratios[g] = carried_out(g);
  }
  // Whole numbers of units may be a little more than the budget allows.
  while (options.budget && merge_cost(spec, state, ratios).compute > *options.budget) {
    const auto g = static_cast<std::size_t>(std::ranges::max_element(ratios) - ratios.begin());
    if (separate[g] == 0) break;
    --separate[g];
    ratios[g] = carried_out(g);
  }
  return separate;
}

torch::Tensor with_bias(const NamedTensors& state, const std::string& layer) {
  const torch::Tensor weight =
      tensor_named(state, layer + ".weight", "pleas").detach().to(torch::kDouble).flatten(1);
  const torch::Tensor bias =
      tensor_named(state, layer + ".bias", "pleas").detach().to(torch::kDouble);
  return torch::cat({weight, bias.unsqueeze(1)}, 1);
}

const PairGram& sums_of(const PairGrams& grams, const std::string& layer, std::int64_t columns) {
  const auto found = grams.find(layer);
  if (found == grams.end()) throw InputError("pleas: no Gram sums of layer '{}'", layer);
  if (found->second.left.size(0) != columns || found->second.rows == 0) {
    throw InputError("pleas: Gram sums of layer '{}' are of {} inputs; expected {}", layer,
                     found->second.left.size(0) - 1, columns - 1);
  }
  return found->second;
}

// The layer's weights by least squares, and what that did.
void solve_layer(PairedLayer& layer, const PairGram& sums, const PleasOptions& options) {
  const NormalEquations normal = options.fit == PleasOptions::Fit::averaged
                                     ? layer.pair.averaged(sums)
                                     : layer.pair.stacked(sums);
  if (!std::isfinite(normal.energy) || !normal.gram.isfinite().all().item<bool>()) {
    throw InputError("pleas: the Gram sums of layer '{}' are not finite", layer.name);
  }
  const torch::Tensor fitted = layer.pair.solve(normal, layer.weight, options.ridge, layer.name);
  PleasLayer& report = layer.report;
  report.name = layer.name;
  report.energy = normal.energy / normal.rows;
  report.residual_before = mean_residual(layer.weight, normal);
  report.residual = mean_residual(fitted, normal);
  report.underdetermined = normal.rows < static_cast<double>(normal.gram.size(0));
  if (report.underdetermined) {
    log::warn("pleas: layer '{}' has {} inputs, but the Gram sums are of {} rows", layer.name,
              normal.gram.size(0) - 1, normal.rows);
  }
  layer.weight = fitted;
}

void check_merge(const Network& left, const Network& right, const PermutationSpec& spec,
                 const Matching& matching, const PleasOptions& options) {
  check_pair(left, right, spec.own_outputs);
  if (learning::has_batch_norm(left)) {
    throw InputError(
        "pleas: the networks have BatchNorm, which has to be folded into their convolutions"
        " before (fold_batch_norm)");
  }
  if (matching.partners.size() != spec.groups.size()) {
    throw InputError("pleas: a matching of {} groups for {}", matching.partners.size(),
                     spec.groups.size());
  }
  if (options.ridge < 0 || !std::isfinite(options.ridge)) {
    throw InputError("pleas: the ridge is {}; expected at least 0", options.ridge);
  }
}

// How the units of every group are split, and what is reported of that.
std::vector<UnitSplit> split_groups(const PermutationSpec& spec, const Matching& matching,
                                    const std::vector<std::int64_t>& separate, PleasMerge& result) {
  std::vector<UnitSplit> splits;
  splits.reserve(separate.size());
  for (std::size_t g = 0; g < separate.size(); ++g) {
    const PermutationGroup& group = spec.groups[g];
    splits.push_back(split_units(matching.partners[g], matching.scores(g), separate[g]));
    result.groups.push_back({.name = group.name,
                             .units = group.units,
                             .merged = group.units - separate[g],
                             .partners = matching.partners[g],
                             .similarity_before = matching.unmatched(g),
                             .similarity_after = matching.matched(g)});
    result.ratios.push_back(static_cast<double>(separate[g]) / static_cast<double>(group.units));
  }
  return splits;
}

PairedLayer paired(const LayerUnits& layer, const NamedTensors& left, const NamedTensors& right,
                   const PermutationSpec& spec, const std::vector<UnitSplit>& splits) {
  const torch::Tensor& like = tensor_named(left, layer.name + ".weight", "pleas");
  const torch::Tensor& other = tensor_named(right, layer.name + ".weight", "pleas");
  const bool own = !layer.outputs && spec.own_outputs;
  const UnitSplit outputs = layer.outputs ? splits[*layer.outputs]
                            : own         ? all_separate(like.size(0), other.size(0))
                                          : all_merged(like.size(0));
  const UnitSplit inputs = layer.inputs ? splits[*layer.inputs] : all_merged(like.size(1));
  const std::int64_t units = layer.inputs ? spec.groups[*layer.inputs].units : like.size(1);
  const std::int64_t columns = like[0].numel();
  PairedLayer result{layer.name,
                     LayerPair(with_bias(left, layer.name), with_bias(right, layer.name), outputs,
                               inputs, columns / units),
                     columns + 1,
                     /*is_fitted=*/!own,
                     /*shape=*/like.sizes().vec(),
                     {},
                     {}};
  result.weight = result.pair.partly_merged();
  result.shape[0] = outputs.width();
  result.shape[1] = like.size(1) / units * inputs.width();
  return result;
}

// The tensors of a result, by their names in the first network.
using Parts = std::map<std::string, torch::Tensor>;

Parts parts_of(const std::vector<PairedLayer>& layers) {
  Parts parts;
  for (const PairedLayer& layer : layers) {
    const auto [matrix, bias] = layer.pair.parts(layer.weight);
    parts[layer.name + ".weight"] = matrix.view(layer.shape);
    parts[layer.name + ".bias"] = bias;
  }
  return parts;
}

}  // namespace

PleasMerge merge_pair(const Network& left, const Network& right, const PermutationSpec& spec,
                      const Matching& matching, const PleasOptions& options, const FitLayers& fit) {
  check_merge(left, right, spec, matching, options);
  const torch::NoGradGuard no_grad;
  const NamedTensors left_state = learning::state_of(left);
  const NamedTensors right_state = learning::state_of(right);
  PleasMerge result;
  const std::vector<UnitSplit> splits =
      split_groups(spec, matching, separate_counts(spec, left_state, options), result);
  result.cost = merge_cost(spec, left_state, result.ratios);

  std::vector<PairedLayer> layers;
  std::vector<std::pair<std::string, std::int64_t>> widths;
  for (const LayerUnits& layer : spec.layers) {
    layers.push_back(paired(layer, left_state, right_state, spec, splits));
    widths.emplace_back(layer.name, layers.back().shape[0]);
  }
  if (fit) {
    fit(layers);
    for (const PairedLayer& layer : layers) {
      if (layer.is_fitted) result.layers.push_back(layer.report);
    }
  }
  const Parts parts = parts_of(layers);
  for (const auto& [name, tensor] : left_state) {
    const auto found = parts.find(name);
    if (found == parts.end()) throw InputError("pleas: tensor '{}' belongs to no layer", name);
    result.state.emplace_back(name, found->second.to(tensor.scalar_type()).contiguous());
  }
  result.description = widened(left.description(), widths);
  if (spec.own_outputs) {
    split_into_heads(
        {{options.heads[0], &left.description()}, {options.heads[1], &right.description()}},
        output_layer(spec), result.description, result.state);
  }
  return result;
}

PleasMerge partial_merge(const Network& left, const Network& right, const PermutationSpec& spec,
                         const Matching& matching, const PleasOptions& options) {
  return merge_pair(left, right, spec, matching, options, {});
}

PleasMerge pleas(const Network& left, const Network& right, const PermutationSpec& spec,
                 const Matching& matching, const PairGrams& grams, const PleasOptions& options) {
  return merge_pair(left, right, spec, matching, options, [&](std::vector<PairedLayer>& layers) {
    for (PairedLayer& layer : layers) {
      check_interrupt();
      if (layer.is_fitted) solve_layer(layer, sums_of(grams, layer.name, layer.columns), options);
    }
  });
}

std::shared_ptr<Network> network_of(const PleasMerge& merge) {
  return learning::load_network(*as_source(merge.state, "merge by pleas"), merge.description);
}

}  // namespace amalgam::learned
