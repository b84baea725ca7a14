#include "amalgam/weights/learned/exclusive_knowledge.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/weights/low_rank.hpp"

namespace amalgam::learned {
namespace {

torch::Tensor as_floats(const std::vector<double>& values, std::int64_t rows,
                        std::int64_t columns) {
  return torch::tensor(values, torch::kDouble).view({rows, columns}).to(torch::kFloat);
}

std::uint64_t wanted_rank(const CompressionOptions& options, std::int64_t shorter) {
  const auto most = static_cast<std::uint64_t>(shorter);
  if (options.rank) return std::min(*options.rank, most);
  if (options.density == 0) return 0;
  return std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(options.density * static_cast<double>(shorter)));
}

ExclusiveTensor factored(const std::string& name, const torch::Tensor& difference,
                         const CompressionOptions& options) {
  ExclusiveTensor made{.name = name, .shape = difference.sizes().vec()};
  const std::int64_t rows = difference.size(0);
  const std::int64_t columns = difference.numel() / std::max<std::int64_t>(rows, 1);
  const std::uint64_t rank = wanted_rank(options, std::min(rows, columns));
  const auto numbers = static_cast<std::int64_t>(rank) * (rows + columns);
  if (rank == 0) return made;
  if (numbers >= difference.numel()) {
    made.whole = difference.to(torch::kFloat);
    return made;
  }
  const torch::Tensor matrix = difference.to(torch::kDouble).contiguous();
  const LowRank low =
      truncated_svd({matrix.data_ptr<double>(), static_cast<std::size_t>(matrix.numel())},
                    static_cast<std::size_t>(rows), static_cast<std::size_t>(columns), rank,
                    {.seed = options.seed ^ fnv1a64(name)});
  const auto r = static_cast<std::int64_t>(rank);
  made.left = as_floats(low.left, rows, r);
  made.singular = as_floats(low.singular, r, 1).flatten();
  made.right = as_floats(low.right, r, columns);
  return made;
}

// Exactly round(density n) entries; of equal ones those that come first.
torch::Tensor largest_entries(const torch::Tensor& difference, double density) {
  const torch::Tensor flat = difference.to(torch::kFloat).flatten();
  const auto kept =
      static_cast<std::int64_t>(std::nearbyint(density * static_cast<double>(flat.numel())));
  const torch::Tensor order =
      std::get<1>(flat.abs().sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
  const torch::Tensor chosen = order.narrow(0, 0, kept);
  return torch::zeros_like(flat)
      .index_copy(0, chosen, flat.index_select(0, chosen))
      .view(difference.sizes());
}

torch::Tensor random_entries(const torch::Tensor& difference, const std::string& name,
                             const CompressionOptions& options) {
  torch::Tensor kept = difference.to(torch::kFloat).contiguous().clone();
  RandomStream random(options.seed, "drop " + name);
  auto* values = kept.data_ptr<float>();
  for (std::int64_t i = 0; i < kept.numel(); ++i) {
    values[i] =
        random.uniform() < options.density ? static_cast<float>(values[i] / options.density) : 0.0F;
  }
  return kept;
}

ExclusiveTensor compressed(const std::string& name, const torch::Tensor& difference,
                           const CompressionOptions& options) {
  const bool is_matrix = difference.dim() == 2 || difference.dim() == 4;
  if (is_matrix && options.kind == Compression::svd) return factored(name, difference, options);
  ExclusiveTensor made{.name = name, .shape = difference.sizes().vec()};
  const bool nothing = options.rank ? *options.rank == 0 : options.density == 0;
  if (nothing) return made;
  if (!is_matrix) {
    made.whole = difference.to(torch::kFloat).clone();
  } else if (options.kind == Compression::magnitude) {
    made.whole = largest_entries(difference, options.density);
  } else {
    made.whole = random_entries(difference, name, options);
  }
  return made;
}

}  // namespace

torch::Tensor ExclusiveTensor::expanded() const {
  if (!factored()) return whole;
  return (left * singular).matmul(right).view(shape);
}

std::int64_t ExclusiveTensor::numbers() const {
  return factored() ? left.numel() + singular.numel() + right.numel() : whole.numel();
}

ExclusiveModule compress(const NamedTensors& difference, const CompressionOptions& options) {
  if (!(options.density >= 0 && options.density <= 1)) {
    throw InputError("compression to a density of {}; expected a share in [0, 1]", options.density);
  }
  ExclusiveModule module;
  for (const auto& [name, tensor] : difference) {
    if (!torch::isfinite(tensor).all().item<bool>()) {
      throw InputError("tensor '{}' of a task vector is not finite", name);
    }
    if (tensor.numel() == 0) continue;
    ExclusiveTensor made = compressed(name, tensor, options);
    if (made.factored() || made.whole.defined()) module.push_back(std::move(made));
  }
  return module;
}

std::int64_t numbers_of(const ExclusiveModule& module) {
  std::int64_t sum = 0;
  for (const ExclusiveTensor& tensor : module) sum += tensor.numbers();
  return sum;
}

}  // namespace amalgam::learned
