#include "amalgam/scores/studies/subpopulation_sweep.hpp"

#include <cmath>
#include <limits>
#include <map>

#include "amalgam/core/error.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/scores/studies/subpopulation_bootstrap.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Figures {
  std::vector<double> line_r_squared;
  std::vector<double> quadratic;
  std::vector<double> moon_index;

  void add(const AxisFits& axes) {
    line_r_squared.push_back(axes.fits.line->r_squared);
    quadratic.push_back(axes.fits.parabola ? axes.fits.parabola->quadratic : kNaN);
    moon_index.push_back(axes.fits.parabola ? axes.moon_index : kNaN);
  }
};

double tau_of(const std::vector<double>& strengths, const std::vector<double>& figures) {
  for (const double figure : figures) {
    if (std::isnan(figure)) return kNaN;
  }
  return kendall_tau_a(strengths, figures);
}

// The models at one strength.
struct Part {
  std::vector<std::size_t> members;
  std::vector<double> x;
  std::vector<double> y;
};

// Fits to a draw; nothing if all that was drawn is alike on the majority.
std::optional<AxisFits> fits_of_draw(const Part& part, std::span<const std::uint32_t> times,
                                     const SubpopulationOptions& options) {
  std::vector<double> x;
  std::vector<double> y;
  for (std::size_t i = 0; i < part.members.size(); ++i) {
    x.insert(x.end(), times[part.members[i]], part.x[i]);
    y.insert(y.end(), times[part.members[i]], part.y[i]);
  }
  try {
    return fit_axes(x, y, options.low, options.high);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

}  // namespace

StrengthSweep sweep_strengths(const SubpopulationTable& table, const std::string& strength,
                              const std::string& configuration, const SubpopulationOptions& options,
                              const Parallel& parallel) {
  const std::vector<std::string>& values = table.tag(strength);
  std::map<double, Part> parts;
  for (std::size_t i = 0; i < table.count(); ++i) {
    const std::optional<double> number = cell_number(values[i]);
    if (!number || !std::isfinite(*number)) {
      throw InputError("{}: model '{}' has the strength '{}'; expected a number", table.source,
                       table.models[i], values[i]);
    }
    Part& part = parts[*number];
    part.members.push_back(i);
    part.x.push_back(table.majority[i]);
    part.y.push_back(table.minority[i]);
  }
  if (parts.size() < 2) {
    throw InputError("{}: all models have one strength; expected two or more", table.source);
  }
  StrengthSweep sweep;
  Figures figures;
  for (const auto& [number, part] : parts) {
    if (part.members.size() < 4) {
      throw InputError("{}: {} models at strength {}; expected four or more", table.source,
                       part.members.size(), number);
    }
    sweep.strengths.push_back(number);
    sweep.fits.push_back(fit_axes(part.x, part.y, options.low, options.high));
    figures.add(sweep.fits.back());
  }
  sweep.line_r_squared.tau = tau_of(sweep.strengths, figures.line_r_squared);
  sweep.quadratic.tau = tau_of(sweep.strengths, figures.quadratic);
  sweep.moon_index.tau = tau_of(sweep.strengths, figures.moon_index);
  const ModelClusters clusters =
      configuration.empty() ? single_models(table.count()) : clusters_of(table.tag(configuration));
  sweep.configurations = clusters.size();
  if (options.resamples == 0) return sweep;
  const auto draws =
      bootstrap_models(clusters, table.count(), options.resamples, options.seed, parallel,
                       [&](std::span<const std::uint32_t> times) -> std::vector<double> {
                         Figures drawn;
                         for (const auto& [number, part] : parts) {
                           const auto axes = fits_of_draw(part, times, options);
                           if (!axes) return {kNaN, kNaN, kNaN};
                           drawn.add(*axes);
                         }
                         return {tau_of(sweep.strengths, drawn.line_r_squared),
                                 tau_of(sweep.strengths, drawn.quadratic),
                                 tau_of(sweep.strengths, drawn.moon_index)};
                       });
  sweep.line_r_squared.interval = percentile_interval(draws, 0);
  sweep.quadratic.interval = percentile_interval(draws, 1);
  sweep.moon_index.interval = percentile_interval(draws, 2);
  return sweep;
}

}  // namespace amalgam::scores
