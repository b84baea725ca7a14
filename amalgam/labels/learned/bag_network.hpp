#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "amalgam/labels/bags/bags.hpp"
#include "amalgam/labels/bags/losses.hpp"
#include "amalgam/learning/network.hpp"

/// Networks (multilayer perceptrons) that learn rows from one response per bag.
namespace amalgam::labels::learned {

/// How a network is trained from bags: Adam with a cosine schedule over mini-batches of whole bags.
struct BagTraining {
  std::vector<std::int64_t> hidden{32, 32};  ///< widths of the hidden layers; none: linear
  /// The loss is (1 - rho) bag-level + rho instance-level, >= 0; of class shares in [0, 1].
  double rho = 1;
  std::uint64_t epochs = 200;
  std::uint64_t batch = 16;  ///< bags of a step
  double learning_rate = 0.01;
  double weight_decay = 0;
  std::uint64_t seed = 0;  ///< of first weights and of the bags' order
};

/// The shares of classes in bags, what learning from label proportions starts from.
struct ClassShares {
  std::vector<std::string> class_names;
  std::vector<double> values;  ///< [bags, classes], each bag's from 0 to 1, summing to 1
};

/// A network that predicts `data.responses`' kind of number for a row, [features] -> 1 output. Each
/// step minimises the mean over its bags of (k_a / kbar) [(ybar_a - fbar_a)^2 + rho Var_a f], kbar
/// being the mean bag size: an unbiased estimate of the interpolating loss, as no bag is ever cut.
/// Features and responses are standardised while training; the finished network takes and gives
/// them as they are. Bit-identical for equal options, data, threads and machine.
///
/// InputError for data that check_bag_data refuses or options out of range; Error if the training
/// diverges; Interrupted on a signal.
std::shared_ptr<learning::Network> train_bag_network(const BagData& data,
                                                     const BagTraining& options);

/// A classifier from class shares (learning from label proportions): the bag-level loss is the
/// cross-entropy of a bag's shares and its mean predicted probabilities, the instance-level one
/// that of the shares and each row's probabilities. rho = 0 is the classical method. Outputs are
/// logits; `data.responses` are not looked at. Errors as above, and for shares that do not fit.
std::shared_ptr<learning::Network> train_share_network(const BagData& data,
                                                       const ClassShares& shares,
                                                       const BagTraining& options);

/// The predictions of rows [rows, features], [rows]: of a network that train_bag_network made.
std::vector<double> predict_responses(learning::Network& network, std::span<const double> x);
/// Probabilities [rows, classes], of one that train_share_network made.
std::vector<double> predict_probabilities(learning::Network& network, std::span<const double> x);

/// The losses of predicted probabilities [rows, classes] where only shares are known, with the
/// cross-entropy as the point loss (spread is 0).
BagLosses share_losses(const Bags& bags, const ClassShares& shares,
                       std::span<const double> probabilities);

/// Scores of several rho by cross-validation on whole bags: the bag-level loss of the bags held
/// out, per row. `shares`: null for responses.
std::vector<double> cross_validate_rho(const BagData& data, const ClassShares* shares,
                                       const BagTraining& options, std::span<const double> rhos,
                                       std::size_t folds);

}  // namespace amalgam::labels::learned
