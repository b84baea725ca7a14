#include "amalgam/weights/learned/unit_moments.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/learning/layer_gradients.hpp"
#include "amalgam/weights/learned/pair_gram.hpp"

namespace amalgam::learned {
namespace {

using learning::LayerRecord;
using learning::LayerTrace;

// Networks in evaluation mode, as they were before when this ends.
class Evaluating {
 public:
  explicit Evaluating(std::span<const std::shared_ptr<Network>> networks) : networks_(networks) {
    for (const auto& network : networks_) {
      were_training_.push_back(network->is_training());
      network->eval();
    }
  }
  ~Evaluating() {
    for (std::size_t k = 0; k < networks_.size(); ++k) networks_[k]->train(were_training_[k]);
  }
  Evaluating(const Evaluating&) = delete;
  Evaluating& operator=(const Evaluating&) = delete;

 private:
  std::span<const std::shared_ptr<Network>> networks_;
  std::vector<bool> were_training_;
};

// [examples * pixels, units] of what went into the layer, in double.
torch::Tensor unit_columns(const LayerTrace& trace, const std::string& layer, std::int64_t units) {
  const auto found = std::ranges::find(trace.layers(), layer, &LayerRecord::name);
  if (found == trace.layers().end()) throw Error("layer '{}' was not computed", layer);
  const torch::Tensor& input = found->input;
  torch::Tensor columns = input.reshape({input.size(0), units, -1})
                              .transpose(1, 2)
                              .reshape({-1, units})
                              .to(torch::kDouble);
  if (!columns.isfinite().all().item<bool>()) {
    throw InputError("layer '{}': what goes into it is not finite", layer);
  }
  return columns;
}

UnitMoments moments_of(const std::vector<LayerTrace>& traces, const std::string& layer,
                       std::int64_t units) {
  std::vector<torch::Tensor> parts;
  parts.reserve(traces.size());
  for (const LayerTrace& trace : traces) parts.push_back(unit_columns(trace, layer, units));
  const torch::Tensor rows = torch::cat(parts, 1);
  return {rows.sum(0), rows.t().mm(rows), static_cast<std::uint64_t>(rows.size(0))};
}

}  // namespace

torch::Tensor correlation(const UnitSums& sums) {
  const torch::Tensor left = sums.left_sums / sums.rows;
  const torch::Tensor right = sums.right_sums / sums.rows;
  const torch::Tensor covariance = sums.products / sums.rows - torch::outer(left, right);
  const torch::Tensor left_variance = sums.left_squares / sums.rows - left.square();
  const torch::Tensor right_variance = sums.right_squares / sums.rows - right.square();
  // A unit that varies by no more than rounding is constant.
  const auto varies = [](const torch::Tensor& variance, const torch::Tensor& mean) {
    return variance > 1e-12 * (variance.abs() + mean.square());
  };
  const torch::Tensor known =
      varies(left_variance, left).unsqueeze(1) & varies(right_variance, right).unsqueeze(0);
  const torch::Tensor scale =
      torch::outer(left_variance.clamp_min(0), right_variance.clamp_min(0)).sqrt();
  return torch::where(known, covariance / scale, torch::zeros_like(covariance));
}

void UnitMoments::combine(const UnitMoments& more) {
  if (!sums.defined()) {
    *this = {more.sums.clone(), more.products.clone(), more.rows};
    return;
  }
  if (sums.sizes() != more.sums.sizes()) {
    throw InputError("sums over {} and over {} units cannot be added", sums.size(0),
                     more.sums.size(0));
  }
  sums += more.sums;
  products += more.products;
  rows += more.rows;
}

JointMoments joint_moments(std::span<const std::shared_ptr<Network>> networks,
                           const PermutationSpec& spec, const learning::Dataset& data,
                           std::int64_t batch) {
  if (networks.size() < 2) {
    throw InputError("units of {} networks; expected at least 2", networks.size());
  }
  for (const auto& network : networks.subspan(1)) {
    check_pair(*networks.front(), *network, /*own_outputs=*/true);
  }
  learning::check_fits(*networks.front(), data);
  if (data.count() == 0) throw InputError("{}: no examples for correlations", data.source);
  const torch::NoGradGuard no_grad;
  const Evaluating evaluating(networks);
  JointMoments moments;
  for (std::int64_t first = 0; first < data.count(); first += batch) {
    check_interrupt();
    const torch::Tensor images =
        data.inputs.narrow(0, first, std::min(batch, data.count() - first));
    std::vector<LayerTrace> traces;
    traces.reserve(networks.size());
    for (const auto& network : networks) traces.emplace_back(*network, images);
    for (const PermutationGroup& group : spec.groups) {
      for (const std::string& layer : group.consumers) {
        moments[layer].combine(moments_of(traces, layer, group.units));
      }
    }
  }
  return moments;
}

std::vector<torch::Tensor> joint_correlations(const PermutationSpec& spec,
                                              const JointMoments& moments) {
  std::vector<torch::Tensor> correlations;
  correlations.reserve(spec.groups.size());
  for (const PermutationGroup& group : spec.groups) {
    torch::Tensor sum;
    for (const std::string& layer : group.consumers) {
      const auto found = moments.find(layer);
      if (found == moments.end()) throw InputError("no sums over the units into layer '{}'", layer);
      const UnitMoments& of = found->second;
      if (of.sums.size(0) % group.units != 0 || of.sums.size(0) < 2 * group.units) {
        throw InputError("sums over {} units into layer '{}'; expected {} of each network",
                         of.sums.size(0), layer, group.units);
      }
      const torch::Tensor squares = of.products.diagonal();
      const torch::Tensor one = correlation(
          {squares, squares, of.sums, of.sums, of.products, static_cast<double>(of.rows)});
      sum = sum.defined() ? sum + one : one;
    }
    correlations.push_back(sum / static_cast<double>(group.consumers.size()));
  }
  return correlations;
}

}  // namespace amalgam::learned
