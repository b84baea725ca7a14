#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "amalgam/weights/learned/coefficients.hpp"

namespace amalgam::learned {

/// How the vertex is chosen from the gradient g at theta: the vertex s with the smallest
enum class VertexRule {
  inner,         ///< <g, s>: Frank-Wolfe's linear minimisation, exactly
  cosine,        ///< <g, s> / (|g| |s|): the reference implementation's
  cosine_delta,  ///< <g, s - theta> / (|g| |s - theta|)
};

/// Where a step goes, with s the chosen vertex and a, of those that theta consists of, the one that
/// the gradient favours least (by <g, a>).
enum class StepDirection {
  towards,   ///< s - theta: Frank-Wolfe's own
  away,      ///< theta - a where that falls faster than s - theta, else s - theta
  pairwise,  ///< s - a: what leaves a goes to s
};

/// A point, or a gradient, row by row: one double vector per tensor of a network.
using HullPoint = std::vector<torch::Tensor>;

/// The value at a point; `gradient`, if not null, gets that of the iteration's examples (all, or a
/// batch). The value is always over all examples.
using HullObjective =
    std::function<double(const HullPoint& theta, HullPoint* gradient, std::uint64_t iteration)>;

/// A function over the convex hulls of vertices, each row (tensor) with its own.
struct Hull {
  std::size_t count = 0;  ///< of vertices; the last is the start
  std::size_t rows = 0;
  /// One row of a vertex, double [elements]. Called whenever it is needed and not kept for long, so
  /// that vertices may stay in files.
  std::function<torch::Tensor(std::size_t vertex, std::size_t row)> vertex;
  HullObjective objective;
};

/// The hull of vertices in memory: by row, double [count, elements].
Hull hull_in_memory(std::vector<torch::Tensor> vertices, HullObjective objective);

/// The chosen vertex of every row, or one for all.
struct HullPick {
  std::vector<std::size_t> vertices;
  std::vector<double> scores;   ///< of VertexRule
  std::vector<double> margins;  ///< by which the next best one is worse; 0 if there is none
};

/// The vertices with the lowest scores; ties go to the lowest index. Where there is no gradient or
/// a vertex has no length, a cosine is 0. `taken`, if not empty, has by row those that may not be
/// chosen; at least one may.
HullPick pick_vertices(const Hull& hull, const HullPoint& theta, const HullPoint& gradient,
                       Granularity granularity, VertexRule rule,
                       const std::vector<std::vector<bool>>& taken = {});
/// <g, theta - s>, summed over the rows.
double frank_wolfe_gap(const Hull& hull, const HullPoint& theta, const HullPoint& gradient,
                       const HullPick& pick);

/// The point that a row's vertex is: that of `chosen`, which has one index for all or one per row.
torch::Tensor vertex_of(const Hull& hull, const std::vector<std::size_t>& chosen, std::size_t row);

/// How long a step is.
enum class StepRule {
  schedule,  ///< 2 / (t + 2)
  /// To the lowest point of the parabola through the objective here, its slope along the step and
  /// its value one step further on (or where the first row's hull ends): exact where the objective
  /// is quadratic. Without curvature, as far as the hull goes.
  parabola
};

struct HullStep {
  double objective = 0;  ///< before the step
  double gap = 0;        ///< <g, theta - s>
  double step = 0;       ///< gamma, as taken; rows whose hull ends before that go as far as it does
  HullPick pick;
  /// The vertex that every row goes away from; the count of vertices where it does not.
  std::vector<std::size_t> away;
};

struct HullDescentOptions {
  Granularity granularity = Granularity::tensor;
  VertexRule rule = VertexRule::inner;
  StepDirection direction = StepDirection::towards;
  std::uint64_t iterations = 10;
  StepRule step_rule = StepRule::schedule;
  double step_factor = 1;  ///< times what `step_rule` says is gamma_t
  /// Tries gamma_t and this many halvings of it and takes the first that does not raise the
  /// objective, else none; 0: always gamma_t.
  std::uint64_t line_search = 0;
  bool keep_best = false;  ///< the result is the point with the lowest objective, not the last
  double tolerance = 0;    ///< stop when the gap falls below this; 0: never
  /// Instead of theta + gamma (s - theta), for `towards`: the point after the step.
  std::function<HullPoint(const HullPoint& theta, const HullPoint& vertex, double gamma,
                          std::uint64_t iteration)>
      step_by;
  std::function<void(std::uint64_t iteration)> on_iteration;
};

struct HullDescent {
  HullPoint theta;
  double objective = 0;  ///< there
  std::vector<HullStep> trajectory;
  /// The share of each vertex in the result, double [rows, count], where one row stands for all by
  /// Granularity::whole; rows sum to 1. Undefined with `step_by`.
  torch::Tensor shares;
};

/// Frank-Wolfe's method from the last vertex (Frank and Wolfe 1956; away and pairwise steps:
/// Lacoste-Julien and Jaggi 2015). Where the objective is not finite, the point before is the
/// result, with a warning.
HullDescent descend_in_hull(const Hull& hull, const HullDescentOptions& options = {});

}  // namespace amalgam::learned
