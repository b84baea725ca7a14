#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/adapter_output.hpp"
#include "amalgam/weights/engine.hpp"

namespace amalgam {

/// How much of a change of a weight an adapter keeps.
struct CompressionOptions {
  std::optional<std::size_t> rank;  ///< at most this many singular values
  std::optional<double> energy;     ///< as few as hold this share of the sum of squares, in (0, 1]
};

/// What became of one weight.
struct CompressedModule {
  std::string name;
  std::size_t rank = 0;
  double energy = 1;  ///< the share of the sum of squares of the change that is kept
};

struct AdapterResult {
  NewAdapter adapter;
  std::vector<CompressedModule> modules;
};

struct ExtractOptions {
  CompressionOptions keep;
  bool transposed = false;       ///< the model stores its weights [inputs, outputs]
  std::uint64_t seed = 0;        ///< of the random projection for large matrices
  Progress* progress = nullptr;  ///< advanced by one per tensor
};

/// The difference tuned - base as a LoRA: every changed tensor "x.weight" of two or more axes by
/// its truncated singular value decomposition (randomised for large matrices, see truncated_svd),
/// whole what cannot be a product: vectors (norms, biases), tensors with other names, and
/// embeddings and heads with another number of rows than the base's. Unchanged tensors are left
/// out. InputError naming the tensor for other differences of shape or type, for tensors of the
/// base that the tuned model lacks (constants such as masks, and a head that repeats the embedding,
/// may be left out) and numbers that are not finite, or if nothing differs.
AdapterResult extract_adapter(const TensorSource& base, const TensorSource& tuned,
                              const ExtractOptions& options);

struct AdapterMergeOptions {
  /// "cat": the factors side by side, exactly the weighted sum of the changes; "exact": the same
  /// sum with the fewest factors that hold it (singular values below 1e-7 of the largest are
  /// dropped); "svd": the best approximation of it within `keep`; else the name of a merge rule,
  /// applied to the changes with a zero base, each module by itself, and the result compressed to
  /// `keep`.
  std::string method = "cat";
  std::vector<double> weights;          ///< cat, exact and svd: one per adapter; empty: all 1
  std::vector<std::string> parameters;  ///< of a merge rule, as given to -p
  CompressionOptions keep;
  EngineOptions engine;          ///< its seed draws random masks
  Progress* progress = nullptr;  ///< advanced by one per module
};

/// Merges LoRA adapters of one base. InputError for IA3 and DoRA, whose effect depends on the base,
/// for shapes that differ, for different tensors that several save whole, and, in cat, exact and
/// svd, for factors that are not finite.
AdapterResult merge_adapters(std::vector<Adapter> adapters, const AdapterMergeOptions& options);

/// The factors of a decomposition, its singular values shared out evenly, as far as `keep` wants:
/// `squares` is the sum of squares of the whole matrix.
CompressedModule compress(const struct LowRank& svd, double squares, const CompressionOptions& keep,
                          NewAdapterModule& module);

}  // namespace amalgam
