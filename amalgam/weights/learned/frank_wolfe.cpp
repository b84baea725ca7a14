#include "amalgam/weights/learned/frank_wolfe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::Network;

torch::Tensor everything(const Dataset& data) { return torch::arange(data.count(), torch::kLong); }

// The hull of a pool of checkpoints and the start, and a network that moves in it.
class Hull {
 public:
  Hull(const Network& network, const NamedTensors& start, const std::vector<NamedTensors>& pool,
       Granularity granularity, VertexRule rule, CoefficientLoss loss)
      : network_(learning::network_with(network, learning::state_of(network))),
        granularity_(granularity),
        rule_(rule),
        loss_(loss) {
    if (pool.empty()) throw InputError("frank_wolfe: the pool has no checkpoints");
    // A point checks names and shapes, and lays tensors out in the network's order.
    std::vector<NamedTensors> vertices = pool;
    vertices.push_back(start);
    for (const auto& parameter : network_->named_parameters()) {
      Row row{.parameter = parameter.value(), .name = parameter.key()};
      std::vector<torch::Tensor> flat;
      for (const NamedTensors& vertex : vertices) {
        const auto found = std::ranges::find(vertex, row.name, &NamedTensors::value_type::first);
        if (found == vertex.end() || found->second.sizes() != row.parameter.sizes()) {
          throw InputError("frank_wolfe: tensor '{}' is {} in a checkpoint of the pool", row.name,
                           found == vertex.end() ? "missing" : "of another shape");
        }
        flat.push_back(found->second.detach().flatten().to(torch::kDouble));
      }
      row.vertices = torch::stack(flat);
      row.theta = row.vertices[-1].clone();
      rows_.push_back(std::move(row));
    }
    write();
    network_->eval();
  }

  Network& network() { return *network_; }
  std::int64_t vertices() const { return rows_.front().vertices.size(0); }
  std::size_t shares_rows() const { return granularity_ == Granularity::whole ? 1 : rows_.size(); }

  // The mean loss over the tasks; its gradient is in the network afterwards.
  double objective(const std::vector<Dataset>& tasks, bool with_gradient) {
    for (Row& row : rows_) {
      if (row.parameter.grad().defined()) row.parameter.mutable_grad().zero_();
    }
    double sum = 0;
    for (const Dataset& task : tasks) {
      const torch::AutoGradMode mode(with_gradient);
      const torch::Tensor loss = coefficient_loss(*network_, task, everything(task), loss_) /
                                 static_cast<double>(tasks.size());
      sum += loss.item<double>();
      if (with_gradient) loss.backward();
    }
    return sum;
  }

  // The best vertex of every row by the gradient in the network; vertices in `taken` (per row) are
  // left out.
  std::vector<std::size_t> pick(const std::vector<std::vector<bool>>& taken) const {
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> scores;
    scores.reserve(rows_.size());
    for (const Row& row : rows_) scores.push_back(scores_of(row));
    if (granularity_ == Granularity::whole) {
      torch::Tensor total = torch::zeros_like(scores.front());
      for (const torch::Tensor& one : scores) total += one;
      return {lowest(total, taken[0])};
    }
    std::vector<std::size_t> picks;
    picks.reserve(rows_.size());
    for (std::size_t l = 0; l < rows_.size(); ++l) picks.push_back(lowest(scores[l], taken[l]));
    return picks;
  }

  // <g, theta - s>, summed over the tensors.
  double gap(const std::vector<std::size_t>& picks) const {
    double sum = 0;
    for (std::size_t l = 0; l < rows_.size(); ++l) {
      const Row& row = rows_[l];
      sum += torch::dot(gradient_of(row), row.theta - vertex(row, picks, l)).item<double>();
    }
    return sum;
  }

  // theta <- origin + step (s - origin), where origin is the theta that keep() kept.
  void move(const std::vector<std::size_t>& picks, double step) {
    for (std::size_t l = 0; l < rows_.size(); ++l) {
      Row& row = rows_[l];
      row.theta = row.kept + step * (vertex(row, picks, l) - row.kept);
    }
    write();
  }
  // The same by a rule, of which theta is the base and s the only member.
  void move_by(const std::string& rule, const std::vector<std::size_t>& picks, double step,
               double density, std::uint64_t seed) {
    NamedTensors origin;
    NamedTensors member;
    for (std::size_t l = 0; l < rows_.size(); ++l) {
      origin.emplace_back(rows_[l].name, rows_[l].kept);
      member.emplace_back(rows_[l].name, vertex(rows_[l], picks, l));
    }
    EngineOptions engine;
    engine.seed = seed;
    const auto merged = merge_in_memory(
        {.method = rule,
         .base = as_source(origin, "current point"),
         .members = {as_source(member, "vertex")},
         .parameters = {fmt::format("weight={}", step), fmt::format("density={}", density),
                        "normalize=false", "scope=model"},
         .files = {}},
        engine);
    for (Row& row : rows_) {
      row.theta = learning::read_tensor(*merged, merged->find(row.name).value()).to(torch::kDouble);
    }
    write();
  }
  void keep() {
    for (Row& row : rows_) row.kept = row.theta.clone();
  }
  void go_back() {
    for (Row& row : rows_) row.theta = row.kept.clone();
    write();
  }
  void set(const NamedTensors& state) {
    for (std::size_t l = 0; l < rows_.size(); ++l) {
      rows_[l].theta = state[l].second.detach().flatten().to(torch::kDouble);
    }
    write();
  }

  // s - theta, by tensor.
  NamedTensors direction(const std::vector<std::size_t>& picks) const {
    NamedTensors result;
    result.reserve(rows_.size());
    for (std::size_t l = 0; l < rows_.size(); ++l) {
      const Row& row = rows_[l];
      result.emplace_back(row.name,
                          (vertex(row, picks, l) - row.theta).view(row.parameter.sizes()));
    }
    return result;
  }
  NamedTensors state() const {
    NamedTensors result;
    result.reserve(rows_.size());
    for (const Row& row : rows_) result.emplace_back(row.name, row.parameter.detach().clone());
    for (const auto& buffer : network_->named_buffers()) {
      result.emplace_back(buffer.key(), buffer.value().detach().clone());
    }
    return result;
  }

 private:
  struct Row {
    torch::Tensor parameter;
    std::string name;
    torch::Tensor vertices;  // [pool + 1, elements], double; the start is the last
    torch::Tensor theta;     // double
    torch::Tensor kept;
  };

  static torch::Tensor gradient_of(const Row& row) {
    return row.parameter.grad().defined() ? row.parameter.grad().flatten().to(torch::kDouble)
                                          : torch::zeros({row.parameter.numel()}, torch::kDouble);
  }

  torch::Tensor vertex(const Row& row, const std::vector<std::size_t>& picks, std::size_t l) const {
    return row
        .vertices[static_cast<std::int64_t>(picks[granularity_ == Granularity::whole ? 0 : l])];
  }

  torch::Tensor scores_of(const Row& row) const {
    const torch::Tensor gradient = gradient_of(row);
    const torch::Tensor of =
        rule_ == VertexRule::cosine_delta ? row.vertices - row.theta : row.vertices;
    const torch::Tensor products = torch::mv(of, gradient);
    if (rule_ == VertexRule::inner) return products;
    const torch::Tensor norms = of.norm(2, 1) * gradient.norm();
    // A vertex or gradient without length points nowhere.
    return torch::where(norms > 0, products / norms.clamp_min(1e-300), torch::zeros_like(products));
  }

  static std::size_t lowest(const torch::Tensor& scores, const std::vector<bool>& taken) {
    const auto values = scores.accessor<double, 1>();
    std::size_t best = taken.size();
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if (taken[i]) continue;
      const auto at = static_cast<std::int64_t>(i);
      if (best == taken.size() || values[at] < values[static_cast<std::int64_t>(best)]) best = i;
    }
    return best;
  }

  void write() {
    const torch::NoGradGuard no_grad;
    for (Row& row : rows_) row.parameter.copy_(row.theta.view(row.parameter.sizes()));
  }

  std::shared_ptr<Network> network_;
  std::vector<Row> rows_;
  Granularity granularity_;
  VertexRule rule_;
  CoefficientLoss loss_;
};

// w <- (1 - gamma) w, and gamma more for the vertex that was picked.
void shift_shares(torch::Tensor& shares, const std::vector<std::size_t>& picks, double step) {
  shares *= 1 - step;
  for (std::size_t l = 0; l < picks.size(); ++l) {
    shares[static_cast<std::int64_t>(l)][static_cast<std::int64_t>(picks[l])] += step;
  }
}

void move(Hull& hull, const std::vector<std::size_t>& picks, double gamma, std::uint64_t iteration,
          const FrankWolfeOptions& options) {
  if (options.merge == InnerMerge::task_arithmetic) return hull.move(picks, gamma);
  hull.move_by(options.merge == InnerMerge::ties ? "ties" : "dare_ties", picks, gamma,
               options.density, options.seed + iteration);
}

// The first of gamma, gamma / 2, ... that does not raise the objective; 0 if none of them does not.
double search_step(Hull& hull, const FrankWolfeStep& at, std::uint64_t iteration,
                   const FrankWolfeOptions& options, const std::vector<Dataset>& tasks) {
  double gamma = at.step;
  for (std::uint64_t i = 0; i <= options.line_search; ++i, gamma /= 2) {
    move(hull, at.picks, gamma, iteration, options);
    if (hull.objective(tasks, false) <= at.objective) return gamma;
  }
  hull.go_back();
  return 0;
}

std::vector<std::vector<bool>> none_taken(const Hull& hull) {
  return std::vector(hull.shares_rows(),
                     std::vector<bool>(static_cast<std::size_t>(hull.vertices())));
}

}  // namespace

FrankWolfe frank_wolfe(const Network& network, const NamedTensors& start,
                       const std::vector<NamedTensors>& pool, const std::vector<Dataset>& tasks,
                       const FrankWolfeOptions& options) {
  check_tasks(network, tasks, "frank_wolfe");
  if (!(options.density > 0 && options.density <= 1)) {
    throw InputError("frank_wolfe: the density is {}; expected more than 0 and at most 1",
                     options.density);
  }
  Hull hull(network, start, pool, options.granularity, options.rule, options.loss);
  FrankWolfe result;
  result.shares = torch::zeros({static_cast<std::int64_t>(hull.shares_rows()), hull.vertices()},
                               torch::kDouble);
  result.shares.select(1, hull.vertices() - 1).fill_(1);
  torch::Tensor shares_before = result.shares.clone();
  hull.keep();
  for (std::uint64_t t = 0; t < options.iterations; ++t) {
    FrankWolfeStep step{.objective = hull.objective(tasks, true)};
    if (!std::isfinite(step.objective)) {
      log::warn(
          "frank_wolfe: the objective of iteration {} is not finite; the point before it is "
          "the result",
          t + 1);
      hull.go_back();
      result.shares = shares_before;
      break;
    }
    step.picks = hull.pick(none_taken(hull));
    step.gap = hull.gap(step.picks);
    if (options.tolerance > 0 && step.gap < options.tolerance) break;
    step.step = 2.0 / static_cast<double>(t + 2) * options.step_size * options.scaling;
    hull.keep();
    shares_before = result.shares.clone();
    if (options.line_search > 0) {
      step.step = search_step(hull, step, t, options, tasks);
    } else {
      move(hull, step.picks, step.step, t, options);
    }
    shift_shares(result.shares, step.picks, step.step);
    result.trajectory.push_back(std::move(step));
    if (options.on_iteration) options.on_iteration(t + 1);
  }
  if (options.merge != InnerMerge::task_arithmetic) result.shares = torch::Tensor();
  result.objective = hull.objective(tasks, false);
  result.state = hull.state();
  return result;
}

FrankWolfe soft_frank_wolfe(const Network& network, const NamedTensors& start,
                            const std::vector<NamedTensors>& pool,
                            const std::vector<Dataset>& tasks,
                            const SoftFrankWolfeOptions& options) {
  check_tasks(network, tasks, "frank_wolfe");
  Hull hull(network, start, pool, options.granularity, options.rule, options.loss);
  const std::size_t most = std::min<std::size_t>(
      {tasks.size(), static_cast<std::size_t>(hull.vertices()),
       options.most_picks == 0 ? tasks.size() : static_cast<std::size_t>(options.most_picks)});
  FrankWolfe result;
  for (std::uint64_t t = 0; t < options.iterations; ++t) {
    auto taken = none_taken(hull);
    std::vector<NamedTensors> directions;
    FrankWolfeStep step{.objective = hull.objective(tasks, false)};
    for (std::size_t task = 0; task < most; ++task) {
      hull.objective({tasks[task]}, true);
      const std::vector<std::size_t> picks = hull.pick(taken);
      step.gap += hull.gap(picks);
      for (std::size_t l = 0; l < picks.size(); ++l) taken[l][picks[l]] = true;
      directions.push_back(hull.direction(picks));
      step.picks.insert(step.picks.end(), picks.begin(), picks.end());
    }
    const NamedTensors origin = hull.state();
    MergedPoint point(network, &origin, directions, options.granularity);
    const double initial = t == 0 ? options.initial : options.initial_later;
    DescentOptions descent{.loss = options.loss,
                           .learning_rate = options.learning_rate,
                           .steps = options.steps,
                           .batch = options.batch,
                           .seed = options.seed + t,
                           .project = {},
                           .on_step = {}};
    torch::Tensor first = torch::full({point.rows(), point.directions()}, initial, torch::kDouble);
    if (options.simplex) {
      descent.project = [](torch::Tensor& rows) { rows.copy_(project_to_simplex(rows)); };
      first = project_to_simplex(first);
    }
    if (options.fixed_step > 0) {
      const double step_size = t == 0 ? 1 : 2.0 / static_cast<double>(t + 2) * options.fixed_step;
      first.fill_(options.initial * step_size);
      if (options.simplex) first = project_to_simplex(first);
      point.move_to(first);
      step.step = first.mean().item<double>();
    } else {
      step.step = descend(point, first, tasks, descent).coefficients.mean().item<double>();
    }
    hull.set(point.state());
    result.trajectory.push_back(std::move(step));
    if (options.on_iteration) options.on_iteration(t + 1);
  }
  result.objective = hull.objective(tasks, false);
  result.state = hull.state();
  return result;
}

torch::Tensor project_to_simplex(const torch::Tensor& rows) {
  torch::Tensor result = rows.clamp_min(0).contiguous();
  for (std::int64_t r = 0; r < rows.size(0); ++r) {
    if (result[r].sum().item<double>() <= 1) continue;
    // Held and Wolfe and Crowder 1974: subtract the threshold that makes the positive part sum
    // to 1.
    const torch::Tensor sorted = std::get<0>(rows[r].sort(0, /*descending=*/true)).contiguous();
    const auto values = sorted.accessor<double, 1>();
    double sum = 0;
    double threshold = 0;
    for (std::int64_t j = 0; j < sorted.size(0); ++j) {
      sum += values[j];
      const double candidate = (sum - 1) / static_cast<double>(j + 1);
      if (values[j] - candidate > 0) threshold = candidate;
    }
    result[r].copy_((rows[r] - threshold).clamp_min(0));
  }
  return result;
}

}  // namespace amalgam::learned
