#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "amalgam/labels/label_model.hpp"
#include "amalgam/labels/weak/features.hpp"

namespace amalgam::labels {

/// Cosines of rows with the rows of `anchors`, [rows, anchors]; 0 where a row is all zeros.
/// InputError if they have other columns.
Features cosine_affinity(const Features& features, const Features& anchors);

enum class AffinityModelKind {
  gaussian_mixture,  ///< with diagonal covariances: posteriors
  k_means,           ///< one-hot clusters
  spectral,          ///< one-hot clusters of the leading eigenvectors (Ng, Jordan and Weiss 2001)
};

/// A clustering of affinity rows, also of rows that it was not fitted to.
class AffinityModel {
 public:
  virtual ~AffinityModel() = default;
  /// [rows, clusters], rows that sum to 1.
  virtual SoftLabels posteriors(const Features& affinity) const = 0;
};

/// A mixture of Gaussians with diagonal covariances on the rows of `affinity`: EM from k-means,
/// 1e-6 added to variances, until the mean log-likelihood rises by less than 1e-3 or 100
/// iterations.
std::unique_ptr<AffinityModel> fit_gaussian_mixture(const Features& affinity, std::size_t clusters,
                                                    std::uint64_t seed);

/// Fits a model of the kind to the rows of `affinity`. The spectral one needs the affinity of the
/// anchors themselves, [anchors, anchors]; new rows are placed by Nystroem's formula. InputError
/// for fewer rows than clusters.
std::unique_ptr<AffinityModel> fit_affinity_model(AffinityModelKind kind, const Features& affinity,
                                                  std::size_t clusters, std::uint64_t seed);

}  // namespace amalgam::labels
