#include "amalgam/report/plots.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/report/axes.hpp"
#include "amalgam/report/svg.hpp"

namespace amalgam::report {
namespace {

class DotPlotDrawing {
 public:
  explicit DotPlotDrawing(const DotPlot& plot) : plot_(plot) {
    for (const DotPlot::Group& group : plot.groups) rows_ += group.rows.size();
    if (rows_ == 0 || plot.panels.empty())
      throw InputError("plot '{}': nothing to draw", plot.title);
    for (const DotPlot::Group& group : plot.groups) {
      for (const DotPlot::Row& row : group.rows) {
        if (row.values.size() != plot.panels.size()) {
          throw InputError("plot '{}': '{}' has {} values for {} panels", plot.title, row.label,
                           row.values.size(), plot.panels.size());
        }
      }
    }
    height_ = kTop + static_cast<double>(rows_) * kRow +
              static_cast<double>(plot.groups.size()) * kGroup + kBottom;
  }

  std::string draw() {
    Svg svg(kPlotWidth, height_, plot_.title);
    svg.text(kPlotMargin, 28, plot_.title, "title");
    draw_labels(svg);
    const double space = kPlotWidth - kLabels - kPlotMargin;
    const auto panels = static_cast<double>(plot_.panels.size());
    const double panel_width = (space - (panels - 1) * kGap) / panels;
    for (std::size_t p = 0; p < plot_.panels.size(); ++p) {
      const double left = kLabels + static_cast<double>(p) * (panel_width + kGap);
      draw_panel(svg, p, left, left + panel_width - kValues);
    }
    if (!plot_.reference_note.empty()) {
      svg.line(kPlotMargin, height_ - 14, kPlotMargin + 28, height_ - 14, "reference");
      svg.text(kPlotMargin + 36, height_ - 10, plot_.reference_note, "small");
    }
    return svg.finish();
  }

 private:
  static constexpr double kTop = 64;
  static constexpr double kRow = 22;
  static constexpr double kGroup = 26;
  static constexpr double kBottom = 54;
  static constexpr double kLabels = 224;
  static constexpr double kValues = 46;
  static constexpr double kGap = 22;

  template <class F>
  void for_each_row(F visit) const {  // visit(row, y of its middle)
    double y = kTop;
    for (const DotPlot::Group& group : plot_.groups) {
      y += kGroup;
      for (const DotPlot::Row& row : group.rows) {
        visit(row, y + kRow / 2);
        y += kRow;
      }
    }
  }

  void draw_labels(Svg& svg) const {
    double y = kTop;
    for (const DotPlot::Group& group : plot_.groups) {
      svg.text(kPlotMargin, y + kGroup - 8, group.title, "panel");
      y += kGroup;
      for (std::size_t i = 0; i < group.rows.size(); ++i) {
        if (i % 2 == 0) svg.rectangle(kPlotMargin, y, kPlotWidth - 2 * kPlotMargin, kRow, "stripe");
        const bool strong = group.rows[i].tone == Tone::strong;
        svg.text(kPlotMargin + 12, y + kRow / 2 + 4,
                 shortened(group.rows[i].label, kLabels - kPlotMargin - 20),
                 strong ? "strong" : "label");
        y += kRow;
      }
    }
  }

  void draw_panel(Svg& svg, std::size_t panel, double left, double right) const {
    ValueRange range;
    for_each_row([&](const DotPlot::Row& row, double) { range.include(row.values[panel]); });
    const auto& reference = plot_.panels[panel].reference;
    if (reference) range.include(*reference);
    range = range.padded();
    const AxisScale x{range.low, range.high, left, right};

    const double bottom = height_ - kBottom;
    svg.text(left, kTop - 6, plot_.panels[panel].title, "panel");
    const std::vector<double> ticks = round_ticks(range.low, range.high, 5);
    for (const double tick : ticks) {
      svg.line(x(tick), kTop + 4, x(tick), bottom, "grid");
      svg.text(x(tick), bottom + 16, tick_text(tick, step_of(ticks)), "small", Svg::Anchor::middle);
    }
    svg.line(left, bottom, right, bottom, "axis");
    if (reference) svg.line(x(*reference), kTop + 4, x(*reference), bottom, "reference");
    for_each_row([&](const DotPlot::Row& row, double y) {
      const Estimate& estimate = row.values[panel];
      if (!std::isfinite(estimate.value)) return;
      svg.line(x(estimate.interval.low), y, x(estimate.interval.high), y,
               with_tone("bar", row.tone));
      svg.circle(x(estimate.value), y, 4.5, with_tone("dot", row.tone),
                 fmt::format("{}: {:.2f} ({:.2f} to {:.2f})", row.label, estimate.value,
                             estimate.interval.low, estimate.interval.high));
      svg.text(right + kValues - 2, y + 4,
               fmt::format("{:.{}f}", estimate.value,
                           plot_.panels[panel].decimals.value_or(plot_.decimals)),
               "value", Svg::Anchor::end);
    });
  }

  const DotPlot& plot_;
  std::size_t rows_ = 0;
  double height_ = 0;
};

}  // namespace

std::vector<double> round_ticks(double low, double high, int wanted) {
  std::vector<double> ticks;
  if (!(high > low) || !std::isfinite(high - low)) return ticks;
  const double rough = (high - low) / wanted;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= rough) step = factor * power;
  }
  const auto first = static_cast<long long>(std::ceil(low / step - 1e-9));
  const auto last = static_cast<long long>(std::floor(high / step + 1e-9));
  for (long long k = first; k <= last; ++k) ticks.push_back(static_cast<double>(k) * step);
  return ticks;
}

std::string draw(const DotPlot& plot) { return DotPlotDrawing(plot).draw(); }

std::string draw(const LinePlot& plot) {
  constexpr double kHeight = 300;
  constexpr double kLeft = 64;
  const bool labelled = std::any_of(plot.series.begin(), plot.series.end(),
                                    [](const auto& series) { return !series.label.empty(); });
  const double right_edge = kPlotWidth - (labelled ? 190 : 24);
  constexpr double kTop = 52;
  constexpr double kBottom = kHeight - 52;
  ValueRange xs;
  ValueRange ys;
  for (const LinePlot::Series& series : plot.series) {
    if (series.x.size() != series.y.size()) {
      throw InputError("plot '{}': curve '{}' has {} places and {} values", plot.title,
                       series.label, series.x.size(), series.y.size());
    }
    for (const double x : series.x) xs.include(x);
    for (const Estimate& y : series.y) ys.include(y);
  }
  if (xs.empty || !(xs.high > xs.low)) throw InputError("plot '{}': nothing to draw", plot.title);
  ys = ys.padded();
  const AxisScale x{xs.low, xs.high, kLeft, right_edge};
  const AxisScale y{ys.low, ys.high, kBottom, kTop};

  Svg svg(kPlotWidth, kHeight, plot.title);
  svg.text(kPlotMargin, 28, plot.title, "title");
  const std::vector<double> x_ticks = round_ticks(xs.low, xs.high, 6);
  for (const double tick : x_ticks) {
    svg.text(x(tick), kBottom + 18, tick_text(tick, step_of(x_ticks)), "small",
             Svg::Anchor::middle);
  }
  const std::vector<double> y_ticks = round_ticks(ys.low, ys.high, 6);
  for (const double tick : y_ticks) {
    svg.line(kLeft, y(tick), right_edge, y(tick), "grid");
    svg.text(kLeft - 8, y(tick) + 4, tick_text(tick, step_of(y_ticks)), "small", Svg::Anchor::end);
  }
  svg.line(kLeft, kBottom, right_edge, kBottom, "axis");
  svg.text((kLeft + right_edge) / 2, kHeight - 14, plot.x_title, "small", Svg::Anchor::middle);
  svg.text(kPlotMargin, kTop - 8, plot.y_title, "small");

  for (const LinePlot::Series& series : plot.series) {
    std::string upper;
    std::string lower;
    std::string centre;
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      upper += point_text(x(series.x[i]), y(series.y[i].interval.high));
      centre += point_text(x(series.x[i]), y(series.y[i].value));
      const std::size_t back = series.x.size() - 1 - i;
      lower += point_text(x(series.x[back]), y(series.y[back].interval.low));
    }
    svg.polygon(upper + lower, with_tone("band", series.tone));
    svg.polyline(centre, with_tone("line", series.tone));
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      svg.circle(x(series.x[i]), y(series.y[i].value), 3.5, with_tone("dot", series.tone),
                 fmt::format("{} at {:.2f}: {:.2f}", series.label, series.x[i], series.y[i].value));
    }
    svg.text(right_edge + 12, y(series.y.back().value) + 4, series.label, "label");
  }
  return svg.finish();
}

}  // namespace amalgam::report
