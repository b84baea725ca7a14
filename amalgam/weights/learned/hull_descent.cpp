#include "amalgam/weights/learned/hull_descent.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"

namespace amalgam::learned {
namespace {

// By row, the scores of all vertices: double [count]. Every vertex is read once, from its first row
// to its last.
std::vector<torch::Tensor> scores_of(const Hull& hull, const HullPoint& theta,
                                     const HullPoint& gradient, VertexRule rule) {
  std::vector<torch::Tensor> scores;
  std::vector<double> lengths;  // of the gradient
  for (std::size_t l = 0; l < hull.rows; ++l) {
    scores.push_back(torch::zeros({static_cast<std::int64_t>(hull.count)}, torch::kDouble));
    lengths.push_back(rule == VertexRule::inner ? 1 : gradient[l].norm().item<double>());
  }
  for (std::size_t i = 0; i < hull.count; ++i) {
    for (std::size_t l = 0; l < hull.rows; ++l) {
      torch::Tensor of = hull.vertex(i, l);
      if (rule == VertexRule::cosine_delta) of = of - theta[l];
      double score = torch::dot(of, gradient[l]).item<double>();
      if (rule != VertexRule::inner) {
        // A vertex or gradient without length points nowhere.
        const double norms = of.norm().item<double>() * lengths[l];
        score = norms > 0 ? score / norms : 0;
      }
      scores[l].data_ptr<double>()[i] = score;
    }
  }
  return scores;
}

// One row for all: the sum.
std::vector<torch::Tensor> by_granularity(std::vector<torch::Tensor> rows,
                                          Granularity granularity) {
  if (granularity == Granularity::tensor) return rows;
  torch::Tensor total = torch::zeros_like(rows.front());
  for (const torch::Tensor& row : rows) total += row;
  return {total};
}

void pick_lowest(const torch::Tensor& scores, const std::vector<bool>* taken, HullPick& pick) {
  const auto values = scores.accessor<double, 1>();
  constexpr double kNone = std::numeric_limits<double>::infinity();
  std::size_t best = 0;
  double lowest = kNone;
  double second = kNone;
  for (std::int64_t i = 0; i < values.size(0); ++i) {
    const auto index = static_cast<std::size_t>(i);
    if (taken != nullptr && (*taken)[index]) continue;
    if (values[i] < lowest) {
      second = std::exchange(lowest, values[i]);
      best = index;
    } else {
      second = std::min(second, values[i]);
    }
  }
  pick.vertices.push_back(best);
  pick.scores.push_back(lowest);
  pick.margins.push_back(second == kNone ? 0 : second - lowest);
}

// What every row (or all together) does in one step, as far as its hull goes.
struct RowMove {
  std::size_t towards;  // vertex; the count: none
  std::size_t away;     // the same
  double longest;       // of gamma
};

class Descent {
 public:
  Descent(const Hull& hull, const HullDescentOptions& options) : hull_(hull), options_(options) {
    for (std::size_t l = 0; l < hull.rows; ++l) {
      theta_.push_back(hull.vertex(hull.count - 1, l).clone());
    }
    const std::size_t rows = options.granularity == Granularity::whole ? 1 : hull.rows;
    shares_ = torch::zeros({static_cast<std::int64_t>(rows), at(hull.count)}, torch::kDouble);
    shares_.select(1, at(hull.count) - 1).fill_(1);
  }

  HullDescent run() {
    HullDescent result;
    HullPoint before = theta_;
    torch::Tensor shares_before = shares_.clone();
    for (std::uint64_t t = 0; t < options_.iterations; ++t) {
      HullPoint gradient;
      HullStep step;
      step.objective = hull_.objective(theta_, &gradient, t);
      if (!std::isfinite(step.objective)) {
        log::warn(
            "frank_wolfe: the objective of iteration {} is not finite; the point before it is "
            "the result",
            t + 1);
        theta_ = before;
        shares_ = shares_before;
        break;
      }
      remember(step.objective);
      step.pick = pick_vertices(hull_, theta_, gradient, options_.granularity, options_.rule);
      step.gap = frank_wolfe_gap(hull_, theta_, gradient, step.pick);
      if (options_.tolerance > 0 && step.gap < options_.tolerance) break;
      before = theta_;
      shares_before = shares_.clone();
      take(step, gradient, t);
      result.trajectory.push_back(std::move(step));
      if (options_.on_iteration) options_.on_iteration(t + 1);
    }
    result.objective = hull_.objective(theta_, nullptr, options_.iterations);
    remember(result.objective);
    if (options_.keep_best && best_objective_ < result.objective) {
      theta_ = best_;
      shares_ = best_shares_;
      result.objective = hull_.objective(theta_, nullptr, options_.iterations);
    }
    result.theta = theta_;
    if (!options_.step_by) result.shares = shares_;
    return result;
  }

 private:
  static std::int64_t at(std::size_t index) { return static_cast<std::int64_t>(index); }
  bool is_whole() const { return options_.granularity == Granularity::whole; }

  void remember(double objective) {
    if (!options_.keep_best || !(objective < best_objective_)) return;
    best_objective_ = objective;
    best_ = theta_;
    best_shares_ = shares_.clone();
  }

  // Gamma as the step rule says, or the first of its halvings that does not raise the objective.
  void take(HullStep& step, const HullPoint& gradient, std::uint64_t t) {
    const std::vector<RowMove> moves = moves_of(step, gradient);
    for (const RowMove& move : moves) step.away.push_back(move.away);
    const HullPoint origin = theta_;
    const HullPoint way = options_.step_by ? vertices_at(step.pick) : directions(origin, moves);
    const auto after = [&](double gamma) {
      return options_.step_by ? options_.step_by(origin, way, gamma, t)
                              : moved(origin, way, moves, gamma);
    };
    double gamma = 2.0 / static_cast<double>(t + 2);
    if (options_.step_rule == StepRule::parabola) {
      gamma = lowest_of_parabola(step.objective, origin, gradient, moves, after, t);
    }
    gamma *= options_.step_factor;
    for (std::uint64_t i = 0; i <= options_.line_search; ++i, gamma /= 2) {
      theta_ = after(gamma);
      if (options_.line_search == 0 || hull_.objective(theta_, nullptr, t) <= step.objective) {
        step.step = gamma;
        shift_shares(moves, gamma);
        return;
      }
    }
    theta_ = origin;
  }

  // Where phi(gamma) = phi(0) + slope gamma + curvature gamma^2 / 2 is lowest, in [0, longest].
  template <class After>
  double lowest_of_parabola(double here, const HullPoint& origin, const HullPoint& gradient,
                            const std::vector<RowMove>& moves, const After& after,
                            std::uint64_t t) const {
    double trial = 1;
    double longest = 0;
    for (const RowMove& move : moves) {
      if (move.towards == move.away) continue;
      trial = std::min(trial, move.longest);
      longest = std::max(longest, move.longest);
    }
    if (!(trial > 0) || longest == 0) return 0;
    const HullPoint there = after(trial);
    double change = 0;  // slope times trial
    for (std::size_t l = 0; l < origin.size(); ++l) {
      change += torch::dot(gradient[l], there[l] - origin[l]).item<double>();
    }
    if (!(change < 0)) return 0;
    const double bend = hull_.objective(there, nullptr, t) - here - change;
    if (!(bend > 0)) return longest;
    return std::min(-change / (2 * bend) * trial, longest);
  }

  HullPoint vertices_at(const HullPick& pick) const {
    HullPoint point;
    for (std::size_t l = 0; l < theta_.size(); ++l) {
      point.push_back(vertex_of(hull_, pick.vertices, l));
    }
    return point;
  }

  std::vector<RowMove> moves_of(const HullStep& step, const HullPoint& gradient) const {
    const std::size_t none = hull_.count;
    std::vector<RowMove> moves;
    for (const std::size_t vertex : step.pick.vertices) moves.push_back({vertex, none, 1});
    if (options_.direction == StepDirection::towards) return moves;
    const auto products =
        by_granularity(scores_of(hull_, theta_, gradient, VertexRule::inner), options_.granularity);
    std::vector<torch::Tensor> here;
    for (std::size_t l = 0; l < theta_.size(); ++l) {
      here.push_back(torch::dot(gradient[l], theta_[l]).view({1}));
    }
    here = by_granularity(here, options_.granularity);
    for (std::size_t row = 0; row < moves.size(); ++row) {
      RowMove& move = moves[row];
      const std::size_t worst = worst_of(row, products[row]);
      const double share = shares_[at(row)][at(worst)].item<double>();
      if (options_.direction == StepDirection::pairwise) {
        move = {move.towards, worst, share};
        continue;
      }
      const double there = here[row][0].item<double>();
      const double falls = there - products[row][at(move.towards)].item<double>();
      const double falls_away = products[row][at(worst)].item<double>() - there;
      // Of one vertex alone nothing goes away.
      if (falls_away > falls && share < 1) move = {none, worst, share / (1 - share)};
    }
    return moves;
  }

  // Of the vertices that a row consists of, the one with the highest product.
  std::size_t worst_of(std::size_t row, const torch::Tensor& products) const {
    const torch::Tensor shares = shares_[at(row)];
    const torch::Tensor active = torch::where(
        shares > 0, products, torch::full_like(products, -std::numeric_limits<double>::infinity()));
    return static_cast<std::size_t>(active.argmax().item<std::int64_t>());
  }

  // By row, where a move of gamma 1 leads.
  HullPoint directions(const HullPoint& origin, const std::vector<RowMove>& moves) const {
    const std::size_t none = hull_.count;
    HullPoint ways;
    ways.reserve(origin.size());
    for (std::size_t l = 0; l < origin.size(); ++l) {
      const RowMove& move = moves[is_whole() ? 0 : l];
      const torch::Tensor to = move.towards == none ? origin[l] : hull_.vertex(move.towards, l);
      const torch::Tensor from = move.away == none ? origin[l] : hull_.vertex(move.away, l);
      ways.push_back(to - from);
    }
    return ways;
  }

  HullPoint moved(const HullPoint& origin, const HullPoint& ways, const std::vector<RowMove>& moves,
                  double gamma) const {
    HullPoint point;
    point.reserve(origin.size());
    for (std::size_t l = 0; l < origin.size(); ++l) {
      point.push_back(origin[l] + std::min(gamma, moves[is_whole() ? 0 : l].longest) * ways[l]);
    }
    return point;
  }

  void shift_shares(const std::vector<RowMove>& moves, double gamma) {
    const std::size_t none = hull_.count;
    for (std::size_t row = 0; row < moves.size(); ++row) {
      const RowMove& move = moves[row];
      if (move.towards == move.away) continue;
      const double step = std::min(gamma, move.longest);
      torch::Tensor shares = shares_[at(row)];
      if (move.away == none) shares *= 1 - step;
      if (move.towards == none) shares *= 1 + step;
      if (move.towards != none) shares[at(move.towards)] += step;
      if (move.away != none) {
        // What goes as far as it can leaves nothing.
        shares[at(move.away)] -= step;
        if (step == move.longest) shares[at(move.away)] = 0;
      }
    }
  }

  const Hull& hull_;
  const HullDescentOptions& options_;
  HullPoint theta_;
  torch::Tensor shares_;
  double best_objective_ = std::numeric_limits<double>::infinity();
  HullPoint best_;
  torch::Tensor best_shares_;
};

}  // namespace

Hull hull_in_memory(std::vector<torch::Tensor> vertices, HullObjective objective) {
  Hull hull{.count = static_cast<std::size_t>(vertices.front().size(0)),
            .rows = vertices.size(),
            .vertex = {},
            .objective = std::move(objective)};
  hull.vertex = [all = std::move(vertices)](std::size_t vertex, std::size_t row) {
    return all[row][static_cast<std::int64_t>(vertex)];
  };
  return hull;
}

HullPick pick_vertices(const Hull& hull, const HullPoint& theta, const HullPoint& gradient,
                       Granularity granularity, VertexRule rule,
                       const std::vector<std::vector<bool>>& taken) {
  const torch::NoGradGuard no_grad;
  const auto rows = by_granularity(scores_of(hull, theta, gradient, rule), granularity);
  HullPick pick;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    pick_lowest(rows[row], taken.empty() ? nullptr : &taken[row], pick);
  }
  return pick;
}

torch::Tensor vertex_of(const Hull& hull, const std::vector<std::size_t>& chosen, std::size_t row) {
  return hull.vertex(chosen.size() == 1 ? chosen[0] : chosen[row], row);
}

double frank_wolfe_gap(const Hull& hull, const HullPoint& theta, const HullPoint& gradient,
                       const HullPick& pick) {
  double sum = 0;
  for (std::size_t l = 0; l < theta.size(); ++l) {
    sum += torch::dot(gradient[l], theta[l] - vertex_of(hull, pick.vertices, l)).item<double>();
  }
  return sum;
}

HullDescent descend_in_hull(const Hull& hull, const HullDescentOptions& options) {
  if (options.step_by && options.direction != StepDirection::towards) {
    throw InputError(
        "frank_wolfe: steps away from a vertex are made by task arithmetic only; expected"
        " inner=task_arithmetic or direction=towards");
  }
  const torch::NoGradGuard no_grad;
  return Descent(hull, options).run();
}

}  // namespace amalgam::learned
