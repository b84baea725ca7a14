#include "amalgam/weights/learned/zipit.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/pair_gram.hpp"
#include "amalgam/weights/learned/widened_network.hpp"

namespace amalgam::learned {
namespace {

using Networks = std::span<const std::shared_ptr<Network>>;

void check_zip(Networks networks, const PermutationSpec& spec,
               const std::vector<torch::Tensor>& correlations, const ZipItOptions& options) {
  if (networks.size() < 2) {
    throw InputError("zipit: {} networks; expected at least 2", networks.size());
  }
  for (const auto& network : networks.subspan(1)) {
    check_pair(*networks.front(), *network, spec.own_outputs);
  }
  if (learning::has_batch_norm(*networks.front())) {
    throw InputError(
        "zipit: the networks have BatchNorm, which has to be folded into their convolutions before"
        " (fold_batch_norm)");
  }
  if (correlations.size() != spec.groups.size()) {
    throw InputError("zipit: correlations of {} groups for {}", correlations.size(),
                     spec.groups.size());
  }
  if (options.zipped.value_or(0) > spec.groups.size()) {
    throw InputError("zipit: {} groups of units are to be zipped, but there are {}",
                     *options.zipped, spec.groups.size());
  }
  if (spec.own_outputs && options.heads.size() != networks.size()) {
    throw InputError("zipit: {} names of heads for {} networks", options.heads.size(),
                     networks.size());
  }
}

// Where the entries of one axis of each network's tensor go in the result's.
struct Places {
  std::vector<torch::Tensor> of;  // by network: int64 [entries]
  std::int64_t size = 0;
};

// Along an axis on which every unit of the group has `block` entries.
Places places_of(const UnitZip& zip, std::size_t networks, std::int64_t block) {
  const std::size_t units = zip.into.size() / networks;
  Places places{.of = {}, .size = zip.width * block};
  for (std::size_t k = 0; k < networks; ++k) {
    const auto first = zip.into.begin() + static_cast<std::ptrdiff_t>(k * units);
    places.of.push_back(unit_index({first, first + static_cast<std::ptrdiff_t>(units)}, block));
  }
  return places;
}

// Along an axis of inputs or outputs that all networks share.
Places shared_places(std::size_t networks, std::int64_t size) {
  return {.of = std::vector<torch::Tensor>(networks, torch::arange(size, torch::kLong)),
          .size = size};
}

// Merges layers, the units of each group being zipped already.
class LayerZip {
 public:
  LayerZip(Networks networks, const PermutationSpec& spec, const std::vector<ZipItGroup>& groups)
      : spec_(spec), groups_(groups) {
    for (const auto& network : networks) states_.push_back(learning::state_of(*network));
  }

  // M W U.
  torch::Tensor weight(const LayerUnits& layer) const {
    const std::vector<torch::Tensor> weights = tensors(layer.name + ".weight");
    const torch::Tensor& first = weights.front();
    const Places columns = layer.inputs ? places_of(groups_[*layer.inputs].zip, states_.size(),
                                                    first.size(1) / groups_[*layer.inputs].units)
                                        : shared_places(states_.size(), first.size(1));
    std::vector<torch::Tensor> widened;
    for (std::size_t k = 0; k < weights.size(); ++k) {
      std::vector<std::int64_t> shape = weights[k].sizes().vec();
      shape[1] = columns.size;
      widened.push_back(
          torch::zeros(shape, torch::kDouble).index_add(1, columns.of[k], weights[k]));
    }
    return mean_rows(layer, widened).to(scalar_type(layer.name + ".weight"));
  }

  // M b.
  torch::Tensor bias(const LayerUnits& layer) const {
    const std::string name = layer.name + ".bias";
    return mean_rows(layer, tensors(name)).to(scalar_type(name));
  }

  bool has_bias(const LayerUnits& layer) const {
    return std::ranges::find(states_.front(), layer.name + ".bias",
                             &NamedTensors::value_type::first) != states_.front().end();
  }

 private:
  std::vector<torch::Tensor> tensors(const std::string& name) const {
    std::vector<torch::Tensor> found;
    for (const NamedTensors& state : states_) {
      found.push_back(tensor_named(state, name, "zipit").detach().to(torch::kDouble));
    }
    return found;
  }

  torch::ScalarType scalar_type(const std::string& name) const {
    return tensor_named(states_.front(), name, "zipit").scalar_type();
  }

  // Rows of the networks that have one place in the result as their mean.
  torch::Tensor mean_rows(const LayerUnits& layer, const std::vector<torch::Tensor>& parts) const {
    if (!layer.outputs && spec_.own_outputs) return torch::cat(parts, 0);
    const Places rows = layer.outputs ? places_of(groups_[*layer.outputs].zip, states_.size(), 1)
                                      : shared_places(states_.size(), parts.front().size(0));
    std::vector<std::int64_t> shape = parts.front().sizes().vec();
    shape[0] = rows.size;
    torch::Tensor sum = torch::zeros(shape, torch::kDouble);
    torch::Tensor count = torch::zeros({rows.size}, torch::kDouble);
    for (std::size_t k = 0; k < parts.size(); ++k) {
      sum.index_add_(0, rows.of[k], parts[k]);
      count.index_add_(0, rows.of[k], torch::ones({parts[k].size(0)}, torch::kDouble));
    }
    std::vector<std::int64_t> along(shape.size(), 1);
    along[0] = rows.size;
    return sum / count.view(along);
  }

  const PermutationSpec& spec_;
  const std::vector<ZipItGroup>& groups_;
  std::vector<NamedTensors> states_;
};

std::vector<ZipItGroup> zip_groups(const PermutationSpec& spec, std::size_t networks,
                                   const std::vector<torch::Tensor>& correlations,
                                   const ZipItOptions& options) {
  const std::size_t zipped = options.zipped.value_or(spec.groups.size());
  std::vector<ZipItGroup> groups;
  for (std::size_t g = 0; g < spec.groups.size(); ++g) {
    const auto units = static_cast<std::size_t>(spec.groups[g].units);
    const torch::Tensor alike = correlations[g].to(torch::kDouble).contiguous();
    groups.push_back({.name = spec.groups[g].name,
                      .units = spec.groups[g].units,
                      .zipped = g < zipped,
                      .zip = g < zipped
                                 ? zip_units(std::span(alike.data_ptr<double>(),
                                                       static_cast<std::size_t>(alike.numel())),
                                             networks, units, options.matching)
                                 : keep_apart(networks, units)});
  }
  return groups;
}

}  // namespace

ZipItMerge zipit(Networks networks, const PermutationSpec& spec,
                 const std::vector<torch::Tensor>& correlations, const ZipItOptions& options) {
  check_zip(networks, spec, correlations, options);
  const torch::NoGradGuard no_grad;
  ZipItMerge result;
  result.groups = zip_groups(spec, networks.size(), correlations, options);
  std::vector<double> apart;
  for (const ZipItGroup& group : result.groups) apart.push_back(group.zipped ? 0 : 1);
  const NamedTensors first = learning::state_of(*networks.front());
  result.cost = merge_cost(spec, first, apart, networks.size());

  const LayerZip zip(networks, spec, result.groups);
  NamedTensors made;
  std::vector<std::pair<std::string, std::int64_t>> widths;
  for (const LayerUnits& layer : spec.layers) {
    made.emplace_back(layer.name + ".weight", zip.weight(layer));
    widths.emplace_back(layer.name, made.back().second.size(0));
    if (zip.has_bias(layer)) made.emplace_back(layer.name + ".bias", zip.bias(layer));
  }
  for (const auto& [name, tensor] : first) {
    result.state.emplace_back(name, tensor_named(made, name, "the merged layers"));
  }
  result.description = widened(networks.front()->description(), widths);
  if (spec.own_outputs) {
    std::vector<OwnHead> heads;
    for (std::size_t k = 0; k < networks.size(); ++k) {
      heads.push_back({options.heads[k], &networks[k]->description()});
    }
    split_into_heads(heads, output_layer(spec), result.description, result.state);
  }
  return result;
}

std::shared_ptr<Network> network_of(const ZipItMerge& merge) {
  return learning::load_network(*as_source(merge.state, "merge by zipit"), merge.description);
}

}  // namespace amalgam::learned
