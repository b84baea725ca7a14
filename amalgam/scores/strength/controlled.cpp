#include "amalgam/scores/strength/controlled.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/scores/strength/covariance.hpp"
#include "amalgam/scores/strength/newton.hpp"

namespace amalgam::scores {
namespace {

struct CurvatureSum {
  Curvature curvature;
  void combine(CurvatureSum&& right) {
    Curvature& mine = curvature;
    for (std::size_t i = 0; i < mine.gradient.size(); ++i) {
      mine.gradient[i] += right.curvature.gradient[i];
    }
    for (std::size_t i = 0; i < mine.information.size(); ++i) {
      mine.information[i] += right.curvature.information[i];
    }
  }
};

class Regression {
 public:
  Regression(const Comparisons& comparisons, std::size_t system_count,
             std::span<const System> systems, double pseudo_votes, const Reweighting& factors)
      : comparisons_(comparisons),
        places_(system_count, systems.size()),
        ranked_(systems.size()),
        covariates_(comparisons.covariate_names.size()),
        pseudo_votes_(pseudo_votes),
        factors_(factors) {
    for (std::size_t place = 0; place < ranked_; ++place) places_[systems[place]] = place;
    find_scales();
  }

  std::size_t parameters() const { return ranked_ + covariates_; }
  std::span<const double> scales() const { return scales_; }

  void add_curvature(std::span<const double> point, const Parallel& parallel,
                     Curvature& curvature) const {
    constexpr std::size_t kRowsPerLeaf = std::size_t{1} << 15U;
    constexpr std::size_t kMemory = std::size_t{64} << 20U;
    const std::size_t bytes = parameters() * parameters() * sizeof(double);
    const std::size_t affordable = std::clamp<std::size_t>(kMemory / bytes, 1, 16);
    const std::size_t rows = comparisons_.size();
    const std::size_t leaves = std::clamp<std::size_t>(rows / kRowsPerLeaf, 1, affordable);
    std::optional<CurvatureSum> sum = fold(parallel, leaves, [&](std::size_t leaf, std::size_t) {
      CurvatureSum part{Curvature(parameters())};
      std::vector<double> covariates(covariates_);
      const std::size_t end = rows * (leaf + 1) / leaves;
      for (std::size_t row = rows * leaf / leaves; row < end; ++row) {
        add_row(row, point, covariates, part.curvature);
      }
      return part;
    });
    curvature = std::move(sum->curvature);
    add_pseudo_votes(point, curvature);
  }

  std::vector<double> gradient_products(std::span<const double> point) const {
    GradientProducts sums(parameters());
    std::vector<double> covariates(covariates_);
    for_clusters(
        comparisons_,
        [&](std::size_t row) {
          const Row at = row_of(row, point, covariates);
          if (at.weight == 0.0) return;
          const double rest = at.weight * (at.share - at.probability);
          sums.add(at.i, rest);
          sums.add(at.j, -rest);
          for (std::size_t k = 0; k < covariates_; ++k) sums.add(ranked_ + k, rest * covariates[k]);
        },
        [&] { sums.finish_cluster(); });
    return sums.products();
  }

 private:
  struct Row {
    std::size_t i = 0;
    std::size_t j = 0;
    double weight = 0;       // 0: does not count
    double share = 0;        // of the first: 1, 1/2 or 0
    double probability = 0;  // that the first wins
  };

  double weight(std::size_t row) const {
    return comparisons_.weight(row) * factors_.comparison(row);
  }

  void find_scales() {
    scales_.assign(covariates_, 0);
    double total = 0;
    for (std::size_t row = 0; row < comparisons_.size(); ++row) {
      total += weight(row);
      for (std::size_t k = 0; k < covariates_; ++k) {
        const double value = comparisons_.covariates[row * covariates_ + k];
        scales_[k] += weight(row) * value * value;
      }
    }
    for (std::size_t k = 0; k < covariates_; ++k) {
      if (!(scales_[k] > 0)) {
        throw InputError("covariate '{}' is 0 in all comparisons, so it has no effect to find",
                         printable(comparisons_.covariate_names[k]));
      }
      scales_[k] = std::sqrt(scales_[k] / total);
    }
  }

  // Fills the row's scaled covariates.
  Row row_of(std::size_t row, std::span<const double> point,
             std::vector<double>& covariates) const {
    Row at{.i = places_[comparisons_.first[row]], .j = places_[comparisons_.second[row]]};
    if (at.i >= ranked_ || at.j >= ranked_) return at;
    at.weight = weight(row);
    at.share = 0.5 * (1 + comparisons_.outcomes[row]);
    double odds = point[at.i] - point[at.j];
    for (std::size_t k = 0; k < covariates_; ++k) {
      covariates[k] = comparisons_.covariates[row * covariates_ + k] / scales_[k];
      odds += point[ranked_ + k] * covariates[k];
    }
    at.probability = portable_logistic(odds);
    return at;
  }

  void add_row(std::size_t row, std::span<const double> point, std::vector<double>& covariates,
               Curvature& curvature) const {
    const Row at = row_of(row, point, covariates);
    if (at.weight == 0.0) return;
    const double slope = at.weight * (at.share - at.probability);
    const double bend = at.weight * at.probability * (1 - at.probability);
    add_pair(at.i, at.j, slope, bend, curvature);
    double* const information = curvature.information.data();
    const std::size_t size = parameters();
    for (std::size_t k = 0; k < covariates_; ++k) {
      const std::size_t place = ranked_ + k;
      const double bent = bend * covariates[k];
      curvature.gradient[place] += slope * covariates[k];
      information[at.i * size + place] += bent;
      information[place * size + at.i] += bent;
      information[at.j * size + place] -= bent;
      information[place * size + at.j] -= bent;
      for (std::size_t l = 0; l < covariates_; ++l) {
        information[place * size + ranked_ + l] += bent * covariates[l];
      }
    }
  }

  void add_pair(std::size_t i, std::size_t j, double slope, double bend,
                Curvature& curvature) const {
    const std::size_t size = parameters();
    curvature.gradient[i] += slope;
    curvature.gradient[j] -= slope;
    curvature.information[i * size + i] += bend;
    curvature.information[j * size + j] += bend;
    curvature.information[i * size + j] -= bend;
    curvature.information[j * size + i] -= bend;
  }

  void add_pseudo_votes(std::span<const double> point, Curvature& curvature) const {
    if (pseudo_votes_ == 0.0) return;
    for (std::size_t i = 0; i < ranked_; ++i) {
      for (std::size_t j = i + 1; j < ranked_; ++j) {
        const double p = portable_logistic(point[i] - point[j]);
        add_pair(i, j, pseudo_votes_ * (1 - 2 * p), 2 * pseudo_votes_ * p * (1 - p), curvature);
      }
    }
  }

  const Comparisons& comparisons_;
  std::vector<std::size_t> places_;
  std::size_t ranked_;
  std::size_t covariates_;
  double pseudo_votes_;
  Reweighting factors_;
  std::vector<double> scales_;
};

}  // namespace

ControlledFit fit_controlled(const Comparisons& comparisons, std::size_t system_count,
                             std::span<const System> systems, double pseudo_votes,
                             const Reweighting& factors, const StrengthOptions& options,
                             const Parallel& parallel, std::span<const double> start, bool errors) {
  const Regression regression(comparisons, system_count, systems, pseudo_votes, factors);
  const std::size_t ranked = systems.size();
  const std::size_t parameters = regression.parameters();
  std::vector<double> point(start.begin(), start.end());
  point.resize(ranked);
  centre_strengths(point);
  point.resize(parameters);
  const NewtonResult result =
      maximise(point, ranked,
               [&](std::span<const double> at, Curvature& curvature) {
                 regression.add_curvature(at, parallel, curvature);
               },
               {.iterations = options.iterations, .tolerance = std::sqrt(options.tolerance)});

  ControlledFit controlled;
  controlled.fit = {
      .strengths = {point.begin(), point.begin() + static_cast<std::ptrdiff_t>(ranked)},
      .iterations = result.iterations,
      .converged = result.converged};
  centre_strengths(controlled.fit.strengths);
  for (std::size_t k = 0; ranked + k < parameters; ++k) {
    controlled.coefficients.push_back(point[ranked + k] / regression.scales()[k]);
  }
  if (!errors) return controlled;
  Curvature curvature(parameters);
  regression.add_curvature(point, parallel, curvature);
  const std::vector<double> covariance = sandwich_covariance(
      std::move(curvature.information), regression.gradient_products(point), parameters, ranked);
  std::vector<double> all = standard_errors(covariance, parameters, parameters);
  for (std::size_t k = 0; ranked + k < parameters; ++k) {
    controlled.coefficient_errors.push_back(all[ranked + k] / regression.scales()[k]);
  }
  all.resize(ranked);
  controlled.strength_errors = std::move(all);
  return controlled;
}

}  // namespace amalgam::scores
