#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/models/worker_pairs.hpp"

namespace amalgam::labels::models {
namespace {

/// The covariance of answers of each pair: 1 if they always agree, 0 as by chance.
WorkerPairs agreement_matrix(const AnnotationTable& table, const Parallel& parallel) {
  const auto classes = static_cast<double>(table.label_count());
  WorkerPairs pairs = worker_pairs("m-msr", table, 1, parallel,
                                   [](Label mine, Label other, double weight, double* agree) {
                                     if (mine == other) *agree += weight;
                                   });
  for (std::size_t i = 0; i < pairs.values.size(); ++i) {
    pairs.values[i] =
        classes / (classes - 1) * pairs.values[i] / pairs.common[i] - 1 / (classes - 1);
  }
  return pairs;
}

/// Values about a centre. Only those near it are kept, the others counted: a trimmed mean wants
/// few, and how far away those are hardly changes from one iteration to the next.
class AroundCentre {
 public:
  /// Room for `count` values about `centre`, none of which is there yet.
  void start(double centre, double radius, std::size_t count) {
    centre_ = centre;
    radius_ = radius;
    near_.resize(count + 1);
    near_count_ = below_count_ = above_count_ = equal_ = 0;
  }

  /// Without a branch: which side a value is on cannot be foretold. NaN counts nothing.
  void add(double value) {
    const double distance = value - centre_;
    near_[near_count_] = distance;
    near_count_ += std::abs(distance) <= radius_ && distance != 0 ? 1 : 0;
    below_count_ += distance < 0 ? 1 : 0;
    above_count_ += distance > 0 ? 1 : 0;
    equal_ += distance == 0 ? 1 : 0;
  }

  /// What is left without the `trim` largest of those above the centre and the `trim` smallest of
  /// those below it.
  struct Trimmed {
    double mean = 0;      ///< the centre if nothing is left
    double farthest = 0;  ///< from the centre
  };
  /// Nothing if values beyond the radius are wanted.
  std::optional<Trimmed> trimmed_mean(std::size_t trim) {
    const std::size_t low = below_count_ - std::min(below_count_, trim);
    const std::size_t high = above_count_ - std::min(above_count_, trim);
    const std::size_t left = low + equal_ + high;
    if (left == 0) return Trimmed{centre_, 0};
    const auto end = near_.begin() + static_cast<std::ptrdiff_t>(near_count_);
    const auto middle = std::partition(near_.begin(), end, [](double d) { return d < 0; });
    Trimmed result;
    if (!add_first(near_.begin(), middle, low, std::greater<>(), result) ||
        !add_first(middle, end, high, std::less<>(), result)) {
      return std::nullopt;
    }
    result.mean = centre_ + result.mean / static_cast<double>(left);
    return result;
  }

 private:
  using Iterator = std::vector<double>::iterator;

  // Of the `count` distances that come first in an order, the sum and the largest. False if there
  // are not so many.
  template <class Order>
  static bool add_first(Iterator first, Iterator last, std::size_t count, Order order,
                        Trimmed& to) {
    if (count == 0) return true;
    const auto end = first + static_cast<std::ptrdiff_t>(count);
    if (count > static_cast<std::size_t>(last - first)) return false;
    if (end != last) std::nth_element(first, end, last, order);
    for (auto value = first; value != end; ++value) {
      to.mean += *value;
      to.farthest = std::max(to.farthest, std::abs(*value));
    }
    return true;
  }

  double centre_ = 0;
  double radius_ = 0;
  std::vector<double> near_;  // distances of values within the radius
  std::size_t near_count_ = 0;
  std::size_t below_count_ = 0;
  std::size_t above_count_ = 0;
  std::size_t equal_ = 0;
};

double norm(const std::vector<double>& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return std::sqrt(sum);
}

double distance(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return std::sqrt(sum);
}

/// What a rank-one fit gives.
struct RankOne {
  std::vector<double> sizes;  ///< [workers] at least 0
  std::size_t iterations = 0;
  bool converged = false;
};

// Of the radius within which values are kept, over that of those that counted last time.
constexpr double kRoom = 2;

RankOne robust_rank_one(const WorkerPairs& matrix, std::size_t limit, double tolerance,
                        const FitContext& context) {
  const std::size_t workers = matrix.workers();
  std::size_t degree = workers;
  double mean = 0;
  for (std::size_t w = 0; w < workers; ++w) {
    const std::size_t own = matrix.begins[w + 1] - matrix.begins[w];
    if (own > 0) degree = std::min(degree, own);
  }
  for (const double value : matrix.values) mean += std::abs(value);
  const std::size_t trim = degree / 2 > 1 ? degree / 2 - 1 : 0;
  std::vector<double> u(workers, std::sqrt(mean / static_cast<double>(matrix.values.size())));
  std::vector<double> v = u;
  // How far from the worker's own value those were that counted last time.
  constexpr double kEverywhere = std::numeric_limits<double>::infinity();
  std::vector<double> u_radius(workers, kEverywhere);
  std::vector<double> v_radius(workers, kEverywhere);
  std::vector<double> inverse(workers);
  std::vector<AroundCentre> slots(context.parallel.workers());
  const auto half = [&](const std::vector<double>& from, std::vector<double>& to,
                        std::vector<double>& radius) {
    for (std::size_t w = 0; w < workers; ++w) {
      inverse[w] = from[w] > 0 ? 1 / from[w] : std::numeric_limits<double>::quiet_NaN();
    }
    parallel_for(context.parallel, workers, [&](std::size_t w, std::size_t slot) {
      AroundCentre& ratios = slots[slot];
      std::optional<AroundCentre::Trimmed> trimmed;
      while (!trimmed) {
        ratios.start(to[w], radius[w], matrix.begins[w + 1] - matrix.begins[w]);
        for (std::uint64_t i = matrix.begins[w]; i < matrix.begins[w + 1]; ++i) {
          ratios.add(std::abs(matrix.values[i]) * inverse[matrix.others[i]]);
        }
        trimmed = ratios.trimmed_mean(trim);
        radius[w] = trimmed ? kRoom * trimmed->farthest : kEverywhere;
      }
      to[w] = trimmed->mean;
    });
  };
  RankOne result;
  while (!result.converged && result.iterations < limit) {
    check_interrupt();
    const std::vector<double> last_u = u;
    const std::vector<double> last_v = v;
    half(u, v, v_radius);
    half(v, u, u_radius);
    ++result.iterations;
    if (context.on_iteration) context.on_iteration(result.iterations, std::nullopt);
    // At least the Frobenius norm of the change of u v'.
    result.converged =
        distance(u, last_u) * norm(v) + norm(last_u) * distance(v, last_v) < tolerance;
  }
  const double scale = norm(u) > 0 ? std::sqrt(norm(v) / norm(u)) : 0;
  for (double& size : u) size *= scale;
  result.sizes = std::move(u);
  return result;
}

/// Which workers are on the same side: the signs of the leading eigenvector of the graph of the
/// entries' signs, normalised by degrees, by power iterations; the side with more weight is
/// right.
std::vector<double> sides(const WorkerPairs& matrix, std::span<const double> sizes,
                          const Parallel& parallel) {
  constexpr int kIterations = 1000;
  constexpr double kSmallChange = 1e-12;
  const std::size_t workers = matrix.workers();
  std::vector<double> root(workers);
  for (std::size_t w = 0; w < workers; ++w) {
    const auto degree = static_cast<double>(matrix.begins[w + 1] - matrix.begins[w]);
    root[w] = std::sqrt(std::max<double>(1, degree));
  }
  // Sums over each worker's pairs of the entry's sign times the other's value, by the own root.
  const auto product = [&](const std::vector<double>& values, std::vector<double>& sums) {
    parallel_for(parallel, workers, [&](std::size_t w, std::size_t) {
      double sum = 0;
      for (std::uint64_t i = matrix.begins[w]; i < matrix.begins[w + 1]; ++i) {
        const double entry = matrix.values[i];
        const int sign = (entry > 0 ? 1 : 0) - (entry < 0 ? 1 : 0);
        sum += sign * values[matrix.others[i]];
      }
      sums[w] = sum / root[w];
    });
  };
  const auto normalise = [](std::vector<double>& values) {
    const double length = norm(values);
    for (double& value : values) value = length > 0 ? value / length : 0;
  };
  std::vector<double> x(workers);
  product(std::vector<double>(workers, 1), x);
  normalise(x);
  std::vector<double> scaled(workers);
  std::vector<double> next(workers);
  for (int i = 0; i < kIterations; ++i) {
    check_interrupt();
    for (std::size_t w = 0; w < workers; ++w) scaled[w] = x[w] / root[w];
    product(scaled, next);
    // The identity keeps the largest eigenvalue the leading one.
    for (std::size_t w = 0; w < workers; ++w) next[w] += x[w];
    normalise(next);
    const double change = distance(next, x);
    x.swap(next);
    if (change < kSmallChange) break;
  }
  double sum = 0;
  for (std::size_t w = 0; w < workers; ++w) {
    x[w] = x[w] < 0 ? -1 : 1;
    sum += x[w] * sizes[w];
  }
  for (double& value : x) value = sum < 0 ? -value : value;
  return x;
}

class MMsr final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "m-msr",
        .summary = "Skills from a robust rank-one fit to how often pairs of workers agree.",
        .source = "Ma and Olshevsky 2020",
        .parameters = {iterations_parameter(10'000),
                       {.name = "tolerance",
                        .doc =
                            "ends when the fitted matrix changes by less than this (--tolerance)",
                        .default_value = 1e-10,
                        .low = 0}},
        .skill = "probability of being right",
        .fewest_workers = 3,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    const WorkerPairs matrix = agreement_matrix(table, context.parallel);
    std::size_t met = 0;
    const auto has_met = [&](std::size_t w) { return matrix.begins[w] < matrix.begins[w + 1]; };
    for (std::size_t w = 0; w < matrix.workers(); ++w) met += has_met(w) ? 1 : 0;
    if (met == 0) {
      throw InputError(
          "method 'm-msr': no two workers annotated the same task; expected some, to "
          "compare them");
    }
    RankOne rank_one =
        robust_rank_one(matrix, static_cast<std::size_t>(context.parameters.number("iterations")),
                        context.parameters.number("tolerance"), context);
    const std::vector<double> signs = sides(matrix, rank_one.sizes, context.parallel);
    const auto classes = static_cast<double>(table.label_count());
    const double margin = 1 / std::sqrt(static_cast<double>(table.task_count()));
    const double highest = 1 - margin;
    const double lowest = std::min(highest, -1 / (classes - 1) + margin);
    LabelFit fit;
    fit.iterations = rank_one.iterations;
    fit.converged = rank_one.converged;
    fit.skills.resize(table.worker_count());
    std::vector<double>& weights = fit.worker_columns["weight"];
    for (std::size_t w = 0; w < fit.skills.size(); ++w) {
      const double reliability =
          has_met(w) ? std::clamp(signs[w] * rank_one.sizes[w], lowest, highest) : 0;
      const double skill = reliability * (classes - 1) / classes + 1 / classes;
      fit.skills[w] = skill;
      weights.push_back(has_met(w) ? portable_log(skill * (classes - 1) / (1 - skill)) : 0);
    }
    if (met < matrix.workers()) {
      fit.warnings.push_back(
          fmt::format("{} of {} workers share no task with another; their votes weigh nothing",
                      matrix.workers() - met, matrix.workers()));
    }
    if (context.keep_evidence) {
      const std::vector<double> none(table.label_count(), 0);
      fit.evidence = sides_of_workers(none, weights, std::vector<double>(table.worker_count(), 0));
    }
    fit.posterior = vote_sums(table, weights, context.parallel);
    for (std::size_t task = 0; task < fit.posterior.items; ++task) {
      softmax_in_place(fit.posterior.row(task).data(), fit.posterior.classes);
    }
    return fit;
  }
};

}  // namespace

const LabelModel& m_msr() {
  static const MMsr model;
  return model;
}

}  // namespace amalgam::labels::models
