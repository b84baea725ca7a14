#pragma once

#include <memory>

#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/pruning.hpp"
#include "amalgam/learning/recipe.hpp"

namespace amalgam::learning {

/// One of libtorch's optimisers over a network's parameters, whose memory (momentum, moments,
/// number of steps) can be taken out and put back, so that a run can go on where it stopped.
class Optimizer {
 public:
  Optimizer(const Network& network, const OptimizerOptions& options);

  void zero_gradients() { optimizer_->zero_grad(); }
  /// One step at `factor` times the highest learning rate, after clipping gradients. What does not
  /// exist by `mask` (null: everything exists) has no gradient, and is 0 afterwards, as is what is
  /// remembered of it.
  void step(double factor, const PruningMask* mask = nullptr);

  /// "<parameter>/<what>" for everything remembered.
  NamedTensors memory() const;
  /// Puts back what memory() gave. InputError naming `where` if something is missing.
  void restore(const NamedTensors& memory, const std::string& where);

 private:
  void clear_outside(const PruningMask& mask);

  OptimizerOptions options_;
  NamedTensors parameters_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
};

}  // namespace amalgam::learning
