#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/weights/learned/permutation.hpp"

// How alike units are in what they compute.
namespace amalgam::learned {

/// Sums over the data behind correlations of one list of units with another.
struct UnitSums {
  torch::Tensor left_squares;   ///< double [left units]
  torch::Tensor right_squares;  ///< [right units]
  torch::Tensor left_sums;      ///< [left units]
  torch::Tensor right_sums;     ///< [right units]
  torch::Tensor products;       ///< [left units, right units]
  double rows = 0;
};

/// Correlations in [-1, 1] up to rounding, double [left units, right units]; 0 where one of the two
/// is constant.
torch::Tensor correlation(const UnitSums& sums);

/// Sums over what goes into one layer of several networks for the same examples, z = the units of
/// all networks, the first network's first. Sums add, so parts of the data may be taken apart and
/// in any grouping.
struct UnitMoments {
  torch::Tensor sums;      ///< sum z, double [networks * units]
  torch::Tensor products;  ///< sum z z^T
  std::uint64_t rows = 0;  ///< examples, times the pixels of a channel

  void combine(const UnitMoments& more);
};

/// By the name of the layer.
using JointMoments = std::map<std::string, UnitMoments>;

/// The sums for every layer that units go into, over the images (labels are not looked at), in
/// evaluation mode, accumulated in double. `spec` is that of any of the networks. InputError for
/// fewer than two networks, as check_pair, if the data do not fit or are empty, or a layer's inputs
/// are not finite.
JointMoments joint_moments(std::span<const std::shared_ptr<Network>> networks,
                           const PermutationSpec& spec, const learning::Dataset& data,
                           std::int64_t batch = 256);

/// By group: the correlations of all units of all networks with one another, double [networks *
/// units, networks * units], as the mean over the layers they go into. InputError if `moments` lack
/// a layer or are of other units.
std::vector<torch::Tensor> joint_correlations(const PermutationSpec& spec,
                                              const JointMoments& moments);

}  // namespace amalgam::learned
