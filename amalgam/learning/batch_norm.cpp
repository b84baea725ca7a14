#include "amalgam/learning/batch_norm.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::learning {
namespace {

// Mean and sum of squared deviations of each channel, merged batch by batch (Chan et al. 1979).
struct Moments {
  double count = 0;
  torch::Tensor mean;    // double [channels]
  torch::Tensor square;  // double [channels], sum of (x - mean)^2

  void absorb(const torch::Tensor& x) {
    const torch::Tensor rows = x.detach().transpose(0, 1).flatten(1).to(torch::kDouble);
    const auto added = static_cast<double>(rows.size(1));
    const torch::Tensor its_mean = rows.mean(1);
    const torch::Tensor its_square = (rows - its_mean.unsqueeze(1)).square().sum(1);
    if (count == 0) {
      mean = its_mean;
      square = its_square;
    } else {
      const torch::Tensor step = its_mean - mean;
      square = square + its_square + step.square() * (count * added / (count + added));
      mean = mean + step * (added / (count + added));
    }
    count += added;
  }
};

std::vector<std::shared_ptr<BatchNorm>> norms_of(const Network& network) {
  std::vector<std::shared_ptr<BatchNorm>> norms;
  for (const auto& module : network.modules(/*include_self=*/false)) {
    if (auto norm = std::dynamic_pointer_cast<BatchNorm>(module)) norms.push_back(norm);
  }
  return norms;
}

}  // namespace

bool has_batch_norm(const Network& network) { return !norms_of(network).empty(); }

void reset_batch_norm(Network& network, const Dataset& data, std::int64_t batch) {
  check_fits(network, data);
  if (batch < 2 || data.count() < 2) {
    throw InputError("{}: {} examples in batches of {} for BatchNorm; expected at least two",
                     data.source, data.count(), batch);
  }
  const torch::NoGradGuard no_grad;
  const bool was_training = network.is_training();
  network.train();
  std::map<const Layer*, Moments> moments;
  for (std::int64_t first = 0; first < data.count();) {
    check_interrupt();
    std::int64_t count = std::min(batch, data.count() - first);
    if (data.count() - first - count == 1) ++count;  // a single example has no variance
    network.forward(data.inputs.narrow(0, first, count),
                    [&](const Layer& layer, const torch::Tensor& input, const torch::Tensor&) {
                      if (dynamic_cast<const BatchNorm*>(&layer) != nullptr) {
                        moments[&layer].absorb(input);
                      }
                    });
    first += count;
  }
  for (const auto& norm : norms_of(network)) {
    const Moments& found = moments.at(norm.get());
    const torch::Tensor variance = found.square / (found.count - 1);
    if (!found.mean.isfinite().all().item<bool>() || !variance.isfinite().all().item<bool>()) {
      throw InputError("{}: what goes into a BatchNorm is not finite", data.source);
    }
    norm->running_mean.copy_(found.mean);
    norm->running_var.copy_(variance);
  }
  network.train(was_training);
}

}  // namespace amalgam::learning
