#pragma once

#include <optional>
#include <span>
#include <vector>

#include "amalgam/labels/label_model.hpp"
#include "amalgam/labels/models/worker_pairs.hpp"

/// The moments of yes-or-no votes of workers whose errors are independent given the truth, and what
/// they say of the workers (the latent-variable model of Weaver).
namespace amalgam::labels::models {

/// Second moments: the covariance of each pair over the tasks of which both voted.
struct VerifierMoments {
  std::vector<double> means;  ///< [workers] share of yes votes
  WorkerPairs covariance;     ///< one column
};
VerifierMoments verifier_moments(const AnnotationTable& table, const Parallel& parallel);

/// u minimising the sum over pairs of common_vw (C_vw - u_v u_w)^2: cyclic exact updates from the
/// leading eigenvector of C, until none changes by more than 1e-14 or after 10,000 sweeps. Among
/// workers who are connected by common tasks the sign is such that the sum is not negative; if they
/// are of two sides that only met each other, both sides have the same norm.
std::vector<double> rank_one_fit(const WorkerPairs& covariance, const Parallel& parallel);

/// (1 - 2p) / sqrt(p (1 - p)) of the share p of true yes, from the third moments of all triples and
/// u; nothing if all products of three are 0.
std::optional<double> estimated_skew(const AnnotationTable& table, std::span<const double> means,
                                     std::span<const double> u, const Parallel& parallel);

/// The share p whose skew is `skew`.
double share_of_skew(double skew);

}  // namespace amalgam::labels::models
