#include "amalgam/scores/studies/subpopulation_study.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/quantile.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/core/tail_probabilities.hpp"
#include "amalgam/scores/studies/subpopulation_bootstrap.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<std::size_t> order_by(std::span<const double> x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return x[i]; });
  return order;
}

std::vector<double> at_indices(std::span<const double> values,
                               std::span<const std::size_t> indices) {
  std::vector<double> chosen;
  for (const std::size_t i : indices) chosen.push_back(values[i]);
  return chosen;
}

// Of points in the order of x, each so many times. Nothing if all x are equal.
std::optional<AxisFits> fits_of_sorted(std::span<const double> x, std::span<const double> y,
                                       std::span<const std::size_t> order,
                                       std::span<const std::uint32_t> times, double low,
                                       double high) {
  CurveMoments moments;
  std::vector<double> sorted;
  for (const std::size_t i : order) {
    const std::uint32_t count = times.empty() ? 1 : times[i];
    moments.absorb(x[i], y[i], count);
    sorted.insert(sorted.end(), count, x[i]);
  }
  AxisFits axes{.fits = fit_curves(moments), .turning_point = {}};
  if (!axes.fits.line) return std::nullopt;
  axes.low = quantile_of_sorted(sorted, low);
  axes.high = quantile_of_sorted(sorted, high);
  if (!axes.fits.parabola) return axes;
  axes.moon_index = moon_index(*axes.fits.parabola, axes.low, axes.high);
  const std::optional<double> lowest = axes.fits.parabola->lowest();
  if (lowest && *lowest > axes.low && *lowest < axes.high) axes.turning_point = lowest;
  return axes;
}

double spearman_of(std::span<const double> x, std::span<const double> y,
                   std::span<const std::size_t> which) {
  return which.size() < 2 ? kNaN : spearman(at_indices(x, which), at_indices(y, which));
}

CurveIntervals intervals_of(const SubpopulationTable& table, const SubpopulationOptions& options,
                            const Parallel& parallel) {
  const ModelClusters clusters = options.cluster.empty() ? single_models(table.count())
                                                         : clusters_of(table.tag(options.cluster));
  const std::vector<std::size_t> order = order_by(table.majority);
  const auto draws =
      bootstrap_models(clusters, table.count(), options.resamples, options.seed, parallel,
                       [&](std::span<const std::uint32_t> times) -> std::vector<double> {
                         const auto axes = fits_of_sorted(table.majority, table.minority, order,
                                                          times, options.low, options.high);
                         if (!axes) return {kNaN, kNaN, kNaN, kNaN, kNaN, kNaN, kNaN};
                         const auto& parabola = axes->fits.parabola;
                         return {axes->fits.pearson,
                                 axes->fits.line->slope,
                                 axes->fits.line->r_squared,
                                 parabola ? parabola->r_squared : kNaN,
                                 parabola ? parabola->quadratic : kNaN,
                                 parabola ? axes->moon_index : kNaN,
                                 axes->turning_point ? 1.0 : 0.0};
                       });
  CurveIntervals found{.clusters = clusters.size(),
                       .pearson = percentile_interval(draws, 0),
                       .slope = percentile_interval(draws, 1),
                       .line_r_squared = percentile_interval(draws, 2),
                       .parabola_r_squared = percentile_interval(draws, 3),
                       .quadratic = percentile_interval(draws, 4),
                       .moon_index = percentile_interval(draws, 5)};
  double turning = 0;
  for (const auto& draw : draws) turning += draw[6] > 0 ? 1 : 0;
  found.turning_share = turning / static_cast<double>(draws.size());
  return found;
}

void check_table(const SubpopulationTable& table, const SubpopulationOptions& options) {
  const std::size_t n = table.count();
  if (n < 4) {
    throw InputError("{}: {} models; expected four or more", table.source, n);
  }
  if (table.majority.size() != n || table.minority.size() != n || table.majority_size.size() != n ||
      table.minority_size.size() != n) {
    throw Error("{}: {} models, but not as many accuracies", table.source, n);
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (const double accuracy : {table.majority[i], table.minority[i]}) {
      if (!(accuracy >= 0) || !(accuracy <= 1)) {
        throw InputError("{}: model '{}' has an accuracy of {}; expected 0 to 1", table.source,
                         table.models[i], accuracy);
      }
    }
  }
  if (!(options.low >= 0) || !(options.low < options.high) || !(options.high <= 1)) {
    throw InputError(
        "the range of accuracies is from quantile {} to {}; expected 0 <= low < high"
        " <= 1",
        options.low, options.high);
  }
  if (options.fewest < 4) {
    throw InputError("groups of {} models are to be fitted; expected four or more", options.fewest);
  }
}

void add_probit(SubpopulationStudy& study, const SubpopulationTable& table,
                const SubpopulationOptions& options) {
  for (std::size_t i = 0; i < table.count(); ++i) {
    study.probit_majority.push_back(probit(table.majority[i], table.majority_size[i]));
    study.probit_minority.push_back(probit(table.minority[i], table.minority_size[i]));
    if (std::isfinite(study.probit_majority[i]) && std::isfinite(study.probit_minority[i])) {
      continue;
    }
    study.warnings.push_back(
        fmt::format("model '{}' has an accuracy of 0 or 1, which probit axes can only show if the"
                    " number of test examples is known: they are left out",
                    table.models[i]));
    study.probit_majority.clear();
    study.probit_minority.clear();
    return;
  }
  study.probit = fits_of_sorted(study.probit_majority, study.probit_minority,
                                order_by(study.probit_majority), {}, options.low, options.high);
}

void add_robustness(SubpopulationStudy& study, const SubpopulationTable& table,
                    const SubpopulationOptions& options) {
  if (!study.probit) return;
  CurveMoments moments;
  for (std::size_t i = 0; i < table.count(); ++i) {
    if (options.reference_tag.empty() ||
        table.tag(options.reference_tag)[i] == options.reference_value) {
      moments.absorb(study.probit_majority[i], study.probit_minority[i]);
    }
  }
  study.reference_line = fit_curves(moments).line;
  if (!study.reference_line) {
    throw InputError(
        "{}: the reference models ({} = '{}') are {}; expected some that differ on"
        " the majority",
        table.source, options.reference_tag, options.reference_value, moments.count);
  }
  for (std::size_t i = 0; i < table.count(); ++i) {
    study.effective_robustness.push_back(
        table.minority[i] - normal_below(study.reference_line->at(study.probit_majority[i])));
  }
}

void add_groups(SubpopulationStudy& study, const SubpopulationTable& table,
                const SubpopulationOptions& options) {
  for (const std::string& tag : options.within) {
    const std::vector<std::string>& values = table.tag(tag);
    for (const std::vector<std::size_t>& members : clusters_of(values)) {
      SubpopulationGroup group{
          .tag = tag, .value = values[members.front()], .count = members.size(), .fits = {}};
      if (members.size() >= options.fewest) {
        const std::vector<double> x = at_indices(table.majority, members);
        group.fits = fits_of_sorted(x, at_indices(table.minority, members), order_by(x), {},
                                    options.low, options.high);
      }
      study.groups.push_back(std::move(group));
    }
  }
}

void add_halves(SubpopulationStudy& study, const SubpopulationTable& table) {
  const std::vector<std::size_t> order = order_by(table.majority);
  study.spearman = spearman_of(table.majority, table.minority, order);
  const double median = quantile_of_sorted(at_indices(table.majority, order), 0.5);
  const auto middle = std::ranges::partition_point(
      order, [&](std::size_t i) { return table.majority[i] <= median; });
  study.spearman_lower = spearman_of(table.majority, table.minority, {order.begin(), middle});
  study.spearman_upper = spearman_of(table.majority, table.minority, {middle, order.end()});
}

}  // namespace

double probit(double accuracy, double examples) {
  if (examples > 0) {
    const double edge = std::min(0.5, 0.5 / examples);
    accuracy = std::clamp(accuracy, edge, 1 - edge);
  }
  return normal_quantile(accuracy);
}

AxisFits fit_axes(std::span<const double> x, std::span<const double> y, double low_quantile,
                  double high_quantile) {
  if (x.size() != y.size()) throw Error("fits: {} x and {} y", x.size(), y.size());
  const auto axes = fits_of_sorted(x, y, order_by(x), {}, low_quantile, high_quantile);
  if (!axes) throw InputError("all models are alike on the majority; no line is defined");
  return *axes;
}

std::optional<InterpolationGap> interpolation_gap(std::span<const double> majority,
                                                  std::span<const double> minority) {
  if (majority.empty()) return std::nullopt;
  const std::vector<std::size_t> order = order_by(majority);
  const std::vector<double> sorted = at_indices(majority, order);
  const double low = quantile_of_sorted(sorted, 0.1);
  const double high = quantile_of_sorted(sorted, 0.9);
  std::optional<std::size_t> first;
  std::optional<std::size_t> last;
  for (const std::size_t i : order) {
    if (majority[i] <= low && (!first || minority[i] > minority[*first])) first = i;
    if (majority[i] >= high && (!last || minority[i] > minority[*last])) last = i;
  }
  if (!(majority[*first] < majority[*last])) return std::nullopt;
  InterpolationGap gap{.first = *first, .last = *last};
  const double rise = (minority[*last] - minority[*first]) / (majority[*last] - majority[*first]);
  for (std::size_t i = 0; i < majority.size(); ++i) {
    if (majority[i] <= majority[*first] || majority[i] >= majority[*last]) continue;
    ++gap.between;
    const double mixture = minority[*first] + rise * (majority[i] - majority[*first]);
    if (minority[i] < mixture) {
      ++gap.below;
      gap.mean_gap += mixture - minority[i];
    }
  }
  if (gap.below > 0) gap.mean_gap /= static_cast<double>(gap.below);
  return gap;
}

std::vector<AccuracyBin> accuracy_bins(std::span<const double> majority,
                                       std::span<const double> minority,
                                       std::span<const double> edges) {
  std::vector<double> all(edges.begin(), edges.end());
  if (all.empty()) {
    std::vector<double> sorted(majority.begin(), majority.end());
    std::ranges::sort(sorted);
    for (int fifth = 0; fifth <= 5; ++fifth) all.push_back(quantile_of_sorted(sorted, fifth / 5.0));
    all.erase(std::unique(all.begin(), all.end()), all.end());
    if (all.size() == 1) all.push_back(all.front());
  } else if (all.size() < 2 || std::ranges::adjacent_find(
                                   all, [](double a, double b) { return !(a < b); }) != all.end()) {
    throw InputError("bins of accuracy: expected two or more increasing edges");
  }
  std::vector<AccuracyBin> bins;
  for (std::size_t b = 0; b + 1 < all.size(); ++b) {
    AccuracyBin bin{.low = all[b], .high = all[b + 1]};
    const bool last = b + 2 == all.size();
    for (std::size_t i = 0; i < majority.size(); ++i) {
      if (majority[i] < bin.low || majority[i] > bin.high) continue;
      if (majority[i] == bin.high && !last) continue;
      ++bin.count;
      bin.majority += majority[i];
      bin.minority += minority[i];
    }
    bin.majority /= static_cast<double>(bin.count);  // NaN of an empty bin
    bin.minority /= static_cast<double>(bin.count);
    bins.push_back(bin);
  }
  return bins;
}

SubpopulationStudy study_subpopulations(const SubpopulationTable& table,
                                        const SubpopulationOptions& options,
                                        const Parallel& parallel) {
  check_table(table, options);
  SubpopulationStudy study;
  try {
    study.accuracy = fit_axes(table.majority, table.minority, options.low, options.high);
  } catch (const InputError& error) {
    throw InputError("{}: {}", table.source, error.what());
  }
  add_probit(study, table, options);
  study.monotone = monotone_fit(table.majority, table.minority);
  study.monotone_r_squared = r_squared(table.minority, study.monotone);
  add_halves(study, table);
  if (study.accuracy.turning_point) {
    study.inverse_share =
        static_cast<double>(std::ranges::count_if(
            table.majority, [&](double x) { return x < *study.accuracy.turning_point; })) /
        static_cast<double>(table.count());
  }
  study.gap = interpolation_gap(table.majority, table.minority);
  study.bins = accuracy_bins(table.majority, table.minority, options.bins);
  std::vector<double> inside;
  std::vector<double> outside;
  for (std::size_t i = 0; i < table.count(); ++i) {
    inside.push_back(mixture_accuracy(table.majority[i], table.minority[i], options.train_share));
    outside.push_back(mixture_accuracy(table.majority[i], table.minority[i], options.test_share));
  }
  if (const auto mixtures =
          fits_of_sorted(inside, outside, order_by(inside), {}, options.low, options.high)) {
    study.mixtures = *mixtures;
  }
  add_robustness(study, table, options);
  add_groups(study, table, options);
  for (std::size_t i = 0; i < table.majority_confusion.size(); ++i) {
    study.gaps.push_back(
        subpopulation_gap(table.majority_confusion[i], table.minority_confusion[i]));
  }
  if (options.resamples > 0) study.intervals = intervals_of(table, options, parallel);
  return study;
}

}  // namespace amalgam::scores
