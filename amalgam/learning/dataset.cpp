#include "amalgam/learning/dataset.hpp"

#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "amalgam/core/error.hpp"

namespace amalgam::learning {

ImageSize Dataset::size() const {
  return {static_cast<std::size_t>(inputs.size(1)), static_cast<std::size_t>(inputs.size(2)),
          static_cast<std::size_t>(inputs.size(3))};
}

Dataset Dataset::range(std::uint64_t first, std::uint64_t wanted) const {
  const auto available = static_cast<std::uint64_t>(count());
  if (wanted == 0 || first > available || wanted > available - first) {
    throw InputError("{}: examples {} to {} were asked for, but there are {}", source, first,
                     first + wanted, available);
  }
  const auto begin = static_cast<std::int64_t>(first);
  const auto length = static_cast<std::int64_t>(wanted);
  Dataset part = *this;
  part.inputs = inputs.narrow(0, begin, length);
  part.labels = labels.narrow(0, begin, length);
  if (soft_labels.defined()) part.soft_labels = soft_labels.narrow(0, begin, length);
  if (targets.defined()) part.targets = targets.narrow(0, begin, length);
  return part;
}

Dataset Dataset::select(std::span<const std::size_t> indices) const {
  if (indices.empty()) throw InputError("{}: no examples are left", source);
  torch::Tensor places = torch::empty({static_cast<std::int64_t>(indices.size())}, torch::kLong);
  std::copy(indices.begin(), indices.end(), places.data_ptr<std::int64_t>());
  Dataset part = *this;
  part.inputs = inputs.index_select(0, places);
  part.labels = labels.index_select(0, places);
  if (soft_labels.defined()) part.soft_labels = soft_labels.index_select(0, places);
  if (targets.defined()) part.targets = targets.index_select(0, places);
  return part;
}

Dataset to_tensors(const LabelledImages& images) {
  const auto count = static_cast<std::int64_t>(images.count());
  Dataset data;
  data.source = images.source;
  data.class_names = images.class_names;
  data.inputs = torch::empty(
      {count, static_cast<std::int64_t>(images.channels), static_cast<std::int64_t>(images.rows),
       static_cast<std::int64_t>(images.columns)},
      torch::kFloat);
  std::transform(images.pixels.begin(), images.pixels.end(), data.inputs.data_ptr<float>(),
                 [](std::uint8_t pixel) { return static_cast<float>(pixel) / 255.0F; });
  data.labels = torch::empty({count}, torch::kLong);
  std::copy(images.labels.begin(), images.labels.end(), data.labels.data_ptr<std::int64_t>());
  return data;
}

Dataset joined(std::span<const Dataset> parts) {
  if (parts.empty()) throw InputError("there are no data sets to join");
  const auto like = [](const torch::Tensor& a, const torch::Tensor& b) {
    return a.scalar_type() == b.scalar_type() && a.sizes().slice(1) == b.sizes().slice(1);
  };
  std::vector<torch::Tensor> inputs;
  std::vector<torch::Tensor> labels;
  std::vector<torch::Tensor> soft_labels;
  std::vector<torch::Tensor> targets;
  for (const Dataset& part : parts) {
    if (!like(part.inputs, parts[0].inputs) || !like(part.labels, parts[0].labels)) {
      throw InputError("{} and {}: examples of shape [{}] and [{}] cannot be joined",
                       parts[0].source, part.source,
                       fmt::join(parts[0].inputs.sizes().slice(1), ", "),
                       fmt::join(part.inputs.sizes().slice(1), ", "));
    }
    if (part.soft_labels.defined() != parts[0].soft_labels.defined()) {
      throw InputError("{} and {}: only one of them has soft labels", parts[0].source, part.source);
    }
    if (part.predicts_numbers() != parts[0].predicts_numbers()) {
      throw InputError("{} and {}: only one of them has numbers to predict", parts[0].source,
                       part.source);
    }
    inputs.push_back(part.inputs);
    labels.push_back(part.labels);
    if (part.soft_labels.defined()) soft_labels.push_back(part.soft_labels);
    if (part.targets.defined()) targets.push_back(part.targets);
  }
  Dataset all = parts[0];
  if (!soft_labels.empty()) all.soft_labels = torch::cat(soft_labels);
  if (!targets.empty()) all.targets = torch::cat(targets);
  all.inputs = torch::cat(inputs);
  all.labels = torch::cat(labels);
  return all;
}

Dataset corrupted(const Dataset& data, const Corruption& corruption, std::uint64_t seed) {
  const ImageSize size = data.size();
  const ImageSize changed = corrupted_size(size, corruption);
  Dataset result = data;
  result.inputs = torch::empty(
      {data.count(), static_cast<std::int64_t>(changed.channels),
       static_cast<std::int64_t>(changed.rows), static_cast<std::int64_t>(changed.columns)},
      torch::kFloat);
  const torch::Tensor images = data.inputs.contiguous();
  const float* from = images.data_ptr<float>();
  float* to = result.inputs.data_ptr<float>();
  at::parallel_for(0, data.count(), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto index = static_cast<std::size_t>(i);
      corrupt_image({from + index * size.values(), size.values()}, size, corruption, seed, index,
                    {to + index * changed.values(), changed.values()});
    }
  });
  return result;
}

ChannelStatistics channel_statistics(const Dataset& data) {
  ChannelStatistics statistics;
  for (std::int64_t channel = 0; channel < data.inputs.size(1); ++channel) {
    const torch::Tensor values = data.inputs.select(1, channel).to(torch::kDouble);
    statistics.mean.push_back(values.mean().item<double>());
    // A channel of one value everywhere has nothing to scale.
    const double deviation = values.std(false).item<double>();
    statistics.deviation.push_back(deviation > 0 ? deviation : 1.0);
  }
  return statistics;
}

namespace {

void check_soft_labels(const Dataset& data) {
  if (!data.soft_labels.defined()) return;
  const std::vector<std::int64_t> expected{data.count(),
                                           static_cast<std::int64_t>(data.class_names.size())};
  if (data.is_text() || data.soft_labels.sizes() != expected) {
    throw InputError(
        "{}: soft labels of shape {}; expected {}, and none of "
        "text",
        data.source, data.soft_labels.sizes().vec(), expected);
  }
}

void check_tokens(const NetworkDescription& description, const Dataset& data) {
  if (data.inputs.dim() != 2 || data.inputs.scalar_type() != torch::kLong) {
    throw InputError("{}: the network reads text, but these are not sequences of tokens",
                     data.source);
  }
  if (data.inputs.size(1) > description.input_shape[0]) {
    throw InputError("{}: sequences of {} tokens, but the network reads at most {}", data.source,
                     data.inputs.size(1), description.input_shape[0]);
  }
  if (data.inputs.numel() == 0) return;
  const auto largest = data.inputs.max().item<std::int64_t>();
  if (largest >= description.classes() || data.inputs.min().item<std::int64_t>() < 0) {
    throw InputError("{}: token {}, but the network's vocabulary has {}", data.source, largest,
                     description.classes());
  }
}

}  // namespace

void check_fits(const Network& network, const Dataset& data) {
  const NetworkDescription& description = network.description();
  const std::vector<std::int64_t> shape(data.inputs.sizes().begin() + 1, data.inputs.sizes().end());
  if (description.takes_tokens()) {
    check_tokens(description, data);
  } else if (shape != description.input_shape) {
    throw InputError("{}: inputs of shape {}, but the network takes {}", data.source, shape,
                     description.input_shape);
  }
  check_soft_labels(data);
  if (!data.encoding.is_null() && data.encoding != description.input_encoding) {
    throw InputError(
        "{}: its columns or tokens are numbered otherwise than those that the network was trained"
        " on",
        data.source);
  }
  const Head head = description.head(data.head, data.source);
  if (static_cast<std::int64_t>(data.class_names.size()) == head.classes) return;
  if (!data.head.empty()) {
    throw InputError("{}: {} classes, but the network's head '{}' has {}", data.source,
                     data.class_names.size(), data.head, head.classes);
  }
  std::string heads;
  for (const Head& one : description.heads) {
    heads += fmt::format("{}{} ({})", heads.empty() ? "; name one of its heads: " : ", ", one.name,
                         one.classes);
  }
  throw InputError("{}: {} classes, but the network has {} outputs{}", data.source,
                   data.class_names.size(), head.classes, heads);
}

void check_classes(const Dataset& data, const std::string& what) {
  if (!data.predicts_numbers()) return;
  throw InputError("{}: '{}' is a number to predict; {} needs classes", data.source,
                   data.class_names.front(), what);
}

torch::Tensor logits_of_head(const Network& network, const Dataset& data,
                             const torch::Tensor& logits) {
  if (data.head.empty()) return logits;
  const Head head = network.description().head(data.head, data.source);
  return logits.narrow(-1, head.first, head.classes);
}

}  // namespace amalgam::learning
