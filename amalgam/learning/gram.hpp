#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network_file.hpp"

namespace amalgam::learning {

/// Sums over the rows that went into one layer: what least squares need to know of any number of
/// examples. Sums add, so parts of the data may be taken apart and in any grouping.
struct GramSum {
  torch::Tensor products;  ///< sum x x^T, double [inputs, inputs]
  std::uint64_t rows = 0;  ///< examples, times positions at which the layer is used

  void combine(const GramSum& right);
  /// products / rows.
  torch::Tensor mean() const;
};

/// By the name of the layer ("layers.0").
using GramSums = std::map<std::string, GramSum>;

/// The rows of a layer's input: [examples * positions, inputs] of a Linear (one position unless it
/// sees tokens), the patches [examples * positions, inputs * kernel * kernel] of a Convolution, in
/// the order of its flattened weight.
torch::Tensor input_rows(const Layer& layer, const torch::Tensor& input);

/// The Gram sums of every Linear and Convolution of the network over the images (labels are not
/// looked at), in evaluation mode, accumulated in double. InputError if the data do not fit or are
/// empty.
GramSums gram_sums(Network& network, const Dataset& data, std::int64_t batch = 256);

/// "<layer>.gram" and "<layer>.rows", for a file; and back. InputError naming `where`.
NamedTensors to_tensors(const GramSums& sums);
GramSums gram_sums_from(const NamedTensors& tensors, const std::string& where);

}  // namespace amalgam::learning
