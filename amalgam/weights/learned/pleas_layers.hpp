#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "amalgam/weights/learned/layer_pair.hpp"
#include "amalgam/weights/learned/pleas.hpp"

// What the solvers of PLeaS share (pleas.cpp, pleas_adam.cpp).
namespace amalgam::learned {

/// A layer of the result on its way.
struct PairedLayer {
  std::string name;
  LayerPair pair;
  std::int64_t columns = 0;  ///< of the weights of one network, the bias included
  bool is_fitted = true;     ///< not for outputs of the networks' own
  std::vector<std::int64_t> shape;
  torch::Tensor weight;  ///< as LayerPair has it; at first that of partial merging
  PleasLayer report;
};

/// Sets weights and reports of the layers that are fitted.
using FitLayers = std::function<void(std::vector<PairedLayer>& layers)>;

/// Merges with weights as `fit` sets them, or as partial merging does if it is empty.
PleasMerge merge_pair(const Network& left, const Network& right, const PermutationSpec& spec,
                      const Matching& matching, const PleasOptions& options, const FitLayers& fit);

}  // namespace amalgam::learned
