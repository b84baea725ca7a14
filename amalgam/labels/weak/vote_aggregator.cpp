#include "amalgam/labels/weak/vote_aggregator.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::labels {
namespace {

constexpr double kMostOdds = 10;
constexpr double kStep = 1e-3;
constexpr double kSparsity = 1e-6;
constexpr double kShrinking = 1e-6;
constexpr double kMomentum = .05;
constexpr double kTolerance = 1e-6;

// Different rows of votes, and how many items have each.
std::map<std::vector<Label>, double> patterns_of(const VoteMatrix& votes) {
  std::map<std::vector<Label>, double> patterns;
  std::vector<Label> row(votes.functions);
  for (std::size_t i = 0; i < votes.items; ++i) {
    for (std::size_t j = 0; j < votes.functions; ++j) {
      row[j] = votes.at(i, j);
      if (row[j] != kNoLabel && row[j] > 1) {
        throw InputError("item {}, labelling function {}: the vote is {}; expected 0 or 1", i, j,
                         row[j]);
      }
    }
    patterns[row] += 1;
  }
  return patterns;
}

double norm(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

}  // namespace

double VoteAggregator::probability(std::span<const Label> votes) const {
  double odds = 0;
  for (std::size_t j = 0; j < votes.size(); ++j) {
    if (votes[j] != kNoLabel) odds += votes[j] == 1 ? weights[j] : -weights[j];
  }
  return portable_logistic(odds);
}

VoteAggregator fit_aggregator(const VoteMatrix& votes, std::size_t steps) {
  const std::size_t functions = votes.functions;
  if (functions == 0) throw InputError("there are no labelling functions to aggregate");
  const auto patterns = patterns_of(votes);
  std::vector<double> counts(functions);
  double total = 0;
  for (const auto& [row, items] : patterns) {
    for (std::size_t j = 0; j < functions; ++j) {
      if (row[j] == kNoLabel) continue;
      counts[j] += items;
      total += items;
    }
  }
  VoteAggregator model{std::vector<double>(functions, 0.0)};
  for (std::size_t j = 0; j < functions; ++j) model.weights[j] = counts[j] > 0 ? 1 : 0;
  if (!(total > 0)) return model;

  std::vector<double> gradient(functions, 0.0);
  std::vector<double> right(functions);
  for (std::size_t step = 0; step < steps; ++step) {
    std::ranges::fill(right, 0.0);
    for (const auto& [row, items] : patterns) {
      const double one = model.probability(row);
      for (std::size_t j = 0; j < functions; ++j) {
        if (row[j] != kNoLabel) right[j] += items * (row[j] == 1 ? one : 1 - one);
      }
    }
    for (std::size_t j = 0; j < functions; ++j) {
      if (!(counts[j] > 0)) continue;
      const double accuracy = right[j] / counts[j];
      const double odds =
          std::clamp(portable_log(accuracy) - portable_log(1 - accuracy), -kMostOdds, kMostOdds);
      double& weight = model.weights[j];
      gradient[j] = (1 - kMomentum) * counts[j] * (weight - odds) / total + kMomentum * gradient[j];
      weight -= kStep * gradient[j];
      const double sparse = std::max(0.0, std::abs(weight) - kSparsity);
      weight = std::copysign(sparse, weight) / (1 + kShrinking / 2);
    }
    const double size = norm(model.weights);
    if (size > 0 && norm(gradient) / size < kTolerance) break;
  }
  return model;
}

}  // namespace amalgam::labels
