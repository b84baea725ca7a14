#pragma once

#include <cstdint>
#include <functional>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network_file.hpp"

namespace amalgam::learning {

/// Which diagonal is estimated. With p_k(x) the network's probabilities and N examples:
enum class FisherKind {
  exact,    ///< (1/N) sum_n sum_k p_k(x_n) (d log p_k(x_n) / d theta)^2; needs no labels
  sampled,  ///< the same with one class drawn from p(x_n) for each of `samples` draws
  /// `exact` over the `top` most probable classes of each example (of text: of each position),
  /// their probabilities divided by their sum: for many classes, such as tokens; needs no labels
  top,
  empirical,  ///< (1/N) sum_n (d log p_y / d theta)^2 with the observed label: not the Fisher
  /// (1/N) sum_n sum_o (d f_o(x_n) / d theta)^2 of the outputs f themselves, as means of Gaussians
  /// of variance 1: for outputs that are compared by squared error; needs no labels
  gaussian,
};

struct FisherOptions {
  FisherKind kind = FisherKind::exact;
  std::uint64_t samples = 1;  ///< per example, for `sampled`
  std::uint64_t top = 10;     ///< classes, for `top`; as many as there are if that is fewer
  std::uint64_t seed = 0;     ///< of the sampled classes
  std::int64_t batch = 128;
  /// Called after each batch with the number of its examples (progress, interruption).
  std::function<void(std::uint64_t examples)> after_batch;
};

/// The diagonal of the Fisher information of every parameter, double, names and shapes as the
/// network's parameters (Matena and Raffel 2021, eq. 3). Gradients are squared per example and per
/// class before they are summed; the network runs in evaluation mode and in its own type (float, or
/// double for more digits). In linear layers the squares of a whole batch are one matrix product,
/// (delta^2)^T (input^2); layers used at several positions (convolutions, what sees tokens) and
/// tied weights sum each example's gradient first; parameters outside the layers that observers see
/// take a pass per example. Of a network with heads, p is that of the data's head.
/// An example of text is a whole sequence: log p is the sum over its positions, so the diagonal is
/// the sum over positions, estimated by `sampled` or `empirical`; `top` sums over positions by a
/// pass for each position and class.
/// InputError if the data do not fit or are empty, for `top` without classes, and for `exact` and
/// `gaussian` on text.
NamedTensors fisher_diagonal(Network& network, const Dataset& data,
                             const FisherOptions& options = {});

}  // namespace amalgam::learning
