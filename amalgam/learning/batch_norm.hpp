#pragma once

#include <cstdint>
#include <memory>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network.hpp"

namespace amalgam::learning {

/// Whether the network has layers with statistics of the data.
bool has_batch_norm(const Network& network);

/// Gives every BatchNorm the mean and the unbiased variance of what goes into it over the data
/// (labels are not looked at): what averaged weights need, whose layers give other values than
/// those that the averaged statistics are of. The network runs once over the data in batches, each
/// normalised by its own statistics as in training (PyTorch's update_bn), but the result is exact
/// for all examples and positions together, accumulated in double: with one batch for all data it
/// is what evaluation then sees, layer by layer. The same data, batch and threads give the same
/// bits. The network is in the mode it was in afterwards. InputError if the data do not fit, are
/// fewer than two examples, or make a layer's inputs not finite.
void reset_batch_norm(Network& network, const Dataset& data, std::int64_t batch = 512);

/// A network that computes the same in evaluation mode without BatchNorm, whose scale and shift are
/// in weights and biases of the convolutions before: for methods that change layers one by one. It
/// is of the same architecture (resnet) with `batch_norm: false`. InputError if there is nothing to
/// fold, or a BatchNorm does not follow a convolution.
std::shared_ptr<Network> fold_batch_norm(Network& network);

}  // namespace amalgam::learning
