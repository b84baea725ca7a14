#pragma once

#include <cstdint>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network.hpp"

namespace amalgam::learned {

struct LinearProbe {
  std::uint64_t epochs = 50;
  double learning_rate = 1e-3;  ///< of Adam, falling to a tenth in half a cosine
  std::uint64_t batch = 128;
  std::uint64_t seed = 0;  ///< of the order of the examples, another one in every epoch
};

/// Trains the head that `data` names (all outputs, if the network has no heads) anew, from zero, by
/// cross-entropy on the labels; everything before it stays as it is. Returns the mean loss of the
/// last epoch. InputError if the data do not fit, are texts or empty, or an option is out of its
/// range.
double fit_linear_probe(learning::Network& network, const learning::Dataset& data,
                        const LinearProbe& probe = {});

}  // namespace amalgam::learned
