#include "amalgam/learning/batch_norm.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/learning/layer_gradients.hpp"
#include "amalgam/learning/network_file.hpp"

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

namespace {

// y = scale * x + shift of each channel, as a BatchNorm computes it in evaluation mode; double.
struct Affine {
  torch::Tensor scale;
  torch::Tensor shift;
};

Affine affine_of(const BatchNorm& norm) {
  const torch::Tensor zero = torch::zeros({1, norm.weight.size(0), 1, 1}, norm.weight.options());
  const torch::Tensor at_zero = norm.normalised(zero).flatten().to(torch::kDouble);
  const torch::Tensor at_one = norm.normalised(zero + 1).flatten().to(torch::kDouble);
  const torch::Tensor weight = norm.weight.detach().to(torch::kDouble);
  return {(at_one - at_zero) * weight, at_zero * weight + norm.bias.detach().to(torch::kDouble)};
}

// What follows each convolution, by the convolution's name.
std::map<std::string, Affine> norms_by_convolution(Network& network) {
  std::vector<std::int64_t> shape = network.description().input_shape;
  shape.insert(shape.begin(), 1);
  const LayerTrace trace(network, torch::zeros(shape), TracedLayers::all);
  std::map<std::string, Affine> found;
  const LayerRecord* before = nullptr;
  for (const LayerRecord& record : trace.layers()) {
    if (const auto* norm = dynamic_cast<const BatchNorm*>(record.layer)) {
      const bool follows =
          before != nullptr && record.input.data_ptr() == before->output.data_ptr();
      if (!follows || dynamic_cast<const Convolution*>(before->layer) == nullptr) {
        throw InputError("'{}' does not follow a convolution that it could be folded into",
                         record.name);
      }
      found[before->name] = affine_of(*norm);
    }
    before = &record;
  }
  return found;
}

}  // namespace

std::shared_ptr<Network> fold_batch_norm(Network& network) {
  if (!has_batch_norm(network)) throw InputError("the network has no BatchNorm to fold");
  const torch::NoGradGuard no_grad;
  const bool was_training = network.is_training();
  network.eval();
  const std::map<std::string, Affine> norms = norms_by_convolution(network);
  network.train(was_training);

  NetworkDescription description = network.description();
  description.options["batch_norm"] = false;
  auto folded = make_network(description, "a network without BatchNorm");
  folded->to(network.parameters().front().scalar_type());
  const NamedTensors state = state_of(network);
  for (auto& [name, tensor] : state_of(*folded)) {
    torch::Tensor target = tensor;
    const std::size_t dot = name.rfind('.');
    const auto norm = norms.find(name.substr(0, dot));
    if (norm != norms.end() && name.substr(dot) == ".bias") {
      target.copy_(norm->second.shift);
      continue;
    }
    const auto own = std::ranges::find(state, name, &NamedTensors::value_type::first);
    if (own == state.end()) throw Error("no tensor '{}' to fold BatchNorm into", name);
    torch::Tensor values = own->second.to(torch::kDouble);
    if (norm != norms.end()) values = values * norm->second.scale.view({-1, 1, 1, 1});
    target.copy_(values);
  }
  folded->eval();
  return folded;
}

}  // namespace amalgam::learning
