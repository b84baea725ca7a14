#include "amalgam/learning/pruning.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <set>
#include <tuple>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/learning/layers.hpp"

namespace amalgam::learning {
namespace {

// A weight that may be pruned; the lesser one goes first.
struct Candidate {
  double key = 0;  // its magnitude, or a random number
  std::size_t part = 0;
  std::int64_t element = 0;

  bool operator<(const Candidate& other) const {
    return std::tie(key, part, element) < std::tie(other.key, other.part, other.element);
  }
};
using Candidates = std::vector<Candidate>;

// How many to prune where `kept` of `all` weights are left.
using Count = std::function<std::uint64_t(std::uint64_t kept, std::uint64_t all)>;

std::uint64_t round_half_even(double value) {
  // nearbyint rounds as the mode says, which is to nearest, ties to even.
  return static_cast<std::uint64_t>(std::nearbyint(value));
}

void check_shape(const torch::Tensor& tensor, const PruningMask::Part& part) {
  if (tensor.sizes() == part.kept.sizes()) return;
  throw InputError("pruning: '{}' has shape [{}], but the mask [{}]", part.name,
                   fmt::join(tensor.sizes(), ", "), fmt::join(part.kept.sizes(), ", "));
}

Candidates candidates_of(const torch::Tensor& weight, const torch::Tensor& kept, std::size_t part,
                         RandomStream* random) {
  const torch::Tensor values = weight.detach().to(torch::kDouble).contiguous();
  const auto* value = values.data_ptr<double>();
  const auto* exists = kept.data_ptr<bool>();
  Candidates candidates;
  candidates.reserve(static_cast<std::size_t>(values.numel()));
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    // Drawn for what is pruned already too, so that a weight's number is its own.
    const double drawn = random != nullptr ? random->uniform() : 0;
    if (!exists[i]) continue;
    candidates.push_back({random != nullptr ? drawn : std::abs(value[i]), part, i});
  }
  return candidates;
}

// The lowest `count` of the candidates come first.
void lowest_first(Candidates& candidates, std::uint64_t count) {
  if (count < candidates.size()) {
    std::nth_element(candidates.begin(), std::next(candidates.begin(), static_cast<long>(count)),
                     candidates.end());
  }
}

PruningMask prune_by(const NamedTensors& weights, const PruningMask& mask, const Count& count,
                     const PruningOptions& options) {
  if (weights.size() != mask.parts().size()) {
    throw InputError("pruning: {} tensors, but the mask has {}", weights.size(),
                     mask.parts().size());
  }
  RandomStream random(options.seed, "random pruning");
  RandomStream* const keys =
      options.selector == PruningOptions::Selector::random ? &random : nullptr;
  std::vector<PruningMask::Part> parts;
  std::vector<Candidates> groups;  // of which some are pruned: one, or one per tensor
  parts.reserve(weights.size());
  groups.reserve(weights.size());
  for (std::size_t p = 0; p < weights.size(); ++p) {
    const auto& [name, weight] = weights[p];
    const PruningMask::Part& part = mask.parts()[p];
    if (name != part.name) {
      throw InputError("pruning: weights of '{}', but a mask of '{}'", name, part.name);
    }
    check_shape(weight, part);
    if (torch::isnan(weight).any().item<bool>()) {
      throw InputError("pruning: '{}' has a weight that is not a number", name);
    }
    parts.push_back({name, part.kept.clone()});
    groups.push_back(candidates_of(weight, part.kept, p, keys));
  }

  const bool uniform = options.selector == PruningOptions::Selector::uniform;
  std::vector<std::uint64_t> counts;
  counts.reserve(groups.size());
  for (std::size_t p = 0; p < groups.size() && uniform; ++p) {
    counts.push_back(count(groups[p].size(), static_cast<std::uint64_t>(parts[p].kept.numel())));
  }
  for (std::size_t p = 0; p < groups.size(); ++p) {
    const std::size_t free =
        groups[p].size() - std::min<std::size_t>(groups[p].size(), options.min_per_tensor);
    lowest_first(groups[p], free);
    groups[p].resize(free);
    if (uniform) counts[p] = std::min<std::uint64_t>(counts[p], free);
  }
  if (!uniform) {
    Candidates all;
    for (const Candidates& group : groups) all.insert(all.end(), group.begin(), group.end());
    counts = {count(mask.kept(), mask.weights())};
    if (counts[0] > all.size()) {
      throw InputError("pruning: {} of {} weights should go, but min_per_tensor = {} leaves {}",
                       counts[0], mask.kept(), options.min_per_tensor, all.size());
    }
    groups = {std::move(all)};
  }

  for (std::size_t g = 0; g < groups.size(); ++g) {
    lowest_first(groups[g], counts[g]);
    for (std::uint64_t i = 0; i < counts[g]; ++i) {
      const Candidate& pruned = groups[g][i];
      parts[pruned.part].kept.data_ptr<bool>()[pruned.element] = false;
    }
  }
  for (std::size_t p = 0; p < parts.size(); ++p) {
    if (!parts[p].kept.any().item<bool>() && mask.parts()[p].kept.any().item<bool>()) {
      log::warn("pruning: '{}' has no weights left (min_per_tensor would keep some)",
                parts[p].name);
    }
  }
  return PruningMask(std::move(parts));
}

void check_fraction(double fraction, std::string_view what) {
  if (std::isnan(fraction) || fraction < 0 || fraction > 1) {
    throw InputError("pruning: {} is {}; expected 0 to 1", what, fraction);
  }
}

}  // namespace

PruningMask::PruningMask(std::vector<Part> parts) : parts_(std::move(parts)) {
  for (Part& part : parts_) {
    part.kept = part.kept.to(torch::kBool).contiguous();
    weights_ += static_cast<std::uint64_t>(part.kept.numel());
    kept_ += static_cast<std::uint64_t>(part.kept.sum().item<std::int64_t>());
  }
}

const torch::Tensor* PruningMask::find(std::string_view name) const {
  const auto found = std::ranges::find(parts_, name, &Part::name);
  return found == parts_.end() ? nullptr : &found->kept;
}

double PruningMask::sparsity() const {
  return weights_ == 0 ? 0 : 1 - static_cast<double>(kept_) / static_cast<double>(weights_);
}

std::uint64_t PruningMask::hash() const {
  std::string bytes;
  for (const Part& part : parts_) {
    bytes += fmt::format("{}[{}]", part.name, fmt::join(part.kept.sizes(), ","));
    for (const std::uint8_t byte : pack_bits(part.kept)) bytes += static_cast<char>(byte);
  }
  return fnv1a64(bytes);
}

void PruningMask::apply(const NamedTensors& tensors) const {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors) {
    const auto part = std::ranges::find(parts_, name, &Part::name);
    if (part == parts_.end()) continue;
    check_shape(tensor, *part);
    torch::Tensor target = tensor;
    target.masked_fill_(part->kept.logical_not(), 0);
  }
}

double PruningMask::largest_outside(const NamedTensors& tensors) const {
  double largest = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto part = std::ranges::find(parts_, name, &Part::name);
    if (part == parts_.end()) continue;
    check_shape(tensor, *part);
    const torch::Tensor outside = tensor.detach().abs().masked_fill(part->kept, 0);
    if (outside.numel() > 0) largest = std::max(largest, outside.max().item<double>());
  }
  return largest;
}

std::vector<std::uint8_t> pack_bits(const torch::Tensor& kept) {
  const torch::Tensor flat = kept.contiguous();
  const auto* bit = flat.data_ptr<bool>();
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>((flat.numel() + 7) / 8));
  for (std::size_t i = 0; i < static_cast<std::size_t>(flat.numel()); ++i) {
    if (bit[i]) bytes[i / 8] = static_cast<std::uint8_t>(bytes[i / 8] | 1U << (i % 8));
  }
  return bytes;
}

NamedTensors prunable_weights(const Network& network) {
  NamedTensors weights;
  std::set<const void*> seen;
  for (const auto& module : network.named_modules(std::string(), /*include_self=*/false)) {
    torch::Tensor weight;
    if (const auto* linear = module.value()->as<Linear>()) weight = linear->weight;
    if (const auto* convolution = module.value()->as<Convolution>()) weight = convolution->weight;
    if (weight.defined() && seen.insert(weight.unsafeGetTensorImpl()).second) {
      weights.emplace_back(module.key() + ".weight", weight);
    }
  }
  if (weights.empty()) throw InputError("pruning: the network has no layer with prunable weights");
  return weights;
}

PruningMask full_mask(const NamedTensors& weights) {
  std::vector<PruningMask::Part> parts;
  parts.reserve(weights.size());
  for (const auto& [name, weight] : weights) {
    parts.push_back({name, torch::ones(weight.sizes(), torch::kBool)});
  }
  PruningMask mask(std::move(parts));
  if (mask.weights() == 0) throw InputError("pruning: there is no weight that could be pruned");
  return mask;
}

PruningMask union_of(const std::vector<PruningMask>& masks) {
  if (masks.empty()) throw InputError("pruning: the union of no masks");
  std::vector<PruningMask::Part> parts;
  parts.reserve(masks.front().parts().size());
  for (const PruningMask::Part& part : masks.front().parts()) {
    torch::Tensor kept = part.kept.clone();
    for (const PruningMask& mask : masks) {
      const torch::Tensor* other = mask.find(part.name);
      if (other == nullptr || mask.parts().size() != masks.front().parts().size()) {
        throw InputError("pruning: the masks are of different tensors ('{}')", part.name);
      }
      check_shape(*other, part);
      kept.logical_or_(*other);
    }
    parts.push_back({part.name, kept});
  }
  return PruningMask(std::move(parts));
}

PruningMask prune(const NamedTensors& weights, const PruningMask& mask, double fraction,
                  const PruningOptions& options) {
  check_fraction(fraction, "the fraction");
  const Count count = [fraction](std::uint64_t kept, std::uint64_t /*all*/) {
    return round_half_even(fraction * static_cast<double>(kept));
  };
  return prune_by(weights, mask, count, options);
}

PruningMask prune_to(const NamedTensors& weights, const PruningMask& mask, double sparsity,
                     const PruningOptions& options) {
  check_fraction(sparsity, "the sparsity");
  const Count count = [sparsity](std::uint64_t kept, std::uint64_t all) {
    const std::uint64_t wanted = round_half_even(sparsity * static_cast<double>(all));
    return wanted - std::min(wanted, all - kept);
  };
  return prune_by(weights, mask, count, options);
}

double phase_fraction(double sparsity, std::uint64_t phases) {
  if (std::isnan(sparsity) || sparsity < 0 || sparsity >= 1) {
    throw InputError("pruning: the sparsity is {}; expected at least 0 and less than 1", sparsity);
  }
  if (phases < 1) throw InputError("pruning: there are no phases; expected at least 1");
  // 1 - (1 - s)^(1/P) without cancellation.
  return -std::expm1(std::log1p(-sparsity) / static_cast<double>(phases));
}

double gradual_sparsity(double sparsity, std::uint64_t time, std::uint64_t times) {
  if (time > times || times < 1) {
    throw InputError("pruning: time {} of {}; expected at most the last", time, times);
  }
  const double left = 1 - static_cast<double>(time) / static_cast<double>(times);
  return sparsity * (1 - left * left * left);
}

double norm_drop(const NamedTensors& parameters, const PruningMask& mask) {
  double whole = 0;
  double pruned = 0;
  for (const auto& [name, tensor] : parameters) {
    const torch::Tensor squares = tensor.detach().to(torch::kDouble).square();
    whole += squares.sum().item<double>();
    const torch::Tensor* kept = mask.find(name);
    pruned += (kept == nullptr ? squares : squares * *kept).sum().item<double>();
  }
  return whole == 0 ? 0 : std::sqrt(std::abs(whole - pruned) / whole);
}

}  // namespace amalgam::learning
