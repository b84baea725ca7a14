#pragma once

#include <span>
#include <vector>

#include "amalgam/labels/label_model.hpp"

/// From the soft labels that several methods give the same items to one.
namespace amalgam::labels::soft {

/// Probabilities below this are taken as this where logarithms are, so that no method's zero is
/// final.
inline constexpr double kLeastProbability = 1e-10;

/// Of each item the mean of the members' distributions, each weighing `weights` [members] (sum 1;
/// empty: equally). InputError if there is no member, or they differ in shape.
SoftLabels mean_labels(std::span<const SoftLabels> members, std::span<const double> weights = {});

/// Of each item the product of the members' probabilities, floored at kLeastProbability, and
/// normalised (conflation: Hill 2011).
SoftLabels conflated_labels(std::span<const SoftLabels> members);

/// The mean over items with gold of -ln of the gold label's probability, floored. InputError if no
/// item has gold.
double negative_log_likelihood(const SoftLabels& soft, const GoldLabels& gold,
                               double floor = kLeastProbability);

/// min NLL / NLL of each member, divided by their sum: the better a member's labels fit the gold
/// ones, the more it weighs.
std::vector<double> weights_by_likelihood(std::span<const SoftLabels> members,
                                          const GoldLabels& gold);

}  // namespace amalgam::labels::soft
