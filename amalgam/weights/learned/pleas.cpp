#include "amalgam/weights/learned/pleas.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"

namespace amalgam::learned {
namespace {

// Of a residual network: how many blocks each stage has, how wide it is, and each block inside.
void widen_resnet(nlohmann::json& options,
                  const std::vector<std::pair<std::string, std::int64_t>>& outputs) {
  std::vector<std::int64_t> blocks;
  std::vector<std::int64_t> widths;
  std::vector<std::int64_t> inner;
  std::string stage;
  for (const auto& [layer, width] : outputs) {
    if (!layer.starts_with("layer")) continue;
    const std::string its_stage = layer.substr(0, layer.find('.'));
    if (its_stage != stage) {
      stage = its_stage;
      blocks.push_back(0);
      widths.push_back(0);
    }
    if (layer.ends_with(".conv1")) {
      inner.push_back(width);
      ++blocks.back();
    } else if (layer.ends_with(".conv2")) {
      widths.back() = width;
    }
  }
  for (const char* key : {"depth", "width"}) options.erase(key);
  options["blocks"] = blocks;
  options["widths"] = widths;
  options["inner"] = inner;
}

// The new number of units of each layer, in the options of the architecture.
learning::NetworkDescription widened(
    learning::NetworkDescription description,
    const std::vector<std::pair<std::string, std::int64_t>>& outputs) {
  const auto widths = [&](const std::string& list) {
    std::vector<std::int64_t> found;
    for (const auto& [layer, width] : outputs) {
      if (layer.starts_with(list + ".")) found.push_back(width);
    }
    return found;
  };
  if (description.architecture == "resnet") {
    widen_resnet(description.options, outputs);
    return description;
  }
  if (description.architecture != "mlp" && description.architecture != "cnn") {
    throw InputError("pleas: how to widen an '{}' is not known", description.architecture);
  }
  std::vector<std::int64_t> hidden = widths("layers");
  if (description.heads.empty()) hidden.pop_back();  // the logits
  description.options["hidden"] = hidden;
  if (description.architecture == "cnn") {
    description.options["channels"] = widths("convolutions");
  }
  return description;
}

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
  if (options.budget) {
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

// What least squares need: of the result's inputs x (with a constant) and the targets y.
struct NormalEquations {
  torch::Tensor gram;    // sum x x^T
  torch::Tensor moment;  // sum y x^T
  double energy = 0;     // sum |y|^2
  double rows = 0;
};

// One layer of both networks, with rows and columns as the result has them. Weights are
// [outputs, inputs + 1] with the bias last; the result's columns are
// [merged, bias | the first's own | the second's own].
class LayerPair {
 public:
  LayerPair(const torch::Tensor& left, const torch::Tensor& right, const UnitSplit& outputs,
            const UnitSplit& inputs, std::int64_t columns_per_unit)
      : left_(left),
        right_(right),
        rows_(outputs, 1),
        columns_(inputs, columns_per_unit, /*constant=*/true) {}

  torch::Tensor partly_merged() const {
    return rows_.mix(columns_.spread_left(left_, 1), columns_.spread_right(right_, 1), 0);
  }

  // x = mix of what went in, y = mix of what came out.
  NormalEquations averaged(const PairGram& sums) const {
    const torch::Tensor back = sums.cross.t();
    NormalEquations normal;
    normal.gram =
        columns_.mix(columns_.mix(sums.left, sums.cross, 1), columns_.mix(back, sums.right, 1), 0);
    const torch::Tensor left_left = left_.mm(sums.left);
    const torch::Tensor left_right = left_.mm(sums.cross);
    const torch::Tensor right_left = right_.mm(back);
    const torch::Tensor right_right = right_.mm(sums.right);
    normal.moment = rows_.mix(columns_.mix(left_left, left_right, 1),
                              columns_.mix(right_left, right_right, 1), 0);
    const torch::Tensor lt = left_.t();
    const torch::Tensor rt = right_.t();
    normal.energy = rows_
                        .mix(rows_.mix(left_left.mm(lt), left_right.mm(rt), 1),
                             rows_.mix(right_left.mm(lt), right_right.mm(rt), 1), 0)
                        .trace()
                        .item<double>();
    normal.rows = static_cast<double>(sums.rows);
    return normal;
  }

  // Each network's inputs and outputs as examples of their own, the other's own units being 0.
  NormalEquations stacked(const PairGram& sums) const {
    const auto both = [](const SplitIndex& rows, const SplitIndex& columns,
                         const torch::Tensor& left, const torch::Tensor& right) {
      return rows.spread_left(columns.spread_left(left, 1), 0) +
             rows.spread_right(columns.spread_right(right, 1), 0);
    };
    const torch::Tensor left_moment = left_.mm(sums.left);
    const torch::Tensor right_moment = right_.mm(sums.right);
    NormalEquations normal;
    normal.gram = both(columns_, columns_, sums.left, sums.right);
    normal.moment = both(rows_, columns_, left_moment, right_moment);
    normal.energy = both(rows_, rows_, left_moment.mm(left_.t()), right_moment.mm(right_.t()))
                        .trace()
                        .item<double>();
    normal.rows = 2 * static_cast<double>(sums.rows);
    return normal;
  }

  // Three regressions that share the Gram matrix: merged rows see all columns, a network's own rows
  // all but the other's own. About `start`, so that directions without data keep it.
  torch::Tensor solve(const NormalEquations& normal, const torch::Tensor& start, double ridge,
                      const std::string& name) const {
    const std::int64_t m = columns_.merged();
    const torch::Tensor all = torch::arange(columns_.size(), torch::kLong);
    const torch::Tensor shared = all.narrow(0, 0, m);
    const torch::Tensor own_left = all.narrow(0, 0, m + columns_.left());
    const torch::Tensor own_right =
        torch::cat({shared, all.narrow(0, m + columns_.left(), columns_.right())});
    const torch::Tensor missing = normal.moment - start.mm(normal.gram);
    torch::Tensor correction = torch::zeros_like(start);
    std::int64_t first = 0;
    const auto fit = [&](std::int64_t count, const torch::Tensor& columns) {
      if (count == 0) return;
      const torch::Tensor gram = normal.gram.index_select(0, columns).index_select(1, columns);
      const torch::Tensor moment = missing.narrow(0, first, count).index_select(1, columns);
      correction.narrow(0, first, count)
          .index_copy_(1, columns, regress(gram, moment, ridge, name));
      first += count;
    };
    fit(rows_.merged(), all);
    fit(rows_.left(), own_left);
    fit(rows_.right(), own_right);
    return start + correction;
  }

  // The result's weight (inputs in their order, flattened) and bias.
  std::pair<torch::Tensor, torch::Tensor> parts(const torch::Tensor& weight) const {
    const std::int64_t bias = columns_.merged() - 1;
    return {
        torch::cat(
            {weight.narrow(1, 0, bias), weight.narrow(1, bias + 1, weight.size(1) - bias - 1)}, 1),
        weight.select(1, bias).clone()};
  }

 private:
  static torch::Tensor regress(torch::Tensor gram, const torch::Tensor& moment, double ridge,
                               const std::string& name) {
    const double scale = gram.diagonal().mean().item<double>();
    gram = gram + ridge * scale * torch::eye(gram.size(0), gram.options());
    const auto [factor, info] = torch::linalg_cholesky_ex(gram);
    const double smallest = factor.diagonal().square().min().item<double>();
    const double limit = std::numeric_limits<double>::epsilon() *
                         static_cast<double>(gram.size(0)) * gram.diagonal().max().item<double>();
    if (info.item<std::int32_t>() != 0 || !(smallest > limit)) {
      throw InputError(
          "pleas: the Gram matrix of layer '{}' is singular; expected more inputs or"
          " a larger ridge",
          name);
    }
    return torch::cholesky_solve(moment.t(), factor).t();
  }

  torch::Tensor left_;
  torch::Tensor right_;
  SplitIndex rows_;
  SplitIndex columns_;
};

double mean_residual(const torch::Tensor& weight, const NormalEquations& normal) {
  const double sum = (weight.mm(normal.gram) * weight).sum().item<double>() -
                     2 * (weight * normal.moment).sum().item<double>() + normal.energy;
  return std::max(sum, 0.0) / normal.rows;
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

// The layer's weights after least squares, and what that did.
torch::Tensor fitted(const LayerPair& pair, const PairGram& sums, const torch::Tensor& start,
                     const PleasOptions& options, PleasLayer& report) {
  const NormalEquations normal =
      options.fit == PleasOptions::Fit::averaged ? pair.averaged(sums) : pair.stacked(sums);
  if (!std::isfinite(normal.energy) || !normal.gram.isfinite().all().item<bool>()) {
    throw InputError("pleas: the Gram sums of layer '{}' are not finite", report.name);
  }
  torch::Tensor weight = pair.solve(normal, start, options.ridge, report.name);
  report.energy = normal.energy / normal.rows;
  report.residual_before = mean_residual(start, normal);
  report.residual = mean_residual(weight, normal);
  report.underdetermined = normal.rows < static_cast<double>(normal.gram.size(0));
  if (report.underdetermined) {
    log::warn("pleas: layer '{}' has {} inputs, but the Gram sums are of {} rows", report.name,
              normal.gram.size(0) - 1, normal.rows);
  }
  return weight;
}

PleasMerge merge(const Network& left, const Network& right, const PermutationSpec& spec,
                 const Matching& matching, const PairGrams* grams, const PleasOptions& options) {
  check_pair(left, right);
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
  const torch::NoGradGuard no_grad;
  const NamedTensors left_state = learning::state_of(left);
  const NamedTensors right_state = learning::state_of(right);

  PleasMerge result;
  const std::vector<std::int64_t> separate = separate_counts(spec, left_state, options);
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
  result.cost = merge_cost(spec, left_state, result.ratios);

  std::map<std::string, torch::Tensor> tensors;
  std::vector<std::pair<std::string, std::int64_t>> widths;
  for (const LayerUnits& layer : spec.layers) {
    check_interrupt();
    const torch::Tensor& like = tensor_named(left_state, layer.name + ".weight", "pleas");
    const UnitSplit outputs = layer.outputs ? splits[*layer.outputs] : all_merged(like.size(0));
    const UnitSplit inputs = layer.inputs ? splits[*layer.inputs] : all_merged(like.size(1));
    const std::int64_t units = layer.inputs ? spec.groups[*layer.inputs].units : like.size(1);
    const std::int64_t columns = like[0].numel();
    const LayerPair pair(with_bias(left_state, layer.name), with_bias(right_state, layer.name),
                         outputs, inputs, columns / units);
    torch::Tensor weight = pair.partly_merged();
    if (grams != nullptr) {
      PleasLayer& report = result.layers.emplace_back();
      report.name = layer.name;
      weight = fitted(pair, sums_of(*grams, layer.name, columns + 1), weight, options, report);
    }
    auto [matrix, bias] = pair.parts(weight);
    std::vector<std::int64_t> shape = like.sizes().vec();
    shape[0] = outputs.width();
    shape[1] = like.size(1) / units * inputs.width();
    tensors[layer.name + ".weight"] = matrix.view(shape);
    tensors[layer.name + ".bias"] = bias;
    widths.emplace_back(layer.name, outputs.width());
  }
  for (const auto& [name, tensor] : left_state) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) throw InputError("pleas: tensor '{}' belongs to no layer", name);
    result.state.emplace_back(name, found->second.to(tensor.scalar_type()).contiguous());
  }
  result.description = widened(left.description(), widths);
  return result;
}

}  // namespace

PleasMerge partial_merge(const Network& left, const Network& right, const PermutationSpec& spec,
                         const Matching& matching, const PleasOptions& options) {
  return merge(left, right, spec, matching, nullptr, options);
}

PleasMerge pleas(const Network& left, const Network& right, const PermutationSpec& spec,
                 const Matching& matching, const PairGrams& grams, const PleasOptions& options) {
  return merge(left, right, spec, matching, &grams, options);
}

std::shared_ptr<Network> network_of(const PleasMerge& merge) {
  return learning::load_network(*as_source(merge.state, "merge by pleas"), merge.description);
}

}  // namespace amalgam::learned
