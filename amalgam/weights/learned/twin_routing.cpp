#include "amalgam/weights/learned/twin_routing.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::learned {
namespace {

torch::Tensor shares_of(TwinNetwork& network, const learning::Dataset& data) {
  constexpr std::int64_t kBatch = 256;
  std::vector<torch::Tensor> parts;
  for (std::int64_t first = 0; first < data.count(); first += kBatch) {
    check_interrupt();
    parts.push_back(
        network.shares(data.inputs.narrow(0, first, std::min(kBatch, data.count() - first))));
  }
  return torch::cat(parts);
}

}  // namespace

torch::Tensor share_entropy(const torch::Tensor& shares) {
  const torch::Tensor logs = torch::where(shares > 0, shares, torch::ones_like(shares)).log();
  return -(shares * logs).sum(1);
}

RoutingReport routing_report(TwinNetwork& network, const learning::Dataset& data) {
  learning::check_fits(network, data);
  if (data.count() == 0) throw InputError("{}: no inputs to route", data.source);
  const torch::NoGradGuard no_grad;
  const torch::Tensor shares = shares_of(network, data);
  const torch::Tensor mean = shares.mean(0);
  const torch::Tensor routed = shares.sum(1) > 0;
  RoutingReport report;
  report.shares.assign(mean.data_ptr<double>(), mean.data_ptr<double>() + mean.numel());
  const auto count = routed.sum().item<double>();
  report.without_expert = 1 - count / static_cast<double>(data.count());
  if (count > 0) report.entropy = share_entropy(shares).sum().item<double>() / count;
  const std::vector<std::string>& heads = network.model().heads;
  if (heads.empty() || data.head.empty()) return report;
  torch::Tensor is_right = torch::zeros({static_cast<std::int64_t>(heads.size())}, torch::kBool);
  for (std::size_t k = 0; k < heads.size(); ++k) {
    is_right[static_cast<std::int64_t>(k)] = heads[k] == data.head;
  }
  report.chooses_head = is_right.index_select(0, shares.argmax(1)).logical_and(routed);
  return report;
}

}  // namespace amalgam::learned
