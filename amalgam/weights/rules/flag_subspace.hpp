#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "amalgam/weights/rules/small_matrix.hpp"

namespace amalgam {

/// How the projected mean is scaled; see FlagOptions::scaling.
enum class FlagScaling {
  unit,    ///< median_i |g_i| (1/p) Y Y^T sum_i g_i/|g_i|: each member counts at most as one
  unit_m,  ///< (1/m) Y Y^T sum_i g_i/|g_i|: the authors' code; the scale of the members is lost
  raw,  ///< (1/p) Y Y^T sum_i g_i: the paper's algorithm; not safe against large members if m > 1
};

/// The flag aggregator (Almasi et al. 2024, arXiv 2302.05865).
struct FlagOptions {
  std::size_t subspace = 0;  ///< m, the dimension of the subspace; 0: ceil((p + 1) / 2)
  double lambda = 0;         ///< weight of the pairwise regulariser, >= 0
  bool raw_pairs = false;    ///< differences of the members as they are, not of their directions
  std::size_t iterations = 5;
  FlagScaling scaling = FlagScaling::unit;
};

struct FlagResult {
  std::vector<double> weights;    ///< the aggregate is sum_i weights[i] g_i
  std::vector<double> explained;  ///< v_i in [0, 1]: the share of g_i's energy in the subspace
  std::vector<double> singular_values;  ///< of the weighted members, descending
  std::vector<double> objective;        ///< sum_c b_c sqrt(1 - v_c + 1e-7) after each iteration
  SmallMatrix projector;                ///< P with Y Y^T = G~ P G~^T, G~ the members' directions
  std::vector<std::size_t> excluded;    ///< members that are not finite
};

/// Estimates the subspace that most of p members share, from their Gram matrix <g_i, g_j> alone, by
/// iteratively reweighted least squares (the best iterate is returned), and projects their mean on
/// it. Members that are zero have no direction and v = 0; members that are not finite are left out
/// and listed. Requires 1 <= subspace <= p.
FlagResult flag_aggregate(const SmallMatrix& products, const FlagOptions& options);

/// sum_i (alpha - 1) ln v_i + (beta - 1) ln(1 - v_i) - ln B(alpha, beta): the likelihood that the
/// flag aggregator's objective, alpha = 1 and beta = 1/2, linearises. alpha, beta > 0.
double beta_log_likelihood(std::span<const double> explained, double alpha, double beta);

}  // namespace amalgam
