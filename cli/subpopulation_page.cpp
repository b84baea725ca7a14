// The page of `amalgam study subpopulations`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "amalgam/report/page.hpp"
#include "amalgam/report/scatter_plot.hpp"
#include "cli/subpopulation_output.hpp"

namespace amalgam::cli {
namespace {

using report::ScatterPlot;
using report::Tone;
using scores::AxisFits;

// A curve over the range of x.
ScatterPlot::Curve curve_of(std::string label, Tone tone, bool dashed, const std::vector<double>& x,
                            const std::function<double(double)>& y) {
  constexpr int kSteps = 100;
  const auto [low, high] = std::ranges::minmax(x);
  ScatterPlot::Curve curve{
      .label = std::move(label), .tone = tone, .dashed = dashed, .x = {}, .y = {}};
  for (int step = 0; step <= kSteps; ++step) {
    curve.x.push_back(low + (high - low) * step / kSteps);
    curve.y.push_back(y(curve.x.back()));
  }
  return curve;
}

std::vector<ScatterPlot::Tick> probit_ticks(const std::vector<double>& values) {
  const auto [low, high] = std::ranges::minmax(values);
  std::vector<ScatterPlot::Tick> ticks;
  for (const double share :
       {0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999}) {
    const double at = scores::probit(share);
    if (at > low - 0.3 && at < high + 0.3) ticks.push_back({at, fmt::format("{}", share)});
  }
  return ticks;
}

ScatterPlot scatter(const SubpopulationReport& report, const AxisFits& axes,
                    const std::vector<double>& x, const std::vector<double>& y) {
  ScatterPlot plot;
  for (std::size_t i = 0; i < x.size(); ++i) {
    plot.points.push_back(
        {.x = x[i],
         .y = y[i],
         .tone = Tone::soft,
         .tooltip = fmt::format("{}: {:.4f}, {:.4f}", report.table->models[i],
                                report.table->majority[i], report.table->minority[i])});
  }
  if (axes.fits.line) {
    plot.curves.push_back(curve_of(fmt::format("line, R2 {:.3f}", axes.fits.line->r_squared),
                                   Tone::plain, true, x,
                                   [&](double at) { return axes.fits.line->at(at); }));
  }
  if (axes.fits.parabola) {
    plot.curves.push_back(
        curve_of(fmt::format("quadratic, R2 {:.3f}", axes.fits.parabola->r_squared), Tone::strong,
                 false, x, [&](double at) { return axes.fits.parabola->at(at); }));
  }
  plot.diagonal = true;
  return plot;
}

std::string accuracy_plot(const SubpopulationReport& report) {
  const auto& study = report.study;
  ScatterPlot plot =
      scatter(report, study.accuracy, report.table->majority, report.table->minority);
  plot.title = "Accuracy on the minority over accuracy on the majority";
  plot.x.title = "majority";
  plot.y.title = "minority";
  // The increasing fit, as steps in the order of x.
  std::vector<std::size_t> order(report.table->count());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return report.table->majority[i]; });
  ScatterPlot::Curve monotone{
      .label = "increasing", .tone = Tone::contrast, .dashed = true, .x = {}, .y = {}};
  for (const std::size_t i : order) {
    monotone.x.push_back(report.table->majority[i]);
    monotone.y.push_back(study.monotone[i]);
  }
  plot.curves.push_back(std::move(monotone));
  if (study.accuracy.turning_point) {
    plot.notes.push_back(fmt::format("turning point {:.3f}", *study.accuracy.turning_point));
  }
  plot.notes.push_back(fmt::format("moon index {:.3f}", study.accuracy.moon_index));
  return draw(plot);
}

std::string probit_plot(const SubpopulationReport& report) {
  const auto& study = report.study;
  ScatterPlot plot = scatter(report, *study.probit, study.probit_majority, study.probit_minority);
  plot.title = "The same on probit axes";
  plot.x = {.title = "majority", .ticks = probit_ticks(study.probit_majority)};
  plot.y = {.title = "minority", .ticks = probit_ticks(study.probit_minority)};
  return draw(plot);
}

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.3f}", value) : "–";
}

}  // namespace

std::string subpopulation_page(const SubpopulationReport& report) {
  report::Page page("Accuracy on subpopulations");
  page.paragraph(fmt::format(
      "{} models of {}. Each is a point: how often it is right on the majority, and on the"
      " minority. If better on the majority means better on the minority, the points lie along a"
      " rising line.",
      report.table->count(), printable(report.table->source)));
  for (const std::string& line : subpopulation_findings(report)) page.paragraph(line + ".");
  for (const std::string& warning : report.warnings) page.paragraph("Warning: " + warning + ".");
  page.figure(accuracy_plot(report),
              "The dashed diagonal is equal accuracy. A curve below its own chord is a moon: models"
              " in the middle gain on the majority and not on the minority.");
  if (report.study.probit) {
    page.figure(probit_plot(report),
                "Accuracies as normal quantiles, on which relations between data sets are often"
                " straight; a curve here is not made by the scale.");
  }
  page.heading("Fits");
  page.table(subpopulation_titles(), subpopulation_rows(report));
  page.heading("By accuracy on the majority");
  std::vector<std::vector<std::string>> bins;
  for (const scores::AccuracyBin& bin : report.study.bins) {
    bins.push_back({fmt::format("{:.3f} to {:.3f}", bin.low, bin.high), fmt::to_string(bin.count),
                    number(bin.majority), number(bin.minority)});
  }
  page.table({"majority accuracy", "models", "majority", "minority"}, bins);
  return page.html();
}

}  // namespace amalgam::cli
