#include "amalgam/scores/studies/robustness.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/rank_correlation.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void check_options(const AccuracyTable& table, const RobustnessOptions& options) {
  if (!(options.steepness > 0) || !(options.exponent > 0)) {
    throw InputError("steepness {} and exponent {}; expected positive ones", options.steepness,
                     options.exponent);
  }
  if (options.weights.empty()) return;
  if (options.weights.size() != table.datasets.size()) {
    throw InputError("{} weights for {} data sets", options.weights.size(), table.datasets.size());
  }
  double sum = 0;
  for (const double weight : options.weights) {
    if (!(weight >= 0) || !std::isfinite(weight)) {
      throw InputError("a weight of {}; expected one of at least 0", weight);
    }
    sum += weight;
  }
  if (!(sum > 0)) throw InputError("the weights of all data sets are 0");
}

// The weighted mean over what is there; NaN without.
class Mean {
 public:
  void add(double value, double weight) {
    if (std::isnan(value)) return;
    sum_ += weight * value;
    weights_ += weight;
  }
  double value() const { return weights_ > 0 ? sum_ / weights_ : kNaN; }

 private:
  double sum_ = 0;
  double weights_ = 0;
};

// Column `resolution` of values [models, resolutions].
std::vector<double> column(const std::vector<double>& values, std::size_t resolutions,
                           std::size_t resolution) {
  std::vector<double> found;
  for (std::size_t i = resolution; i < values.size(); i += resolutions) found.push_back(values[i]);
  return found;
}

// Ranks from the best, of each resolution by itself; NaN stays NaN.
std::vector<double> ranks_from_best(const std::vector<double>& scores, std::size_t resolutions) {
  std::vector<double> ranks(scores.size(), kNaN);
  for (std::size_t r = 0; r < resolutions; ++r) {
    std::vector<double> negated;
    std::vector<std::size_t> places;
    for (std::size_t i = r; i < scores.size(); i += resolutions) {
      if (std::isnan(scores[i])) continue;
      negated.push_back(-scores[i]);
      places.push_back(i);
    }
    const std::vector<double> found = average_ranks(negated);
    for (std::size_t i = 0; i < places.size(); ++i) ranks[places[i]] = found[i];
  }
  return ranks;
}

class Computation {
 public:
  Computation(const AccuracyTable& table, const RobustnessOptions& options)
      : table_(table),
        options_(options),
        models_(table.models.size()),
        datasets_(table.datasets.size()),
        resolutions_(table.resolutions.size()) {
    result_.flags.resize(models_);
    result_.gamma.reserve(table.accuracies.size());
    result_.improved_gamma.reserve(table.accuracies.size());
  }

  Robustness run() {
    for (std::size_t m = 0; m < models_; ++m) {
      for (std::size_t d = 0; d < datasets_; ++d) add_cells(m, d);
      add_aggregates(m);
    }
    result_.sar_ranks = ranks_from_best(result_.sar, resolutions_);
    result_.war_ranks = ranks_from_best(result_.war, resolutions_);
    for (std::size_t d = 0; d < datasets_; ++d) {
      for (std::size_t r = 0; r < resolutions_; ++r) {
        result_.sar_agreement.push_back(
            rank_agreement(of_dataset(result_.gamma, d, r), column(result_.sar, resolutions_, r)));
        result_.war_agreement.push_back(rank_agreement(of_dataset(result_.improved_gamma, d, r),
                                                       column(result_.war, resolutions_, r)));
      }
    }
    return std::move(result_);
  }

 private:
  void add_cells(std::size_t m, std::size_t d) {
    RobustnessFlags& flags = result_.flags[m];
    const double native = table_.native_accuracy(m, d);
    if (std::isnan(native)) {
      ++flags.missing;
    } else if (native <= 0) {
      ++flags.zero_native;
    } else if (native <= table_.chance[d]) {
      ++flags.at_chance;
    }
    const double factor = chance_factor(native, table_.chance[d], options_);
    for (std::size_t r = 0; r < resolutions_; ++r) {
      const double accuracy = table_.accuracy(m, d, r);
      if (std::isnan(accuracy)) ++flags.missing;
      double gamma = relative_robustness(accuracy, native);
      if (gamma > 1) ++flags.above_native;
      if (options_.clip && gamma > 1) gamma = 1;
      result_.gamma.push_back(gamma);
      result_.improved_gamma.push_back(gamma * factor);
    }
  }

  void add_aggregates(std::size_t m) {
    for (std::size_t r = 0; r < resolutions_; ++r) {
      Mean simple;
      Mean weighted;
      for (std::size_t d = 0; d < datasets_; ++d) {
        const std::size_t cell = (m * datasets_ + d) * resolutions_ + r;
        simple.add(result_.gamma[cell], 1);
        weighted.add(result_.improved_gamma[cell],
                     options_.weights.empty() ? 1 : options_.weights[d]);
      }
      result_.sar.push_back(simple.value());
      result_.war.push_back(weighted.value());
    }
  }

  std::vector<double> of_dataset(const std::vector<double>& values, std::size_t d,
                                 std::size_t r) const {
    std::vector<double> found;
    for (std::size_t m = 0; m < models_; ++m) {
      found.push_back(values[(m * datasets_ + d) * resolutions_ + r]);
    }
    return found;
  }

  const AccuracyTable& table_;
  const RobustnessOptions& options_;
  std::size_t models_;
  std::size_t datasets_;
  std::size_t resolutions_;
  Robustness result_;
};

}  // namespace

double relative_robustness(double accuracy, double native) {
  return native > 0 ? accuracy / native : kNaN;
}

double chance_factor(double native, double chance, const RobustnessOptions& options) {
  if (std::isnan(native)) return kNaN;
  const double above = std::clamp(native - chance, 0.0, 1.0);
  if (above <= 0) return 0;
  return 1 -
         portable_exp(-options.steepness * portable_exp(options.exponent * portable_log(above)));
}

RankAgreement rank_agreement(std::span<const double> x, std::span<const double> y) {
  std::vector<double> a;
  std::vector<double> b;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) || std::isnan(y[i])) continue;
    a.push_back(x[i]);
    b.push_back(y[i]);
  }
  if (a.size() < 2) return {kNaN, kNaN};
  return {spearman(a, b), kendall_tau_b(a, b)};
}

Robustness robustness(const AccuracyTable& table, const RobustnessOptions& options) {
  check_accuracies(table);
  check_options(table, options);
  return Computation(table, options).run();
}

}  // namespace amalgam::scores
