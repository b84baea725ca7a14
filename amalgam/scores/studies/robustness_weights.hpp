#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/parallel.hpp"

namespace amalgam::scores {

/// The weight of a data set in the authors' WAR (15 data sets, optimised at 16 x 16 pixels), by its
/// name without regard to case, blanks and hyphens ("ImageNet-V2", "stanford_cars"); nothing if it
/// is none of them.
std::optional<double> published_weight(std::string_view dataset);
/// The names of the 15 data sets.
std::vector<std::string> published_datasets();

/// [datasets]: published weights. InputError naming the first data set that has none.
std::vector<double> published_weights(std::span<const std::string> datasets);

/// [datasets]: from a CSV file with columns dataset and weight. InputError naming file and place: a
/// data set that is missing, unknown or there twice, a negative weight.
std::vector<double> read_weights(const std::filesystem::path& path,
                                 std::span<const std::string> datasets);

/// Robustness of models on data sets at one resolution, all measured.
struct RobustnessMatrix {
  std::size_t models = 0;
  std::size_t datasets = 0;
  std::vector<double> values;  ///< [models, datasets], improved gamma
};

struct WeightOptions {
  enum class Objective {
    sum,      ///< the sum over data sets of importance * rho
    maximin,  ///< the smallest rho
  } objective = Objective::sum;
  std::vector<double> importance;  ///< [datasets], of `sum`; empty: 1 each
  std::size_t starts = 64;         ///< equal weights, and others drawn at random
  double low = 0.01;               ///< weights are within [low, high]
  double high = 1;
  std::uint64_t seed = 0;
  Parallel parallel = {};
  /// Called, by any thread, when a start was climbed from; search_steps() says how many there are.
  std::function<void()> on_step = {};
};

/// How many searches optimise_weights makes: of all models, and of all but each one.
std::uint64_t search_steps(const RobustnessMatrix& matrix, const WeightOptions& options);

/// Weights under which the ranking by WAR agrees best with the rankings on the data sets; rho of a
/// data set is Spearman's correlation of its robustness with WAR over the models, 0 where it is the
/// same for all.
struct OptimisedWeights {
  std::vector<double> weights;    ///< [datasets]
  double objective = 0;           ///< with them; never below that of equal weights
  double equal_objective = 0;     ///< with equal weights
  std::vector<double> rho;        ///< [datasets], with them
  std::vector<double> equal_rho;  ///< [datasets], with equal weights
  /// [datasets], where each model's WAR is by weights optimised without that model: what the
  /// weights are worth for models that they have not seen. Empty for fewer than 4 models.
  std::vector<double> held_out_rho;
};

/// Coordinate search from each start: factors 1/2, 0.8, 1.25 and 2 on one weight at a time, until
/// none improves. The same for a seed with any number of threads. InputError for fewer than 2
/// models or data sets, a value that is NaN, or options that are not possible.
OptimisedWeights optimise_weights(const RobustnessMatrix& matrix,
                                  const WeightOptions& options = {});

/// [datasets]: rho of each data set with WAR by these weights.
std::vector<double> weighted_rho(const RobustnessMatrix& matrix, std::span<const double> weights);

}  // namespace amalgam::scores
