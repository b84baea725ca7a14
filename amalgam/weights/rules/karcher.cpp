#include <algorithm>
#include <cmath>

#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/elementary.hpp"
#include "amalgam/weights/rules/registry.hpp"

namespace amalgam::rules {
namespace {

// The point on the unit sphere whose tangent vectors to the members sum to zero, found by repeated
// projection. Every vector here is a combination of the unit vectors, so that products of unit
// vectors (`cosines`) are all that is needed.
std::vector<double> karcher_direction(const SmallMatrix& cosines, int max_iterations,
                                      double tolerance) {
  const std::size_t n = cosines.size();
  const auto norm = [&](std::span<const double> x) {
    return std::sqrt(std::max(0.0, quadratic_form(cosines, x)));
  };
  std::vector<double> mean(n, 1.0 / static_cast<double>(n));
  const double length = norm(mean);
  if (length < tolerance) {
    std::fill(mean.begin(), mean.end(), 0.0);
    mean[0] = 1;
  } else {
    for (double& weight : mean) weight /= length;
  }
  for (int iteration = 0; iteration < max_iterations; ++iteration) {
    const std::vector<double> products = cosines * mean;
    std::vector<double> step(n);
    for (std::size_t i = 0; i < n; ++i) {
      const double c = std::clamp(products[i], -1.0, 1.0);
      const double angle = arc_cosine(c);
      const double sine_of_angle = sine(angle);
      // At the member itself there is nowhere to go; at its antipode every way is as good.
      if (angle < tolerance || sine_of_angle < 1e-12) continue;
      const double factor = angle / sine_of_angle / static_cast<double>(n);
      step[i] += factor;
      for (std::size_t j = 0; j < n; ++j) step[j] -= factor * c * mean[j];
    }
    const double distance = norm(step);
    if (!(distance >= tolerance)) break;
    const double along = cosine(distance);
    const double across = sine(distance) / distance;
    for (std::size_t i = 0; i < n; ++i) mean[i] = along * mean[i] + across * step[i];
    const double renormalise = norm(mean);
    if (renormalise > tolerance) {
      for (double& weight : mean) weight /= renormalise;
    }
  }
  return mean;
}

Combination karcher_combination(const SmallMatrix& products, int max_iterations, double tolerance) {
  const std::size_t n = products.size();
  std::vector<std::size_t> directed;  // members long enough to have a direction
  std::vector<double> norms(n);
  double scale = 0;
  for (std::size_t i = 0; i < n; ++i) {
    norms[i] = std::sqrt(products(i, i));
    scale += norms[i] / static_cast<double>(n);
    if (norms[i] > tolerance) directed.push_back(i);
  }
  Combination combination{.weights = std::vector<double>(n)};
  if (directed.empty()) return combination;
  SmallMatrix cosines(directed.size());
  for (std::size_t i = 0; i < directed.size(); ++i) {
    for (std::size_t j = 0; j < directed.size(); ++j) {
      const std::size_t a = directed[i];
      const std::size_t b = directed[j];
      cosines(i, j) = i == j ? 1.0 : products(a, b) / (norms[a] * norms[b]);
    }
  }
  const std::vector<double> direction = karcher_direction(cosines, max_iterations, tolerance);
  for (std::size_t i = 0; i < directed.size(); ++i) {
    combination.weights[directed[i]] = scale * direction[i] / norms[directed[i]];
  }
  return combination;
}

class Karcher final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "karcher",
        .summary =
            "The mean on the sphere (Riemannian centre of mass) of any number of models, at"
            " their mean norm.",
        .source = "Karcher 1977; as in mergekit",
        .base = BaseUse::ignored,
        .min_members = 2,
        .parameters =
            {{.name = "max_iter",
              .kind = ParameterInfo::Kind::integer,
              .doc = "Most iterations.",
              .default_value = 10.0,
              .low = 1,
              .high = 100000},
             {.name = "tol",
              .doc =
                  "Stop when the mean moves by less (radians); shorter members have no direction.",
              .default_value = 1e-5,
              .low = 0,
              .high = 1,
              .low_open = true}},
        .common_submatrix = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::tensor; }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"reduce: products of all pairs", "apply: weighted sum"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    const Parameters& parameters = unit.tensors.front().rule;
    const auto max_iterations = static_cast<int>(parameters.number("max_iter"));
    return std::make_unique<CombinationMerge>(
        unit, PairSums::products,
        [max_iterations, tolerance = parameters.number("tol")](const SmallMatrix& products) {
          return karcher_combination(products, max_iterations, tolerance);
        });
  }
};

}  // namespace

const MergeRule& karcher() {
  static const Karcher kRule;
  return kRule;
}

}  // namespace amalgam::rules
