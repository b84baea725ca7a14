#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/models/worker_pairs.hpp"

namespace amalgam::labels::models {
namespace {

struct Entry {
  Worker other;
  double value;  ///< of the covariance of answers: 1 if they always agree, 0 as by chance
};
using Sparse = std::vector<std::vector<Entry>>;

Sparse agreement_matrix(const AnnotationTable& table, const Parallel& parallel) {
  const auto classes = static_cast<double>(table.label_count());
  const auto pairs = worker_pairs("m-msr", table, parallel);
  Sparse matrix(pairs.size());
  for (std::size_t w = 0; w < pairs.size(); ++w) {
    for (const Partner& partner : pairs[w]) {
      matrix[w].push_back(
          {partner.worker,
           classes / (classes - 1) * partner.agree / partner.common - 1 / (classes - 1)});
    }
  }
  return matrix;
}

/// The mean of `values` without the `trim` largest of those above `centre` and the `trim` smallest
/// of those below it; `centre` if nothing is left.
double trimmed_mean(std::vector<double>& values, double centre, std::size_t trim) {
  const auto count = static_cast<std::ptrdiff_t>(values.size());
  const auto most = static_cast<std::ptrdiff_t>(trim);
  const auto below = std::ranges::count_if(values, [&](double x) { return x < centre; });
  const auto above = std::ranges::count_if(values, [&](double x) { return x > centre; });
  const auto first = values.begin() + std::min(below, most);
  const auto last = values.begin() + count - std::min(above, most);
  if (first >= last) return centre;
  if (first != values.begin()) std::nth_element(values.begin(), first, values.end());
  if (last != values.end()) std::nth_element(first, last, values.end());
  double sum = 0;
  for (auto value = first; value != last; ++value) sum += *value;
  return sum / static_cast<double>(last - first);
}

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

RankOne robust_rank_one(const Sparse& matrix, std::size_t limit, double tolerance,
                        const FitContext& context) {
  const std::size_t workers = matrix.size();
  std::size_t degree = workers;
  double mean = 0;
  double entries = 0;
  for (const auto& row : matrix) {
    if (!row.empty()) degree = std::min(degree, row.size());
    for (const Entry& entry : row) mean += std::abs(entry.value);
    entries += static_cast<double>(row.size());
  }
  const std::size_t trim = degree / 2 > 1 ? degree / 2 - 1 : 0;
  std::vector<double> u(workers, std::sqrt(mean / entries));
  std::vector<double> v = u;
  const auto half = [&](const std::vector<double>& from, std::vector<double>& to) {
    parallel_for(context.parallel, workers, [&](std::size_t w, std::size_t) {
      std::vector<double> ratios;
      for (const Entry& entry : matrix[w]) {
        if (from[entry.other] > 0) ratios.push_back(std::abs(entry.value) / from[entry.other]);
      }
      to[w] = trimmed_mean(ratios, to[w], trim);
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
std::vector<double> sides(const Sparse& matrix, std::span<const double> sizes) {
  constexpr int kIterations = 1000;
  constexpr double kSmallChange = 1e-12;
  const std::size_t workers = matrix.size();
  std::vector<double> root(workers);
  for (std::size_t w = 0; w < workers; ++w) {
    root[w] = std::sqrt(std::max<double>(1, static_cast<double>(matrix[w].size())));
  }
  const auto sign = [](double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; };
  std::vector<double> x(workers);
  for (std::size_t w = 0; w < workers; ++w) {
    for (const Entry& entry : matrix[w]) x[w] += sign(entry.value) / root[w];
  }
  const auto normalise = [](std::vector<double>& values) {
    const double length = norm(values);
    for (double& value : values) value = length > 0 ? value / length : 0;
  };
  normalise(x);
  for (int i = 0; i < kIterations; ++i) {
    check_interrupt();
    std::vector<double> next = x;  // the identity keeps the largest eigenvalue the leading one
    for (std::size_t w = 0; w < workers; ++w) {
      for (const Entry& entry : matrix[w]) {
        next[w] += sign(entry.value) * x[entry.other] / (root[w] * root[entry.other]);
      }
    }
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
    const Sparse matrix = agreement_matrix(table, context.parallel);
    const auto met = std::ranges::count_if(matrix, [](const auto& row) { return !row.empty(); });
    if (met == 0) {
      throw InputError(
          "method 'm-msr': no two workers annotated the same task; expected some, to "
          "compare them");
    }
    RankOne rank_one =
        robust_rank_one(matrix, static_cast<std::size_t>(context.parameters.number("iterations")),
                        context.parameters.number("tolerance"), context);
    const std::vector<double> signs = sides(matrix, rank_one.sizes);
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
          matrix[w].empty() ? 0 : std::clamp(signs[w] * rank_one.sizes[w], lowest, highest);
      const double skill = reliability * (classes - 1) / classes + 1 / classes;
      fit.skills[w] = skill;
      weights.push_back(matrix[w].empty() ? 0 : portable_log(skill * (classes - 1) / (1 - skill)));
    }
    if (static_cast<std::size_t>(met) < matrix.size()) {
      fit.warnings.push_back(
          fmt::format("{} of {} workers share no task with another; their votes weigh nothing",
                      matrix.size() - static_cast<std::size_t>(met), matrix.size()));
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
