#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "amalgam/learning/recipe.hpp"
#include "amalgam/weights/learned/sparse_training.hpp"

// How the methods of sparse_training.hpp that learn what to prune compute: a tensor of dense
// weights and some numbers beside it become what the network runs with.
namespace amalgam::learned {

/// What the numbers beside the weights learn from: dL of what was run.
struct WeightGradients {
  torch::Tensor dense;
  torch::Tensor beside;  ///< the penalty's part included
};

class Reparameterisation {
 public:
  virtual ~Reparameterisation() = default;
  /// The numbers beside a tensor at the start of training.
  virtual torch::Tensor beside(const torch::Tensor& dense) const = 0;
  /// What the network runs with. May set `beside` anew.
  virtual torch::Tensor effective(const torch::Tensor& dense, torch::Tensor& beside) const = 0;
  /// The chain rule, from the gradient at what `effective` gave.
  virtual WeightGradients gradients(const torch::Tensor& dense, const torch::Tensor& beside,
                                    const torch::Tensor& gradient) const = 0;
  /// Which weights exist in the end.
  virtual torch::Tensor kept(const torch::Tensor& dense, const torch::Tensor& beside) const = 0;
  /// Whether weight decay is for the numbers beside the weights too.
  virtual bool decays() const { return false; }
  /// Called before step `step` of `steps`.
  virtual void advance(std::uint64_t /*step*/, std::uint64_t /*steps*/) {}
};

/// For soft_threshold, continuous and unit_threshold.
std::unique_ptr<Reparameterisation> make_reparameterisation(const SparseTrainingOptions& options);

}  // namespace amalgam::learned
