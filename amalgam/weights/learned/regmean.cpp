#include "amalgam/weights/learned/regmean.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "amalgam/core/error.hpp"

namespace amalgam::learned {
namespace {

constexpr double kRidge = 1e-9;

std::vector<double> shares_of(const RegMeanOptions& options, std::size_t members) {
  if (options.shares.empty())
    return std::vector<double>(members, 1.0 / static_cast<double>(members));
  const double sum = std::accumulate(options.shares.begin(), options.shares.end(), 0.0);
  const bool fits = options.shares.size() == members && sum > 0 && std::isfinite(sum) &&
                    std::ranges::all_of(options.shares, [](double share) { return share >= 0; });
  if (!fits) throw InputError("regmean: expected {} shares of at least 0, not all 0", members);
  std::vector<double> shares = options.shares;
  for (double& share : shares) share /= sum;
  return shares;
}

std::vector<torch::Tensor> same_tensor(const std::vector<const NamedTensors*>& members,
                                       const std::string& name) {
  std::vector<torch::Tensor> tensors;
  tensors.reserve(members.size());
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto found = std::ranges::find(*members[i], name, &NamedTensors::value_type::first);
    if (found == members[i]->end() || (i > 0 && found->second.sizes() != tensors.front().sizes())) {
      throw InputError("regmean: tensor '{}' of the first member is {} in member {}", name,
                       found == members[i]->end() ? "missing" : "of another shape", i + 1);
    }
    tensors.push_back(found->second.detach().to(torch::kDouble));
  }
  return tensors;
}

torch::Tensor shrunk(const torch::Tensor& gram, double off_diagonal) {
  return off_diagonal * gram + (1 - off_diagonal) * torch::diag(torch::diag(gram));
}

// The minimiser about the average A: W = A + (sum_i s_i (W_i - A) G_i)(sum_i s_i G_i)^-1.
torch::Tensor solve_layer(const std::vector<torch::Tensor>& weights, const torch::Tensor& average,
                          const std::vector<torch::Tensor>& grams,
                          const std::vector<double>& shares, const std::string& name) {
  const torch::Tensor centre = average.flatten(1);
  torch::Tensor normal = torch::zeros_like(grams.front());
  torch::Tensor moved = torch::zeros_like(centre);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (grams[i].size(0) != centre.size(1)) {
      throw InputError("regmean: layer of '{}' has {} inputs, but the Gram matrix of member {} {}",
                       name, centre.size(1), i + 1, grams[i].size(0));
    }
    normal += shares[i] * grams[i];
    moved += shares[i] * (weights[i].flatten(1) - centre).mm(grams[i]);
  }
  const double scale = torch::diag(normal).mean().item<double>();
  if (!std::isfinite(scale)) throw InputError("regmean: a Gram matrix of '{}' is not finite", name);
  if (scale == 0) return average;
  normal += kRidge * scale * torch::eye(normal.size(0), normal.options());
  const torch::Tensor factor = torch::linalg_cholesky(normal);
  return (centre + torch::cholesky_solve(moved.t(), factor).t()).view(average.sizes());
}

}  // namespace

NamedTensors regmean(const std::vector<const NamedTensors*>& members,
                     const std::vector<const GramSums*>& grams, const RegMeanOptions& options) {
  if (members.empty() || members.size() != grams.size()) {
    throw InputError("regmean: {} members and {} sets of Gram matrices; expected one each",
                     members.size(), grams.size());
  }
  const bool is_share = options.off_diagonal >= 0 && options.off_diagonal <= 1;
  if (!is_share) {
    throw InputError("regmean: off_diagonal is {}; expected 0 to 1", options.off_diagonal);
  }
  const std::vector<double> shares = shares_of(options, members.size());
  const torch::NoGradGuard no_grad;
  NamedTensors merged;
  for (const auto& [name, first] : *members.front()) {
    const std::vector<torch::Tensor> tensors = same_tensor(members, name);
    torch::Tensor average = torch::zeros_like(tensors.front());
    for (std::size_t i = 0; i < tensors.size(); ++i) average += shares[i] * tensors[i];
    constexpr std::string_view kWeight = ".weight";
    const std::string layer =
        name.ends_with(kWeight) ? name.substr(0, name.size() - kWeight.size()) : std::string();
    std::vector<torch::Tensor> means;
    for (const GramSums* sums : grams) {
      const auto found = sums->find(layer);
      if (found != sums->end()) means.push_back(shrunk(found->second.mean(), options.off_diagonal));
    }
    if (!means.empty() && means.size() != members.size()) {
      throw InputError("regmean: layer '{}' has a Gram matrix of some members only", layer);
    }
    if (!means.empty()) average = solve_layer(tensors, average, means, shares, name);
    merged.emplace_back(name, average.to(first.scalar_type()));
  }
  return merged;
}

}  // namespace amalgam::learned
