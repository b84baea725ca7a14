#include "amalgam/labels/soft/aggregate.hpp"

#include <algorithm>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::labels::soft {
namespace {

void check_same_shape(std::span<const SoftLabels> members) {
  if (members.empty()) throw InputError("soft labels: nothing to aggregate; expected some members");
  for (std::size_t m = 1; m < members.size(); ++m) {
    if (members[m].items == members[0].items && members[m].classes == members[0].classes) continue;
    throw InputError(
        "soft labels: member {} has {} items and {} classes, but the first has {} and {}", m,
        members[m].items, members[m].classes, members[0].items, members[0].classes);
  }
}

}  // namespace

SoftLabels mean_labels(std::span<const SoftLabels> members, std::span<const double> weights) {
  check_same_shape(members);
  const double equal = 1.0 / static_cast<double>(members.size());
  SoftLabels mean(members[0].items, members[0].classes);
  for (std::size_t m = 0; m < members.size(); ++m) {
    const double weight = weights.empty() ? equal : weights[m];
    for (std::size_t i = 0; i < mean.values.size(); ++i) {
      mean.values[i] += weight * members[m].values[i];
    }
  }
  return mean;
}

SoftLabels conflated_labels(std::span<const SoftLabels> members) {
  check_same_shape(members);
  SoftLabels product(members[0].items, members[0].classes);
  for (std::size_t item = 0; item < product.items; ++item) {
    const std::span<double> row = product.row(item);
    for (const SoftLabels& member : members) {
      for (std::size_t k = 0; k < row.size(); ++k) {
        row[k] += portable_log(std::max(member.row(item)[k], kLeastProbability));
      }
    }
    const double most = *std::ranges::max_element(row);
    double sum = 0;
    for (double& value : row) {
      value = portable_exp(value - most);
      sum += value;
    }
    for (double& value : row) value /= sum;
  }
  return product;
}

double negative_log_likelihood(const SoftLabels& soft, const GoldLabels& gold, double floor) {
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t item = 0; item < soft.items; ++item) {
    const Label label = gold.labels[item];
    if (label == kNoLabel) continue;
    sum -= portable_log(std::max(soft.row(item)[label], floor));
    ++count;
  }
  if (count == 0) throw InputError("no annotated task has a gold label; expected some");
  return sum / static_cast<double>(count);
}

std::vector<double> weights_by_likelihood(std::span<const SoftLabels> members,
                                          const GoldLabels& gold) {
  // A member without any error would take all the weight, and two such would divide 0 by 0.
  constexpr double kLeastLoss = 1e-6;
  std::vector<double> weights;
  double sum = 0;
  for (const SoftLabels& member : members) {
    weights.push_back(1 / std::max(negative_log_likelihood(member, gold), kLeastLoss));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

}  // namespace amalgam::labels::soft
