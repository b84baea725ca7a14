#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "amalgam/report/page.hpp"
#include "amalgam/report/plots.hpp"
#include "cli/study_difficulty_output.hpp"

namespace amalgam::cli {
namespace {

using report::LinePlot;
using scores::Difficulty;

// A point of a curve without an interval; what has no bits is left out.
void add_point(LinePlot::Series& series, double x, double log10_bits) {
  if (!std::isfinite(log10_bits)) return;
  series.x.push_back(x);
  series.y.push_back({log10_bits, {log10_bits, log10_bits}});
}

void add_curve(report::Page& page, LinePlot plot, LinePlot::Series series,
               std::string_view caption) {
  if (series.x.size() < 2) return;
  plot.series.push_back(std::move(series));
  page.figure(draw(plot), caption);
}

void add_error_curve(report::Page& page, const DifficultTask& task) {
  LinePlot::Series series{.label = "bits", .x = {}, .y = {}};
  constexpr int kSteps = 40;
  for (int step = 0; step <= kSteps; ++step) {
    const double decades = -6.0 + 5.7 * step / kSteps;
    add_point(series, decades, task.at(std::pow(10.0, decades)).log10_bits);
  }
  add_curve(page,
            {.title = "What a smaller error takes",
             .x_title = "log10 of the error",
             .y_title = "log10 of the bits",
             .series = {}},
            std::move(series),
            "Halving the error adds one bit for each dimension of the hypothesis space.");
}

void add_dimension_curve(report::Page& page, DifficultTask task, double error) {
  double& dimension = task.on_torus ? task.torus.dimension : task.sphere.dimension;
  const double here = dimension;
  LinePlot::Series series{.label = "bits", .x = {}, .y = {}};
  constexpr int kSteps = 40;
  for (int step = 0; step <= kSteps; ++step) {
    dimension = std::max(1.0, here / 2) + here * step / kSteps;
    add_point(series, dimension, task.at(error).log10_bits);
  }
  add_curve(page,
            {.title = fmt::format("What a dimension takes, at an error of {:g}", error),
             .x_title = "intrinsic dimension",
             .y_title = "log10 of the bits",
             .series = {}},
            std::move(series),
            fmt::format("This task has {:g} dimensions. Everything else stays as it is.", here));
}

}  // namespace

std::string difficulty_page(const DifficultyReport& report) {
  report::Page page("Difficulty of generalisation");
  page.paragraph(
      report.data.empty()
          ? fmt::format("A task of the kind {}, told by its constants.", report.kind)
          : fmt::format("A task of the kind {}, measured on {}.", report.kind, report.data));
  for (const std::string& warning : report.warnings) page.paragraph(warning + ".");
  page.code(difficulty_text(report));
  add_error_curve(page, report.task);
  add_dimension_curve(page, report.task, report.results.front().error);
  return page.html();
}

}  // namespace amalgam::cli
