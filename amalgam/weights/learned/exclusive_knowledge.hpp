#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/learning/network_file.hpp"

namespace amalgam::learned {

using learning::NamedTensors;

/// How a task vector is made small.
enum class Compression {
  svd,        ///< of every matrix its largest singular values
  magnitude,  ///< of every tensor its largest entries
  drop        ///< of every tensor a random part, scaled up (DARE)
};

struct CompressionOptions {
  Compression kind = Compression::svd;
  /// The share that is kept, in [0, 1]: of the rank of a matrix, or of the entries. 0 keeps
  /// nothing at all.
  double density = 0.1;
  /// svd: this rank instead of a share of the shorter side.
  std::optional<std::uint64_t> rank;
  std::uint64_t seed = 0;  ///< of `drop` and of projections
};

/// One tensor of a compressed task vector: a product of factors, or all entries.
struct ExclusiveTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  torch::Tensor left;      ///< U [rows, rank], float; undefined unless factored
  torch::Tensor singular;  ///< S [rank]
  torch::Tensor right;     ///< V [rank, columns]
  torch::Tensor whole;     ///< in `shape`, float; undefined if factored

  bool factored() const { return left.defined(); }
  /// The tensor itself.
  torch::Tensor expanded() const;
  /// How many numbers are stored.
  std::int64_t numbers() const;
};

/// What one expert knows beyond a model that all share.
using ExclusiveModule = std::vector<ExclusiveTensor>;

/// Compresses the difference between an expert and the shared model (Lu et al. 2024, arXiv
/// 2406.15479, section 3.2). With svd, matrices and convolutions (as [outputs, the rest]) of which
/// r = max(1, floor(density min(rows, columns))) singular triples take less than their entries are
/// stored as factors; other tensors, vectors among them, whole. Tensors of which nothing is kept
/// are left out. Factors are float32, computed in float64. InputError for a density outside [0, 1]
/// and entries that are not finite, naming the tensor.
ExclusiveModule compress(const NamedTensors& difference, const CompressionOptions& options = {});

/// How many numbers a module stores.
std::int64_t numbers_of(const ExclusiveModule& module);

}  // namespace amalgam::learned
