#include "amalgam/weights/rules/robust.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

// The sum of the `count` smallest of `distances`, which is reordered.
double sum_of_smallest(std::vector<double>& distances, std::size_t count) {
  std::sort(distances.begin(), distances.end());
  count = std::min(count, distances.size());
  return std::accumulate(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(count),
                         0.0);
}

// Krum's scores among the candidates.
std::vector<double> scores_among(const SmallMatrix& squared_distances,
                                 std::span<const std::size_t> candidates, std::size_t f) {
  const std::size_t neighbours = candidates.size() > f + 2 ? candidates.size() - f - 2 : 0;
  std::vector<double> scores;
  std::vector<double> distances;
  for (const std::size_t i : candidates) {
    distances.clear();
    for (const std::size_t j : candidates) {
      if (j == i) continue;
      const double distance = squared_distances(i, j);
      distances.push_back(std::isnan(distance) ? std::numeric_limits<double>::infinity()
                                               : distance);
    }
    scores.push_back(sum_of_smallest(distances, neighbours));
  }
  return scores;
}

std::vector<std::size_t> all_members(std::size_t n) {
  std::vector<std::size_t> members(n);
  std::iota(members.begin(), members.end(), 0);
  return members;
}

}  // namespace

ParameterInfo robust_scope_parameter() {
  return {.name = "scope",
          .kind = ParameterInfo::Kind::choice,
          .doc = "What is decided on together: the whole model, each layer, or each tensor.",
          .default_value = std::string("model"),
          .choices = {"tensor", "layer", "model"}};
}

Scope robust_scope(const Parameters& parameters) {
  const std::string& scope = parameters.text("scope");
  if (scope == "tensor") return Scope::tensor;
  return scope == "layer" ? Scope::layer : Scope::model;
}

ParameterInfo fault_parameter() {
  return {.name = "f",
          .kind = ParameterInfo::Kind::integer,
          .doc = "How many members may be wrong in any way.",
          .low = 0,
          .high = 1e6};
}

std::size_t fault_count(const MergeUnit& unit, std::string_view rule, std::size_t factor,
                        std::size_t extra) {
  require_common_parameters(unit, rule);
  const auto f = static_cast<std::size_t>(unit.tensors.front().rule.number("f"));
  const std::size_t needed = factor * f + extra;
  if (unit.member_count < needed) {
    throw InputError("{}: f = {} needs at least {}f + {} = {} members, but there are {}", rule, f,
                     factor, extra, needed, unit.member_count);
  }
  return f;
}

void require_common_parameters(const MergeUnit& unit, std::string_view rule) {
  const TensorView& first = unit.tensors.front();
  for (const TensorView& tensor : unit.tensors) {
    if (tensor.rule.all() == first.rule.all()) continue;
    for (const auto& [name, value] : first.rule.all()) {
      const auto other = tensor.rule.all().find(name);
      if (other != tensor.rule.all().end() && other->second == value) continue;
      throw InputError(
          "{}: parameter '{}' differs between tensors '{}' and '{}', which are decided on together;"
          " give it one value, or use scope: tensor",
          rule, name, first.name, tensor.name);
    }
  }
}

std::vector<double> krum_scores(const SmallMatrix& squared_distances, std::size_t f) {
  return scores_among(squared_distances, all_members(squared_distances.size()), f);
}

std::vector<std::size_t> krum_order(const SmallMatrix& squared_distances, std::size_t f) {
  const std::vector<double> scores = krum_scores(squared_distances, f);
  std::vector<std::size_t> order = all_members(scores.size());
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return scores[i] < scores[j]; });
  return order;
}

std::vector<std::size_t> bulyan_selection(const SmallMatrix& squared_distances, std::size_t f) {
  std::vector<std::size_t> left = all_members(squared_distances.size());
  std::vector<std::size_t> selected;
  while (selected.size() + 2 * f < squared_distances.size()) {
    const std::vector<double> scores = scores_among(squared_distances, left, f);
    const auto best = std::min_element(scores.begin(), scores.end()) - scores.begin();
    selected.push_back(left[static_cast<std::size_t>(best)]);
    left.erase(left.begin() + best);
  }
  return selected;
}

std::vector<double> geometric_median_weights(const SmallMatrix& squared_distances,
                                             const GeometricMedianOptions& options) {
  const std::size_t n = squared_distances.size();
  std::vector<double> weights(n, 1.0 / static_cast<double>(n));
  for (std::size_t iteration = 0; iteration < options.iterations; ++iteration) {
    const std::vector<double> products = squared_distances * weights;
    const double spread = inner_product(weights, products) / 2;
    std::vector<double> next(n);
    double sum = 0;
    double mean_distance = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double distance = std::sqrt(std::max(0.0, products[i] - spread));
      mean_distance += distance / static_cast<double>(n);
      next[i] = 1 / std::max(options.smoothing, distance);
      sum += next[i];
    }
    std::vector<double> step(n);
    for (std::size_t i = 0; i < n; ++i) {
      next[i] /= sum;
      step[i] = next[i] - weights[i];
    }
    weights = std::move(next);
    // Steps sum to zero, so their squared length is -step^T D step / 2.
    const double moved = std::sqrt(std::max(0.0, -quadratic_form(squared_distances, step) / 2));
    if (!(moved > options.tolerance * mean_distance)) break;
  }
  return weights;
}

}  // namespace amalgam
