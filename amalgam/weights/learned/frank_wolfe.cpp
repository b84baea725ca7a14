#include "amalgam/weights/learned/frank_wolfe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::Network;

torch::Tensor everything(const Dataset& data) { return torch::arange(data.count(), torch::kLong); }

// `count` random examples (0: all) for one gradient.
torch::Tensor some(const Dataset& data, std::uint64_t count, std::uint64_t seed, std::size_t task,
                   std::uint64_t iteration) {
  const auto all = static_cast<std::uint64_t>(data.count());
  if (count == 0 || count >= all) return everything(data);
  const auto order =
      shuffled_indices(all, seed, fmt::format("frank-wolfe batch {} of task {}", iteration, task));
  torch::Tensor chosen = torch::empty({static_cast<std::int64_t>(count)}, torch::kLong);
  auto indices = chosen.accessor<std::int64_t, 1>();
  for (std::uint64_t i = 0; i < count; ++i) {
    indices[static_cast<std::int64_t>(i)] = static_cast<std::int64_t>(order[i]);
  }
  return chosen;
}

std::vector<SourcePointer> as_sources(const std::vector<NamedTensors>& pool) {
  std::vector<SourcePointer> sources;
  for (const NamedTensors& member : pool) {
    sources.push_back(as_source(member, fmt::format("checkpoint {} of the pool", sources.size())));
  }
  return sources;
}

torch::Tensor as_row(const torch::Tensor& tensor) {
  return tensor.detach().flatten().to(torch::kDouble);
}

// The hull of a pool of checkpoints and the start, and a network that moves in it.
class NetworkHull {
 public:
  NetworkHull(const Network& network, NamedTensors start, const std::vector<SourcePointer>& pool,
              CoefficientLoss loss)
      : network_(learning::network_with(network, learning::state_of(network))),
        start_(std::move(start)),
        pool_(pool),
        loss_(loss) {
    if (pool.empty()) throw InputError("frank_wolfe: the pool has no checkpoints");
    for (const auto& parameter : network_->named_parameters()) {
      names_.push_back(parameter.key());
      parameters_.push_back(parameter.value());
      const auto found = std::ranges::find(start_, names_.back(), &NamedTensors::value_type::first);
      check(found == start_.end() ? std::nullopt
                                  : std::optional<Shape>(Shape(found->second.sizes().begin(),
                                                               found->second.sizes().end())),
            "the start");
      start_places_.push_back(static_cast<std::size_t>(found - start_.begin()));
      places_.emplace_back();
      for (const SourcePointer& member : pool) {
        const auto place = member->find(names_.back());
        check(place ? std::optional(member->tensors()[*place].shape) : std::nullopt,
              member->label());
        places_.back().push_back(place.value_or(0));
      }
    }
    hull.count = pool.size() + 1;
    hull.rows = names_.size();
    hull.vertex = [this](std::size_t vertex, std::size_t row) {
      if (vertex == pool_.size()) return as_row(start_[start_places_[row]].second);
      return as_row(learning::read_tensor(*pool_[vertex], places_[row][vertex]));
    };
    network_->eval();
  }
  NetworkHull(const NetworkHull&) = delete;
  NetworkHull& operator=(const NetworkHull&) = delete;

  const std::vector<std::string>& names() const { return names_; }
  HullPoint start() const {
    HullPoint point;
    for (std::size_t l = 0; l < hull.rows; ++l) point.push_back(hull.vertex(pool_.size(), l));
    return point;
  }

  // The mean loss over the tasks; `chosen` are the examples of each.
  double loss_at(const HullPoint& theta, const std::vector<Dataset>& tasks,
                 const std::vector<torch::Tensor>& chosen, HullPoint* gradient) {
    write(theta);
    task_losses_.clear();
    double sum = 0;
    for (std::size_t t = 0; t < tasks.size(); ++t) {
      const torch::AutoGradMode mode(gradient != nullptr);
      const torch::Tensor own = coefficient_loss(*network_, tasks[t], chosen[t], loss_);
      const torch::Tensor loss = own / static_cast<double>(tasks.size());
      task_losses_.push_back(own.item<double>());
      sum += loss.item<double>();
      if (gradient != nullptr) loss.backward();
    }
    if (gradient != nullptr) *gradient = gradients();
    return sum;
  }
  double loss_at(const HullPoint& theta, const std::vector<Dataset>& tasks, HullPoint* gradient) {
    std::vector<torch::Tensor> chosen;
    for (const Dataset& task : tasks) chosen.push_back(everything(task));
    return loss_at(theta, tasks, chosen, gradient);
  }

  // What the last loss was the mean of.
  const std::vector<double>& task_losses() const { return task_losses_; }

  // The point and the vertex as weights by name, for a merge by a rule.
  NamedTensors named(const HullPoint& point) const {
    NamedTensors tensors;
    for (std::size_t l = 0; l < point.size(); ++l) {
      tensors.emplace_back(names_[l], point[l].view(parameters_[l].sizes()));
    }
    return tensors;
  }
  NamedTensors state_at(const HullPoint& theta) {
    write(theta);
    NamedTensors result;
    for (std::size_t l = 0; l < names_.size(); ++l) {
      result.emplace_back(names_[l], parameters_[l].detach().clone());
    }
    for (const auto& buffer : network_->named_buffers()) {
      result.emplace_back(buffer.key(), buffer.value().detach().clone());
    }
    return result;
  }

  Hull hull;

 private:
  // InputError unless the last parameter has this shape (none: it is missing) in `where`.
  void check(const std::optional<Shape>& shape, const std::string& where) const {
    const auto sizes = parameters_.back().sizes();
    if (shape && *shape == Shape(sizes.begin(), sizes.end())) return;
    throw InputError("frank_wolfe: {}: tensor '{}' is {}", where, names_.back(),
                     shape ? "of another shape than the network's" : "missing");
  }
  void write(const HullPoint& theta) {
    const torch::NoGradGuard no_grad;
    for (std::size_t l = 0; l < theta.size(); ++l) {
      torch::Tensor& parameter = parameters_[l];
      parameter.copy_(theta[l].view(parameter.sizes()));
      if (parameter.grad().defined()) parameter.mutable_grad().zero_();
    }
  }
  HullPoint gradients() const {
    HullPoint result;
    for (const torch::Tensor& parameter : parameters_) {
      result.push_back(parameter.grad().defined()
                           ? parameter.grad().flatten().to(torch::kDouble)
                           : torch::zeros({parameter.numel()}, torch::kDouble));
    }
    return result;
  }

  std::shared_ptr<Network> network_;
  NamedTensors start_;
  const std::vector<SourcePointer>& pool_;
  std::vector<std::string> names_;
  std::vector<torch::Tensor> parameters_;
  std::vector<std::size_t> start_places_;         // by row
  std::vector<std::vector<std::size_t>> places_;  // by row, in every checkpoint
  CoefficientLoss loss_;
  std::vector<double> task_losses_;
};

// The step from theta to a vertex by a rule, with theta as base.
HullPoint step_by_rule(const NetworkHull& from, const HullPoint& theta, const HullPoint& vertex,
                       double gamma, std::uint64_t iteration, const FrankWolfeOptions& options) {
  EngineOptions engine;
  engine.seed = options.seed + iteration;
  const auto merged = merge_in_memory(
      {.method = options.merge == InnerMerge::ties ? "ties" : "dare_ties",
       .base = as_source(from.named(theta), "current point"),
       .members = {as_source(from.named(vertex), "vertex")},
       .parameters = {fmt::format("weight={}", gamma), fmt::format("density={}", options.density),
                      "normalize=false", "scope=model"},
       .files = {}},
      engine);
  HullPoint point;
  for (const std::string& name : from.names()) {
    point.push_back(
        learning::read_tensor(*merged, merged->find(name).value()).flatten().to(torch::kDouble));
  }
  return point;
}

std::vector<std::string> row_names(const NetworkHull& from, Granularity granularity) {
  return granularity == Granularity::whole ? std::vector<std::string>{""} : from.names();
}

FrankWolfeStep as_step(HullStep step) {
  return {.objective = step.objective,
          .task_objectives = {},
          .gap = step.gap,
          .step = step.step,
          .picks = std::move(step.pick.vertices),
          .scores = std::move(step.pick.scores),
          .margins = std::move(step.pick.margins),
          .away = std::move(step.away)};
}

}  // namespace

FrankWolfe frank_wolfe(const Network& network, const NamedTensors& start,
                       const std::vector<SourcePointer>& pool, const std::vector<Dataset>& tasks,
                       const FrankWolfeOptions& options) {
  check_tasks(network, tasks, options.loss, "frank_wolfe");
  if (!(options.density > 0 && options.density <= 1)) {
    throw InputError("frank_wolfe: the density is {}; expected more than 0 and at most 1",
                     options.density);
  }
  NetworkHull from(network, start, pool, options.loss);
  std::vector<std::vector<double>> by_task;  // of every iteration, before its step
  from.hull.objective = [&](const HullPoint& theta, HullPoint* gradient, std::uint64_t iteration) {
    if (gradient == nullptr) return from.loss_at(theta, tasks, nullptr);
    double value = 0;
    if (options.batch == 0) {
      value = from.loss_at(theta, tasks, gradient);
    } else {
      std::vector<torch::Tensor> chosen;
      for (std::size_t t = 0; t < tasks.size(); ++t) {
        chosen.push_back(some(tasks[t], options.batch, options.seed, t, iteration));
      }
      from.loss_at(theta, tasks, chosen, gradient);
      value = from.loss_at(theta, tasks, nullptr);
    }
    by_task.push_back(from.task_losses());
    return value;
  };
  HullDescentOptions descent{.granularity = options.granularity,
                             .rule = options.rule,
                             .direction = options.direction,
                             .iterations = options.iterations,
                             .step_rule = options.step_rule,
                             .step_factor = options.step_size * options.scaling,
                             .line_search = options.line_search,
                             .keep_best = options.keep_best,
                             .tolerance = options.tolerance,
                             .step_by = {},
                             .on_iteration = options.on_iteration};
  if (options.merge != InnerMerge::task_arithmetic) {
    descent.step_by = [&](const HullPoint& theta, const HullPoint& vertex, double gamma,
                          std::uint64_t iteration) {
      return step_by_rule(from, theta, vertex, gamma, iteration, options);
    };
  }
  HullDescent found = descend_in_hull(from.hull, descent);
  from.loss_at(found.theta, tasks, nullptr);
  FrankWolfe result{.state = from.state_at(found.theta),
                    .objective = found.objective,
                    .task_objectives = from.task_losses(),
                    .trajectory = {},
                    .shares = found.shares,
                    .row_names = row_names(from, options.granularity)};
  for (HullStep& step : found.trajectory) {
    FrankWolfeStep made = as_step(std::move(step));
    made.task_objectives = by_task[result.trajectory.size()];
    result.trajectory.push_back(std::move(made));
  }
  return result;
}

namespace {

// The picks of one iteration of the soft variant.
struct SoftPicks {
  FrankWolfeStep step;
  std::vector<NamedTensors> directions;          // s - theta, by pick
  std::vector<std::vector<std::size_t>> chosen;  // vertices, by pick
};

SoftPicks pick_by_task(NetworkHull& from, const HullPoint& theta, const std::vector<Dataset>& tasks,
                       std::size_t most, const SoftFrankWolfeOptions& options) {
  const std::size_t rows = options.granularity == Granularity::whole ? 1 : from.hull.rows;
  std::vector<std::vector<bool>> taken(rows, std::vector<bool>(from.hull.count));
  SoftPicks picks;
  picks.step.objective = from.loss_at(theta, tasks, nullptr);
  picks.step.task_objectives = from.task_losses();
  for (std::size_t task = 0; task < most; ++task) {
    HullPoint gradient;
    from.loss_at(theta, {tasks[task]}, &gradient);
    const HullPick pick =
        pick_vertices(from.hull, theta, gradient, options.granularity, options.rule, taken);
    picks.step.gap += frank_wolfe_gap(from.hull, theta, gradient, pick);
    HullPoint direction;
    for (std::size_t l = 0; l < theta.size(); ++l) {
      direction.push_back(vertex_of(from.hull, pick.vertices, l) - theta[l]);
    }
    for (std::size_t row = 0; row < rows; ++row) taken[row][pick.vertices[row]] = true;
    picks.directions.push_back(from.named(direction));
    const auto append = [](auto& all, const auto& more) {
      all.insert(all.end(), more.begin(), more.end());
    };
    append(picks.step.picks, pick.vertices);
    append(picks.step.scores, pick.scores);
    append(picks.step.margins, pick.margins);
    picks.chosen.push_back(pick.vertices);
  }
  return picks;
}

// The coefficients of the picks: learned, or fixed. The point is at them afterwards.
torch::Tensor coefficients_of(MergedPoint& point, const std::vector<Dataset>& tasks,
                              std::uint64_t t, const SoftFrankWolfeOptions& options) {
  const double initial = t == 0 ? options.initial : options.initial_later;
  torch::Tensor first = torch::full({point.rows(), point.directions()}, initial, torch::kDouble);
  if (options.fixed_step > 0) {
    const double step_size = t == 0 ? 1 : 2.0 / static_cast<double>(t + 2) * options.fixed_step;
    first.fill_(options.initial * step_size);
  }
  if (options.simplex) first = project_to_simplex(first);
  if (options.fixed_step > 0) {
    point.move_to(first);
    return first;
  }
  DescentOptions descent{.loss = options.loss,
                         .learning_rate = options.learning_rate,
                         .steps = options.steps,
                         .batch = options.batch,
                         .seed = options.seed + t,
                         .project = {},
                         .on_step = {}};
  if (options.simplex) {
    descent.project = [](torch::Tensor& rows) { rows.copy_(project_to_simplex(rows)); };
  }
  return descend(point, first, tasks, descent).coefficients;
}

// w <- (1 - sum of the coefficients) w, and its coefficient more for every pick.
void shift_shares(torch::Tensor& shares, const torch::Tensor& coefficients,
                  const std::vector<std::vector<std::size_t>>& chosen) {
  shares *= 1 - coefficients.sum(1, /*keepdim=*/true);
  for (std::size_t pick = 0; pick < chosen.size(); ++pick) {
    for (std::size_t row = 0; row < chosen[pick].size(); ++row) {
      const auto r = static_cast<std::int64_t>(row);
      shares[r][static_cast<std::int64_t>(chosen[pick][row])] +=
          coefficients[r][static_cast<std::int64_t>(pick)];
    }
  }
}

}  // namespace

FrankWolfe soft_frank_wolfe(const Network& network, const NamedTensors& start,
                            const std::vector<SourcePointer>& pool,
                            const std::vector<Dataset>& tasks,
                            const SoftFrankWolfeOptions& options) {
  check_tasks(network, tasks, options.loss, "frank_wolfe");
  NetworkHull from(network, start, pool, options.loss);
  const std::size_t most = std::min<std::size_t>(
      {tasks.size(), from.hull.count,
       options.most_picks == 0 ? tasks.size() : static_cast<std::size_t>(options.most_picks)});
  HullPoint theta = from.start();
  FrankWolfe result;
  result.row_names = row_names(from, options.granularity);
  result.shares = torch::zeros({static_cast<std::int64_t>(result.row_names.size()),
                                static_cast<std::int64_t>(from.hull.count)},
                               torch::kDouble);
  result.shares.select(1, static_cast<std::int64_t>(from.hull.count) - 1).fill_(1);
  for (std::uint64_t t = 0; t < options.iterations; ++t) {
    SoftPicks picks = pick_by_task(from, theta, tasks, most, options);
    const NamedTensors origin = from.state_at(theta);
    MergedPoint point(network, &origin, picks.directions, options.granularity);
    const torch::Tensor coefficients = coefficients_of(point, tasks, t, options);
    picks.step.step = coefficients.mean().item<double>();
    shift_shares(result.shares, coefficients, picks.chosen);
    const NamedTensors state = point.state();
    for (std::size_t l = 0; l < theta.size(); ++l) {
      theta[l] = state[l].second.flatten().to(torch::kDouble);
    }
    result.trajectory.push_back(std::move(picks.step));
    if (options.on_iteration) options.on_iteration(t + 1);
  }
  result.objective = from.loss_at(theta, tasks, nullptr);
  result.task_objectives = from.task_losses();
  result.state = from.state_at(theta);
  return result;
}

FrankWolfe frank_wolfe(const Network& network, const NamedTensors& start,
                       const std::vector<NamedTensors>& pool, const std::vector<Dataset>& tasks,
                       const FrankWolfeOptions& options) {
  return frank_wolfe(network, start, as_sources(pool), tasks, options);
}

FrankWolfe soft_frank_wolfe(const Network& network, const NamedTensors& start,
                            const std::vector<NamedTensors>& pool,
                            const std::vector<Dataset>& tasks,
                            const SoftFrankWolfeOptions& options) {
  return soft_frank_wolfe(network, start, as_sources(pool), tasks, options);
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
