#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "amalgam/learning/gram.hpp"
#include "amalgam/learning/layer_gradients.hpp"
#include "amalgam/weights/learned/permutation.hpp"

namespace amalgam::learned {

/// Sums over what goes into one layer of two networks for the same examples, with z = (input rows,
/// 1): all that matching by activations and least squares need to know of the data, for every
/// permutation and every width of the result. Sums add, so parts of the data may be taken apart and
/// in any grouping.
struct PairGram {
  torch::Tensor left;      ///< sum z_left z_left^T, double [inputs + 1, inputs + 1]
  torch::Tensor right;     ///< sum z_right z_right^T
  torch::Tensor cross;     ///< sum z_left z_right^T
  std::int64_t taps = 1;   ///< columns per input channel: kernel * kernel of a Convolution
  std::uint64_t rows = 0;  ///< examples, times positions for convolutions

  void combine(const PairGram& more);
};

/// By the name of the layer.
using PairGrams = std::map<std::string, PairGram>;

/// Adds sums over other examples. InputError if they are not of the same layers.
void combine(PairGrams& sums, const PairGrams& more);

/// The sums over the images (labels are not looked at), in evaluation mode, accumulated in double.
/// The networks' outputs may be of different classes. InputError if the networks are otherwise not
/// of one kind, the data do not fit or are empty, or a layer's inputs are not finite.
PairGrams pair_grams(Network& left, Network& right, const learning::Dataset& data,
                     std::int64_t batch = 256);

/// What goes into a layer, in double, with a 1 at the end of each row. InputError naming the layer
/// if it is not finite.
torch::Tensor rows_with_one(const learning::LayerRecord& record);

/// InputError naming the first tensor in which the networks differ in name, shape or type, or that
/// is not finite, or what else in their descriptions differs (input, classes). `own_outputs`: their
/// classes, and the rows of the last layer that computes them, may differ.
void check_pair(const Network& left, const Network& right, bool own_outputs = false);

}  // namespace amalgam::learned
