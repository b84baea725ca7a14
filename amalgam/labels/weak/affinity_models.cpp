#include "amalgam/labels/weak/affinity_models.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numbers>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/k_means.hpp"

namespace amalgam::labels {
namespace {

double norm(std::span<const double> row) {
  double sum = 0;
  for (const double value : row) sum += value * value;
  return std::sqrt(sum);
}

Features unit_rows(const Features& features) {
  Features unit = features;
  for (std::size_t i = 0; i < unit.rows; ++i) {
    const double length = norm(unit.row(i));
    if (!(length > 0)) continue;
    for (double& value : unit.row(i)) value /= length;
  }
  return unit;
}

class GaussianMixture final : public AffinityModel {
 public:
  GaussianMixture(const Features& data, std::size_t clusters, std::uint64_t seed)
      : clusters_(clusters), means_(clusters, data.columns), variances_(clusters, data.columns) {
    SoftLabels shares(data.rows, clusters);
    const KMeans start = k_means(data, clusters, seed, 1);
    for (std::size_t i = 0; i < data.rows; ++i) shares.row(i)[start.clusters[i]] = 1;
    double before = -std::numeric_limits<double>::infinity();
    constexpr std::size_t kIterations = 100;
    constexpr double kTolerance = 1e-3;
    for (std::size_t iteration = 0; iteration < kIterations; ++iteration) {
      maximise(data, shares);
      const double now = expect(data, shares) / static_cast<double>(data.rows);
      if (now - before < kTolerance) break;
      before = now;
    }
  }

  SoftLabels posteriors(const Features& affinity) const override {
    SoftLabels shares(affinity.rows, clusters_);
    expect(affinity, shares);
    return shares;
  }

 private:
  void maximise(const Features& data, const SoftLabels& shares) {
    constexpr double kFloor = 1e-6;
    log_weights_.assign(clusters_, 0.0);
    for (std::size_t k = 0; k < clusters_; ++k) {
      double total = 10 * std::numeric_limits<double>::epsilon();
      for (std::size_t i = 0; i < data.rows; ++i) total += shares.row(i)[k];
      log_weights_[k] = portable_log(total / static_cast<double>(data.rows));
      for (std::size_t c = 0; c < data.columns; ++c) {
        double sum = 0;
        for (std::size_t i = 0; i < data.rows; ++i) sum += shares.row(i)[k] * data.at(i, c);
        const double mean = sum / total;
        double squares = 0;
        for (std::size_t i = 0; i < data.rows; ++i) {
          squares += shares.row(i)[k] * (data.at(i, c) - mean) * (data.at(i, c) - mean);
        }
        means_.row(k)[c] = mean;
        variances_.row(k)[c] = squares / total + kFloor;
      }
    }
  }

  // Fills the posteriors and returns the log-likelihood.
  double expect(const Features& data, SoftLabels& shares) const {
    std::vector<double> constants(clusters_);
    for (std::size_t k = 0; k < clusters_; ++k) {
      constants[k] = log_weights_[k];
      for (const double variance : variances_.row(k)) {
        constants[k] -= portable_log(2 * std::numbers::pi * variance) / 2;
      }
    }
    double log_likelihood = 0;
    for (std::size_t i = 0; i < data.rows; ++i) {
      const std::span<double> row = shares.row(i);
      for (std::size_t k = 0; k < clusters_; ++k) {
        double distance = 0;
        for (std::size_t c = 0; c < data.columns; ++c) {
          const double away = data.at(i, c) - means_.at(k, c);
          distance += away * away / variances_.at(k, c);
        }
        row[k] = constants[k] - distance / 2;
      }
      const double most = std::ranges::max(row);
      double sum = 0;
      for (double& value : row) {
        value = portable_exp(value - most);
        sum += value;
      }
      for (double& value : row) value /= sum;
      log_likelihood += most + portable_log(sum);
    }
    return log_likelihood;
  }

  std::size_t clusters_;
  std::vector<double> log_weights_;
  Features means_;
  Features variances_;
};

class Clusters final : public AffinityModel {
 public:
  Clusters(const Features& affinity, std::size_t clusters, std::uint64_t seed)
      : centres_(k_means(affinity, clusters, seed).centres) {}

  SoftLabels posteriors(const Features& affinity) const override {
    SoftLabels shares(affinity.rows, centres_.rows);
    for (std::size_t i = 0; i < affinity.rows; ++i) {
      shares.row(i)[nearest_centre(centres_, affinity.row(i))] = 1;
    }
    return shares;
  }

 private:
  Features centres_;
};

// Affinities are made >= 0 by (1 + cosine) / 2 and normalised by the square roots of both degrees.
class Spectral final : public AffinityModel {
 public:
  Spectral(const Features& affinity, std::size_t clusters, std::uint64_t seed)
      : anchors_(affinity.columns) {
    if (affinity.rows != affinity.columns) {
      throw InputError(
          "spectral clustering: affinities [{}, {}]; expected those of the labelled "
          "rows with themselves",
          affinity.rows, affinity.columns);
    }
    const auto n = static_cast<Eigen::Index>(anchors_);
    Eigen::MatrixXd weights(n, n);
    degrees_ = Eigen::VectorXd::Zero(n);
    for (Eigen::Index i = 0; i < n; ++i) {
      for (Eigen::Index j = 0; j < n; ++j) {
        weights(i, j) =
            shifted(affinity.at(static_cast<std::size_t>(i), static_cast<std::size_t>(j)));
      }
      degrees_(i) = weights.row(i).sum();
    }
    const Eigen::VectorXd scale = degrees_.cwiseMax(kSmall).cwiseSqrt().cwiseInverse();
    const Eigen::MatrixXd normalised = scale.asDiagonal() * weights * scale.asDiagonal();
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(
        (normalised + normalised.transpose()) / 2);
    const auto kept = static_cast<Eigen::Index>(std::min(clusters, anchors_));
    vectors_ = solver.eigenvectors().rightCols(kept);
    values_ = solver.eigenvalues().tail(kept).cwiseAbs().cwiseMax(kSmall);
    centres_ = k_means(embedded(affinity), clusters, seed).centres;
  }

  SoftLabels posteriors(const Features& affinity) const override {
    SoftLabels shares(affinity.rows, centres_.rows);
    const Features places = embedded(affinity);
    for (std::size_t i = 0; i < affinity.rows; ++i) {
      shares.row(i)[nearest_centre(centres_, places.row(i))] = 1;
    }
    return shares;
  }

 private:
  static constexpr double kSmall = 1e-12;
  static double shifted(double cosine) { return (1 + cosine) / 2; }

  Features embedded(const Features& affinity) const {
    Features places(affinity.rows, static_cast<std::size_t>(vectors_.cols()));
    const Eigen::VectorXd scale = degrees_.cwiseMax(kSmall).cwiseSqrt().cwiseInverse();
    for (std::size_t i = 0; i < affinity.rows; ++i) {
      Eigen::VectorXd row(degrees_.size());
      for (Eigen::Index j = 0; j < row.size(); ++j) {
        row(j) = shifted(affinity.at(i, static_cast<std::size_t>(j)));
      }
      const double degree = std::max(row.sum(), kSmall);
      row = row.cwiseProduct(scale) / std::sqrt(degree);
      const Eigen::VectorXd at = (vectors_.transpose() * row).cwiseQuotient(values_);
      for (Eigen::Index c = 0; c < at.size(); ++c)
        places.row(i)[static_cast<std::size_t>(c)] = at(c);
    }
    return unit_rows(places);
  }

  std::size_t anchors_;
  Eigen::VectorXd degrees_;
  Eigen::MatrixXd vectors_;
  Eigen::VectorXd values_;
  Features centres_;
};

}  // namespace

Features cosine_affinity(const Features& features, const Features& anchors) {
  if (features.columns != anchors.columns) {
    throw InputError("affinities of rows with {} and with {} features", features.columns,
                     anchors.columns);
  }
  const Features rows = unit_rows(features);
  const Features columns = unit_rows(anchors);
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto map = [](const Features& of) {
    return Eigen::Map<const RowMajor>(of.values.data(), static_cast<Eigen::Index>(of.rows),
                                      static_cast<Eigen::Index>(of.columns));
  };
  Features affinity(features.rows, anchors.rows);
  Eigen::Map<RowMajor>(affinity.values.data(), static_cast<Eigen::Index>(affinity.rows),
                       static_cast<Eigen::Index>(affinity.columns))
      .noalias() = map(rows) * map(columns).transpose();
  return affinity;
}

std::unique_ptr<AffinityModel> fit_gaussian_mixture(const Features& affinity, std::size_t clusters,
                                                    std::uint64_t seed) {
  return std::make_unique<GaussianMixture>(affinity, clusters, seed);
}

std::unique_ptr<AffinityModel> fit_affinity_model(AffinityModelKind kind, const Features& affinity,
                                                  std::size_t clusters, std::uint64_t seed) {
  switch (kind) {
    case AffinityModelKind::gaussian_mixture:
      return fit_gaussian_mixture(affinity, clusters, seed);
    case AffinityModelKind::k_means:
      return std::make_unique<Clusters>(affinity, clusters, seed);
    case AffinityModelKind::spectral:
      return std::make_unique<Spectral>(affinity, clusters, seed);
  }
  throw Error("there is no such affinity model");
}

}  // namespace amalgam::labels
