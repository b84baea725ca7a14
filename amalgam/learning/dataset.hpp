#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "amalgam/data/corruption.hpp"
#include "amalgam/data/images.hpp"
#include "amalgam/learning/network.hpp"

namespace amalgam::learning {

/// Labelled examples as tensors. A table is images of one pixel, whose channels are its columns;
/// text is sequences of tokens, each labelled with the token that follows it.
struct Dataset {
  std::string source;
  /// Float [count, channels, rows, columns], images with values in [0, 1]; of text int64 [count,
  /// context].
  torch::Tensor inputs;
  torch::Tensor labels;  ///< int64 [count]; of text [count, context]
  std::vector<std::string> class_names;
  std::string head = {};  ///< of a network, which the labels are for; empty: all its outputs

  /// How the examples became numbers, for tables and texts; null for images. See encoding.hpp.
  nlohmann::json encoding = {};

  /// Float [count, classes], rows that sum to 1: what is trained on in place of
  /// `labels`, by which the examples are still judged. Undefined: the labels.
  torch::Tensor soft_labels = {};

  /// Float [count]: numbers to predict, scaled as `encoding` says, in place of labels (which are
  /// then 0, of the one class that is named after the numbers). Undefined: the labels are classes.
  torch::Tensor targets = {};

  std::int64_t count() const { return labels.size(0); }
  bool predicts_numbers() const { return targets.defined(); }
  bool is_text() const { return inputs.dim() == 2; }
  /// Images of more than one pixel: what can be shifted, cut or corrupted.
  bool is_images() const { return inputs.dim() == 4 && inputs.size(2) * inputs.size(3) > 1; }
  ImageSize size() const;
  /// The examples [first, first + wanted). InputError if there are not so many.
  Dataset range(std::uint64_t first, std::uint64_t wanted) const;
  /// Copies of the examples at `indices`, in that order. InputError if there are none.
  Dataset select(std::span<const std::size_t> indices) const;
};

Dataset to_tensors(const LabelledImages& images);

/// The examples of several data sets one after the other, with the classes, encoding and head of
/// the first one. InputError if there are none, or inputs or labels differ in shape or type.
Dataset joined(std::span<const Dataset> parts);

/// A copy with every image changed; see corrupt_image.
Dataset corrupted(const Dataset& data, const Corruption& corruption, std::uint64_t seed);

/// The mean and standard deviation of every channel's values.
struct ChannelStatistics {
  std::vector<double> mean;
  std::vector<double> deviation;
};
ChannelStatistics channel_statistics(const Dataset& data);

/// InputError unless the network takes these inputs, and the data's head is one of its heads with
/// as many classes as the data have.
void check_fits(const Network& network, const Dataset& data);

/// InputError if the data have numbers to predict where `what` needs classes.
void check_classes(const Dataset& data, const std::string& what);

/// The columns of the data's head among a network's logits [..., outputs]: what labels and class
/// names are about. InputError if the network has no such head.
torch::Tensor logits_of_head(const Network& network, const Dataset& data,
                             const torch::Tensor& logits);

}  // namespace amalgam::learning
