#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "amalgam/weights/rule.hpp"
#include "amalgam/weights/rules/small_matrix.hpp"

// What Byzantine-robust rules share: their parameters, and decisions from the matrix of squared
// distances between members alone, so that a federation server takes them with the same code.
namespace amalgam {

/// `scope`: tensor, layer or model (the default).
ParameterInfo robust_scope_parameter();
Scope robust_scope(const Parameters& parameters);

/// `f`, required.
ParameterInfo fault_parameter();
/// `f` of the unit. InputError stating the bound unless there are at least factor f + extra
/// members, or if the rule's parameters differ between the tensors of the unit.
std::size_t fault_count(const MergeUnit& unit, std::string_view rule, std::size_t factor,
                        std::size_t extra);

/// InputError naming the parameter and tensors unless all tensors of the unit, which are decided on
/// together, have the same rule-level parameters.
void require_common_parameters(const MergeUnit& unit, std::string_view rule);

/// Krum's scores (Blanchard et al. 2017): for each of n members the sum of its n - f - 2 (at least
/// 0) smallest squared distances to others. NaN distances count as infinite.
std::vector<double> krum_scores(const SmallMatrix& squared_distances, std::size_t f);
/// All members by ascending Krum score, equal ones by index.
std::vector<std::size_t> krum_order(const SmallMatrix& squared_distances, std::size_t f);
/// Bulyan's selection (El Mhamdi et al. 2018): the best member by Krum among those that are left,
/// n - 2f times, in the order of selection.
std::vector<std::size_t> bulyan_selection(const SmallMatrix& squared_distances, std::size_t f);

struct GeometricMedianOptions {
  std::size_t iterations = 100;
  double tolerance = 1e-8;  ///< stop when the point moves by less, relative to its mean distance
  double smoothing = 1e-6;  ///< nu: distances below count as this
};
/// The weights (sum 1) of the members in their geometric median, by smoothed Weiszfeld iterations
/// from the mean (Pillutla et al. 2022): |x_i - z|^2 = sum_j c_j D_ij - c^T D c / 2 for z = sum c_j
/// x_j.
std::vector<double> geometric_median_weights(const SmallMatrix& squared_distances,
                                             const GeometricMedianOptions& options = {});

}  // namespace amalgam
