#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

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

/// Values on two sides of a centre.
class AroundCentre {
 public:
  /// Room for `count` values about `centre`, none of which is there yet.
  void start(double centre, std::size_t count) {
    centre_ = centre;
    below_.resize(count + 1);
    above_.resize(count + 1);
    below_count_ = above_count_ = equal_ = 0;
  }

  /// Without a branch: which side a value is on cannot be foretold.
  void add(double value, bool counts) {
    const bool is_below = counts && value < centre_;
    const bool is_above = counts && value > centre_;
    below_[below_count_] = value;
    above_[above_count_] = value;
    below_count_ += is_below ? 1 : 0;
    above_count_ += is_above ? 1 : 0;
    equal_ += counts && !is_below && !is_above ? 1 : 0;
  }

  /// The mean without the `trim` largest of those above the centre and the `trim` smallest of those
  /// below it; the centre if nothing is left.
  double trimmed_mean(std::size_t trim) {
    const std::size_t low = below_count_ - std::min(below_count_, trim);
    const std::size_t high = above_count_ - std::min(above_count_, trim);
    if (low + equal_ + high == 0) return centre_;
    double sum = centre_ * static_cast<double>(equal_);
    const auto below_end = below_.begin() + static_cast<std::ptrdiff_t>(below_count_);
    const auto above_end = above_.begin() + static_cast<std::ptrdiff_t>(above_count_);
    sum += sum_of_first(below_.begin(), below_end, low, std::greater<>());
    sum += sum_of_first(above_.begin(), above_end, high, std::less<>());
    return sum / static_cast<double>(low + equal_ + high);
  }

 private:
  using Iterator = std::vector<double>::iterator;

  // Of the `count` values that come first in an order.
  template <class Order>
  static double sum_of_first(Iterator first, Iterator last, std::size_t count, Order order) {
    if (count == 0) return 0;
    const auto middle = first + static_cast<std::ptrdiff_t>(count);
    if (middle != last) std::nth_element(first, middle, last, order);
    double sum = 0;
    for (auto value = first; value != middle; ++value) sum += *value;
    return sum;
  }

  double centre_ = 0;
  std::vector<double> below_;
  std::vector<double> above_;
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
  std::vector<AroundCentre> slots(context.parallel.workers());
  const auto half = [&](const std::vector<double>& from, std::vector<double>& to) {
    parallel_for(context.parallel, workers, [&](std::size_t w, std::size_t slot) {
      AroundCentre& ratios = slots[slot];
      ratios.start(to[w], matrix.begins[w + 1] - matrix.begins[w]);
      for (std::uint64_t i = matrix.begins[w]; i < matrix.begins[w + 1]; ++i) {
        const double other = from[matrix.others[i]];
        ratios.add(std::abs(matrix.values[i]) / other, other > 0);
      }
      to[w] = ratios.trimmed_mean(trim);
    });
  };
  RankOne result;
  while (!result.converged && result.iterations < limit) {
    check_interrupt();
    const std::vector<double> last_u = u;
    const std::vector<double> last_v = v;
    half(u, v);
    half(v, u);
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
