#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/weights/learned/adamerging.hpp"
#include "amalgam/weights/learned/hull_descent.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"

namespace amalgam::learned {

/// How the step to a vertex s from theta is made, each by the rule of that name with theta as base
/// and s as the only member.
enum class InnerMerge {
  task_arithmetic,  ///< theta + gamma (s - theta): Frank-Wolfe's own, within the hull
  ties,             ///< s - theta trimmed to its largest magnitudes, over all tensors
  dare_ties         ///< after a random drop that keeps the same share, rescaled
};

/// The step to a vertex s from theta in iteration t = 0, 1, ...: gamma_t is what `step_rule` says,
/// times `step_size` times `scaling`, or found by a search along the segment.
struct FrankWolfeOptions {
  Granularity granularity = Granularity::tensor;  ///< one vertex for all tensors, or one per tensor
  VertexRule rule = VertexRule::inner;
  StepDirection direction = StepDirection::towards;  ///< the others: by task arithmetic only
  CoefficientLoss loss = CoefficientLoss::cross_entropy;
  std::uint64_t iterations = 10;
  std::uint64_t batch = 0;  ///< random examples per task and gradient; 0: all
  StepRule step_rule = StepRule::schedule;
  double step_size = 1;
  double scaling = 1;
  /// Tries gamma_t and this many halvings of it and takes the first that does not raise the
  /// objective, else none; 0: always gamma_t.
  std::uint64_t line_search = 0;
  bool keep_best = false;  ///< the result is the point with the lowest objective, not the last
  InnerMerge merge = InnerMerge::task_arithmetic;
  double density = 0.3;  ///< ties, dare_ties: the share of s - theta that is kept, in (0, 1]
  /// Of the batches, and of what dare_ties drops (iteration t has seed + t).
  std::uint64_t seed = 0;
  /// Stop when the Frank-Wolfe gap falls below this; 0: never (by the cosine rules it can be
  /// negative).
  double tolerance = 0;
  std::function<void(std::uint64_t iteration)> on_iteration;
};

/// The soft variant: every task picks a checkpoint in each iteration (none twice), and the
/// coefficients of all picks are then learned together.
struct SoftFrankWolfeOptions {
  Granularity granularity = Granularity::tensor;
  VertexRule rule = VertexRule::inner;
  CoefficientLoss loss = CoefficientLoss::cross_entropy;
  std::uint64_t iterations = 10;
  std::uint64_t most_picks = 0;  ///< per iteration; 0: one per task
  std::uint64_t steps = 500;     ///< of Adam, per iteration
  double learning_rate = 1e-3;
  std::uint64_t batch = 16;
  double initial = 0.3;         ///< coefficients at the start of the first iteration
  double initial_later = 1e-8;  ///< and of the others
  /// All coefficients of iteration t are `initial`, from the second on times 2 / (t + 2) times
  /// this, and nothing is learned; 0: learned.
  double fixed_step = 0;
  bool simplex = false;  ///< project the coefficients of a tensor onto {c >= 0, sum c <= 1}
  std::uint64_t seed = 0;
  std::function<void(std::uint64_t iteration)> on_iteration;
};

struct FrankWolfeStep {
  double objective = 0;                 ///< before the step
  std::vector<double> task_objectives;  ///< of every task, whose mean the objective is
  double gap = 0;                       ///< <g, theta - s>
  double step = 0;                      ///< gamma, as taken
  /// The vertex of every row (one, or one per tensor), as an index into the pool; the pool's size
  /// stands for the start.
  std::vector<std::size_t> picks;
  /// How well each pick is aligned with the gradient (the lower the better, see VertexRule), and by
  /// how much the next best vertex is worse (0 if there is none).
  std::vector<double> scores;
  std::vector<double> margins;
  /// Where steps go away from vertices: from which, by row; the pool's size + 1: from none.
  std::vector<std::size_t> away;
};

struct FrankWolfe {
  NamedTensors state;
  double objective = 0;                 ///< at the end
  std::vector<double> task_objectives;  ///< at the end
  std::vector<FrankWolfeStep> trajectory;
  /// The share of each vertex (the pool, then the start) in the result, double [rows, pool + 1];
  /// rows sum to 1. Of the soft variant without `simplex`, shares may be negative. Undefined for
  /// merges other than task arithmetic.
  torch::Tensor shares;
  std::vector<std::string> row_names;  ///< tensors, or one empty name
};

/// Hard Frank-Wolfe merging (Chen et al. 2025, arXiv 2503.12649): minimises the mean loss over the
/// tasks' examples over the convex hull of the pool and the start, moving towards the one
/// checkpoint (or, tensor by tensor, the composite) that the gradient favours most. Ties choose the
/// lowest index; where there is no gradient, nothing moves. Statistics of BatchNorm stay those of
/// `network`. InputError for an empty pool, tasks without examples and a density outside (0, 1];
/// where the objective is not finite, the best point so far is the result, with a warning.
///
/// The pool's checkpoints are read tensor by tensor, once or twice per iteration, and none is held:
/// memory does not grow with their number.
FrankWolfe frank_wolfe(const learning::Network& network, const NamedTensors& start,
                       const std::vector<SourcePointer>& pool,
                       const std::vector<learning::Dataset>& tasks,
                       const FrankWolfeOptions& options = {});
/// The same of checkpoints in memory.
FrankWolfe frank_wolfe(const learning::Network& network, const NamedTensors& start,
                       const std::vector<NamedTensors>& pool,
                       const std::vector<learning::Dataset>& tasks,
                       const FrankWolfeOptions& options = {});

/// Soft Frank-Wolfe merging, by the reference's learned coefficients. Of the pool, what is picked
/// in an iteration is in memory: as many checkpoints as there are tasks.
FrankWolfe soft_frank_wolfe(const learning::Network& network, const NamedTensors& start,
                            const std::vector<SourcePointer>& pool,
                            const std::vector<learning::Dataset>& tasks,
                            const SoftFrankWolfeOptions& options = {});
FrankWolfe soft_frank_wolfe(const learning::Network& network, const NamedTensors& start,
                            const std::vector<NamedTensors>& pool,
                            const std::vector<learning::Dataset>& tasks,
                            const SoftFrankWolfeOptions& options = {});

/// The point of {c >= 0, sum c <= 1} nearest to each row, double [rows, n].
torch::Tensor project_to_simplex(const torch::Tensor& rows);

}  // namespace amalgam::learned
