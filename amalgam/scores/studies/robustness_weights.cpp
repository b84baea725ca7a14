#include "amalgam/scores/studies/robustness_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::scores {
namespace {

constexpr std::size_t kFewestHeldOut = 4;  // models

struct NamedWeight {
  const char* name;
  double weight;
};

constexpr std::array<NamedWeight, 15> kPublished{{{"ImageNet", 0.155562},
                                                  {"ImageNet-A", 0.970498},
                                                  {"ImageNet-V2", 0.285457},
                                                  {"ImageNet-R", 0.01},
                                                  {"ImageNet-Sketch", 0.021456},
                                                  {"Caltech101", 0.01},
                                                  {"DTD", 0.505922},
                                                  {"Food101", 0.01},
                                                  {"SUN397", 0.407563},
                                                  {"Stanford Cars", 0.135838},
                                                  {"FGVC Aircraft", 0.822955},
                                                  {"Oxford Pets", 0.089953},
                                                  {"Flowers102", 0.089721},
                                                  {"EuroSAT", 1.0},
                                                  {"UCF101", 0.01}}};

std::string plain(std::string_view name) {
  std::string result;
  for (const char c : lower_case(name)) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) result += c;
  }
  return result;
}

// Average ranks minus their mean, and their length as a vector.
struct CentredRanks {
  std::vector<double> ranks;
  double norm = 0;
};

CentredRanks centred_ranks(std::span<const double> values) {
  CentredRanks result{average_ranks(values)};
  const double mean = (static_cast<double>(values.size()) + 1) / 2;
  double squares = 0;
  for (double& rank : result.ranks) {
    rank -= mean;
    squares += rank * rank;
  }
  result.norm = std::sqrt(squares);
  return result;
}

double correlation(const CentredRanks& x, const CentredRanks& y) {
  if (!(x.norm > 0 && y.norm > 0)) return 0;
  double sum = 0;
  for (std::size_t i = 0; i < x.ranks.size(); ++i) sum += x.ranks[i] * y.ranks[i];
  return sum / (x.norm * y.norm);
}

// The objective as a function of the weights, over some of the models.
class Problem {
 public:
  Problem(const RobustnessMatrix& matrix, const WeightOptions& options,
          std::optional<std::size_t> without)
      : matrix_(matrix), options_(options) {
    for (std::size_t m = 0; m < matrix.models; ++m) {
      if (m != without) models_.push_back(m);
    }
    std::vector<double> values(models_.size());
    for (std::size_t d = 0; d < matrix.datasets; ++d) {
      for (std::size_t i = 0; i < models_.size(); ++i) values[i] = value(models_[i], d);
      ranks_.push_back(centred_ranks(values));
    }
  }

  std::size_t datasets() const { return matrix_.datasets; }

  double war(std::size_t model, std::span<const double> weights) const {
    double sum = 0;
    for (std::size_t d = 0; d < weights.size(); ++d) sum += weights[d] * value(model, d);
    return sum / std::accumulate(weights.begin(), weights.end(), 0.0);
  }

  std::vector<double> rho_of_scores(std::span<const double> scores) const {
    const CentredRanks ranks = centred_ranks(scores);
    std::vector<double> rho;
    for (const CentredRanks& of_dataset : ranks_) rho.push_back(correlation(ranks, of_dataset));
    return rho;
  }

  std::vector<double> rho(std::span<const double> weights) const {
    std::vector<double> scores;
    scores.reserve(models_.size());
    for (const std::size_t m : models_) scores.push_back(war(m, weights));
    return rho_of_scores(scores);
  }

  double objective(std::span<const double> weights) const {
    const std::vector<double> found = rho(weights);
    if (options_.objective == WeightOptions::Objective::maximin) {
      return *std::ranges::min_element(found);
    }
    double sum = 0;
    for (std::size_t d = 0; d < found.size(); ++d) {
      sum += (options_.importance.empty() ? 1 : options_.importance[d]) * found[d];
    }
    return sum;
  }

 private:
  double value(std::size_t model, std::size_t dataset) const {
    return matrix_.values[model * matrix_.datasets + dataset];
  }

  const RobustnessMatrix& matrix_;
  const WeightOptions& options_;
  std::vector<std::size_t> models_;
  std::vector<CentredRanks> ranks_;  // of each data set
};

struct Candidate {
  std::vector<double> weights;
  double objective = -std::numeric_limits<double>::infinity();
};

void climb(const Problem& problem, const WeightOptions& options, Candidate& candidate) {
  constexpr std::array kFactors{0.5, 0.8, 1.25, 2.0};
  // The objective has finitely many values; a gain below this is rounding.
  constexpr double kLeastGain = 1e-12;
  candidate.objective = problem.objective(candidate.weights);
  bool improved = true;
  while (improved) {
    improved = false;
    for (double& weight : candidate.weights) {
      const double before = weight;
      double best = before;
      for (const double factor : kFactors) {
        weight = std::clamp(before * factor, options.low, options.high);
        if (weight == before) continue;
        const double objective = problem.objective(candidate.weights);
        if (objective > candidate.objective + kLeastGain) {
          candidate.objective = objective;
          best = weight;
          improved = true;
        }
      }
      weight = best;
    }
  }
}

// Equal weights, then random ones, log-uniform in the box.
std::vector<double> start(std::size_t number, std::size_t datasets, const WeightOptions& options) {
  std::vector<double> weights(datasets, options.high);
  if (number == 0) return weights;
  RandomStream random(options.seed, fmt::format("robustness weights {}", number));
  const double low = portable_log(options.low);
  const double high = portable_log(options.high);
  for (double& weight : weights) {
    weight =
        std::clamp(portable_exp(low + random.uniform() * (high - low)), options.low, options.high);
  }
  return weights;
}

Candidate best_of_starts(const Problem& problem, const WeightOptions& options,
                         const Parallel& parallel) {
  std::vector<Candidate> candidates(options.starts);
  parallel_for(parallel, candidates.size(), [&](std::size_t i, std::size_t) {
    candidates[i].weights = start(i, problem.datasets(), options);
    climb(problem, options, candidates[i]);
    if (options.on_step) options.on_step();
  });
  // Of equally good ones the first.
  return *std::ranges::max_element(candidates, {}, &Candidate::objective);
}

void check(const RobustnessMatrix& matrix, const WeightOptions& options) {
  if (matrix.models < 2 || matrix.datasets < 2) {
    throw InputError("{} models and {} data sets; weights are optimised over 2 or more of each",
                     matrix.models, matrix.datasets);
  }
  if (matrix.values.size() != matrix.models * matrix.datasets) {
    throw InputError("a matrix of robustness whose sizes do not fit each other");
  }
  if (std::ranges::any_of(matrix.values, [](double value) { return std::isnan(value); })) {
    throw InputError("weights are optimised over models that were measured on every data set");
  }
  if (options.starts == 0 || !(options.low > 0 && options.low <= options.high) ||
      !std::isfinite(options.high)) {
    throw InputError("weights from {} to {} and {} starts; expected 0 < from <= to and a start",
                     options.low, options.high, options.starts);
  }
  if (!options.importance.empty() && options.importance.size() != matrix.datasets) {
    throw InputError("{} importances for {} data sets", options.importance.size(), matrix.datasets);
  }
  for (const double importance : options.importance) {
    if (!(importance >= 0) || !std::isfinite(importance)) {
      throw InputError("an importance of {}; expected one of at least 0", importance);
    }
  }
}

}  // namespace

std::optional<double> published_weight(std::string_view dataset) {
  const std::string name = plain(dataset);
  for (const NamedWeight& known : kPublished) {
    if (plain(known.name) == name) return known.weight;
  }
  return std::nullopt;
}

std::vector<std::string> published_datasets() {
  std::vector<std::string> names;
  for (const NamedWeight& known : kPublished) names.emplace_back(known.name);
  return names;
}

std::vector<double> published_weights(std::span<const std::string> datasets) {
  std::vector<double> weights;
  for (const std::string& dataset : datasets) {
    const std::optional<double> weight = published_weight(dataset);
    if (!weight) {
      const std::vector<std::string> names = published_datasets();
      throw InputError("there is no published weight of data set '{}'{}; there are those of {}",
                       printable(dataset), did_you_mean(dataset, names), join(names, ", "));
    }
    weights.push_back(*weight);
  }
  return weights;
}

std::vector<double> read_weights(const std::filesystem::path& path,
                                 std::span<const std::string> datasets) {
  TableRows rows(path);
  const std::size_t dataset = rows.column("dataset");
  const std::size_t weight = rows.column("weight");
  std::vector<double> weights(datasets.size(), -1);
  while (rows.next()) {
    const auto found = std::ranges::find(datasets, rows.cell(dataset));
    if (found == datasets.end()) {
      throw InputError("{}: the table has no data set '{}'", rows.place(dataset),
                       printable(rows.cell(dataset)));
    }
    double& known = weights[static_cast<std::size_t>(found - datasets.begin())];
    if (known >= 0) throw InputError("{}: a second weight of '{}'", rows.place(dataset), *found);
    const std::optional<double> value = cell_number(rows.cell(weight));
    if (!value || !std::isfinite(*value) || *value < 0) {
      throw InputError("{}: the weight '{}'; expected a number of at least 0", rows.place(weight),
                       printable(rows.cell(weight)));
    }
    known = *value;
  }
  for (std::size_t d = 0; d < datasets.size(); ++d) {
    if (weights[d] < 0) throw InputError("{}: no weight of '{}'", rows.where(), datasets[d]);
  }
  return weights;
}

std::uint64_t search_steps(const RobustnessMatrix& matrix, const WeightOptions& options) {
  const std::uint64_t held_out = matrix.models < kFewestHeldOut ? 0 : matrix.models;
  return options.starts * (1 + held_out);
}

OptimisedWeights optimise_weights(const RobustnessMatrix& matrix, const WeightOptions& options) {
  check(matrix, options);
  const Problem problem(matrix, options, std::nullopt);
  const std::vector<double> equal(matrix.datasets, 1);
  const Candidate best = best_of_starts(problem, options, options.parallel);
  OptimisedWeights result{.weights = best.weights,
                          .objective = best.objective,
                          .equal_objective = problem.objective(equal),
                          .rho = problem.rho(best.weights),
                          .equal_rho = problem.rho(equal)};
  if (matrix.models < kFewestHeldOut) return result;
  std::vector<double> held_out(matrix.models);
  parallel_for(options.parallel, matrix.models, [&](std::size_t m, std::size_t) {
    const Problem others(matrix, options, m);
    held_out[m] = others.war(m, best_of_starts(others, options, {1, Runner::sequential}).weights);
  });
  result.held_out_rho = problem.rho_of_scores(held_out);
  return result;
}

std::vector<double> weighted_rho(const RobustnessMatrix& matrix, std::span<const double> weights) {
  return Problem(matrix, {}, std::nullopt).rho(weights);
}

}  // namespace amalgam::scores
