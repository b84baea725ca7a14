#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "amalgam/data/corruption.hpp"
#include "amalgam/data/images.hpp"
#include "amalgam/learning/network.hpp"

namespace amalgam::learning {

/// Labelled examples as tensors.
struct Dataset {
  std::string source;
  torch::Tensor inputs;  ///< images: float [count, channels, rows, columns], values in [0, 1]
  torch::Tensor labels;  ///< int64 [count]
  std::vector<std::string> class_names;

  std::int64_t count() const { return labels.size(0); }
  ImageSize size() const;
  /// The examples [first, first + wanted). InputError if there are not so many.
  Dataset range(std::uint64_t first, std::uint64_t wanted) const;
};

Dataset to_tensors(const LabelledImages& images);

/// A copy with every image changed; see corrupt_image.
Dataset corrupted(const Dataset& data, const Corruption& corruption, std::uint64_t seed);

/// The mean and standard deviation of every channel's values.
struct ChannelStatistics {
  std::vector<double> mean;
  std::vector<double> deviation;
};
ChannelStatistics channel_statistics(const Dataset& data);

/// InputError unless the network takes these images and has as many classes.
void check_fits(const Network& network, const Dataset& data);

}  // namespace amalgam::learning
