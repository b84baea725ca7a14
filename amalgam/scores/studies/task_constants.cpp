#include "amalgam/scores/studies/task_constants.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/scores/studies/intrinsic_dimension.hpp"

namespace amalgam::scores {
namespace {

double largest_norm(const PointRows& points) {
  const std::vector<double> origin(points.width, 0.0);
  double largest = 0;
  for (std::size_t i = 0; i < points.count(); ++i) {
    largest = std::max(largest, squared_distance(points.row(i), origin.data(), points.width));
  }
  return std::sqrt(largest);
}

void measure_dimension(TaskConstants& found, const PointRows& points,
                       const TaskConstantsOptions& options, const Parallel& parallel,
                       const OnMeasuring& measuring) {
  const std::vector<std::size_t> kept = distinct_rows(points);
  found.distinct = kept.size();
  std::vector<double> copies;
  PointRows distinct = points;
  if (kept.size() < points.count()) {
    for (const std::size_t i : kept) {
      copies.insert(copies.end(), points.row(i), points.row(i) + points.width);
    }
    distinct.values = copies;
  }
  std::vector<std::size_t> queries = shuffled_indices(kept.size(), options.seed, "query points");
  queries.resize(std::min(queries.size(), options.queries));
  found.queries = queries.size();
  const NearestDistances nearest =
      nearest_distances(distinct, queries, options.neighbours, parallel, [&](std::size_t done) {
        if (measuring) measuring("neighbours", done, queries.size());
      });
  found.likelihood_dimension = likelihood_dimension(nearest);
  found.two_nearest_dimension = two_nearest_dimension(nearest);
  const PrincipalSpectrum spectrum = principal_spectrum(distinct);
  found.participation_ratio = spectrum.participation_ratio();
  found.principal_components = spectrum.components(options.variance_share);
}

}  // namespace

TaskConstants measure_task(const LabelledPoints& points, const TaskConstantsOptions& options,
                           const Parallel& parallel, const OnMeasuring& measuring) {
  const PointRows rows = points.rows();
  TaskConstants found{.examples = points.count(), .classes = points.class_names.size()};
  try {
    if (found.classes < 2) throw InputError("one class; expected two or more");
    found.radius = largest_norm(rows);
    if (!(found.radius > 0)) throw InputError("all features are 0");
    measure_dimension(found, rows, options, parallel, measuring);
    if (options.separation != nullptr) {
      found.separation = class_separation(rows, points.labels, *options.separation, parallel,
                                          [&](std::size_t done) {
                                            if (measuring) {
                                              measuring("separation", done, rows.count());
                                            }
                                          });
    }
  } catch (const InputError& error) {
    throw InputError("{}: {}", points.source, error.what());
  }
  return found;
}

}  // namespace amalgam::scores
