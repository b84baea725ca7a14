#pragma once

#include <cstddef>
#include <vector>

#include "amalgam/learning/network.hpp"
#include "amalgam/learning/network_file.hpp"

namespace amalgam::learned {

using learning::NamedTensors;

/// How many coefficients are learned: one per direction, or one per direction and tensor.
enum class Granularity { whole, tensor };

/// A network held at theta(c)^l = origin^l + sum_k c_{l,k} direction_k^l, whose coefficients can be
/// learned without differentiating through the merge: with G^l = d loss / d theta^l from an
/// ordinary backward pass, d loss / d c_{l,k} = <G^l, direction_k^l> (summed over the tensors l for
/// Granularity::whole). What AdaMerging, Frank-Wolfe merging and learned soups share.
class MergedPoint {
 public:
  /// `network` gives the kind, and the statistics of BatchNorm, which stay; it is not changed.
  /// `directions` have the names and shapes of its
  /// parameters. `origin` null: zero. InputError naming the tensor if one does not fit. Tensors are
  /// in the order of the network's parameters.
  MergedPoint(const learning::Network& network, const NamedTensors* origin,
              const std::vector<NamedTensors>& directions, Granularity granularity);

  /// Rows of a coefficient matrix: 1, or the number of tensors.
  std::int64_t rows() const;
  std::int64_t directions() const { return count_; }
  /// The names that rows stand for; one empty name for Granularity::whole.
  std::vector<std::string> row_names() const;

  /// Moves the network to theta(coefficients), a double matrix [rows, directions], and clears its
  /// gradients.
  void move_to(const torch::Tensor& coefficients);
  /// d loss / d coefficients, double [rows, directions], from the gradients that the network has.
  torch::Tensor gradient() const;

  learning::Network& network() { return *network_; }
  /// The weights at the point and then the buffers, as copies.
  NamedTensors state() const;

 private:
  struct Row {
    std::string name;
    torch::Tensor parameter;   // of network_
    torch::Tensor origin;      // flat, double
    torch::Tensor directions;  // [count, elements], in the type of the parameter
  };
  std::shared_ptr<learning::Network> network_;
  std::vector<Row> tensors_;
  std::int64_t count_ = 0;
  Granularity granularity_;
};

/// a - b, tensor by tensor. InputError naming the tensor if names or shapes differ.
NamedTensors subtract(const NamedTensors& a, const NamedTensors& b);

}  // namespace amalgam::learned
