#include "amalgam/report/scatter_plot.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/report/axes.hpp"
#include "amalgam/report/svg.hpp"

namespace amalgam::report {
namespace {

class ScatterDrawing {
 public:
  explicit ScatterDrawing(const ScatterPlot& plot) : plot_(plot) {
    for (const ScatterPlot::Curve& curve : plot.curves) {
      if (curve.x.size() != curve.y.size() ||
          (!curve.band.empty() && curve.band.size() != curve.x.size())) {
        throw InputError("plot '{}': curve '{}' has {} places, {} values and {} intervals",
                         plot.title, curve.label, curve.x.size(), curve.y.size(),
                         curve.band.size());
      }
    }
    const bool legend = !plot.meanings.empty() || !plot.notes.empty() || plot.diagonal ||
                        std::ranges::any_of(plot.curves, [](const ScatterPlot::Curve& curve) {
                          return !curve.label.empty();
                        });
    right_ = kPlotWidth - (legend ? kLegend : 24);
    choose_scales();
  }

  std::string draw() {
    Svg svg(kPlotWidth, kHeight, plot_.title);
    svg.text(kPlotMargin, 28, plot_.title, "title");
    draw_axes(svg);
    if (plot_.diagonal) {
      const double low = std::max(x_.low, y_.low);
      const double high = std::min(x_.high, y_.high);
      if (high > low) svg.line(x_(low), y_(low), x_(high), y_(high), "reference");
    }
    for (const ScatterPlot::Curve& curve : plot_.curves) draw_curve(svg, curve);
    for (const ScatterPlot::Point& point : plot_.points) draw_point(svg, point);
    draw_legend(svg);
    return svg.finish();
  }

 private:
  static constexpr double kHeight = 460;
  static constexpr double kLeft = 70;
  static constexpr double kTop = 56;
  static constexpr double kBottom = kHeight - 56;
  static constexpr double kLegend = 230;

  void choose_scales() {
    ValueRange xs;
    ValueRange ys;
    for (const ScatterPlot::Point& point : plot_.points) {
      if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
      xs.include(point.x);
      ys.include(point.y);
      for (const double end : ends(point.x_interval)) xs.include(end);
      for (const double end : ends(point.y_interval)) ys.include(end);
    }
    for (const ScatterPlot::Curve& curve : plot_.curves) {
      for (const double x : curve.x) xs.include(x);
      for (const double y : curve.y) ys.include(y);
    }
    if (xs.empty || ys.empty) throw InputError("plot '{}': nothing to draw", plot_.title);
    x_ = scale(plot_.x, xs, kLeft, right_);
    y_ = scale(plot_.y, ys, kBottom, kTop);
  }

  static std::vector<double> ends(const std::optional<Interval>& interval) {
    return interval ? std::vector<double>{interval->low, interval->high} : std::vector<double>{};
  }

  AxisScale scale(const ScatterPlot::Axis& axis, const ValueRange& values, double from,
                  double to) const {
    const ValueRange padded = values.padded();
    const AxisScale scale{axis.low.value_or(padded.low), axis.high.value_or(padded.high), from, to};
    if (!(scale.high > scale.low)) {
      throw InputError("plot '{}': the axis '{}' has no length", plot_.title, axis.title);
    }
    return scale;
  }

  static std::vector<ScatterPlot::Tick> ticks_of(const ScatterPlot::Axis& axis,
                                                 const AxisScale& scale, int wanted) {
    if (!axis.ticks.empty()) {
      std::vector<ScatterPlot::Tick> within = axis.ticks;
      std::erase_if(within, [&](const ScatterPlot::Tick& tick) {
        return std::isnan(tick.at) || tick.at < scale.low || tick.at > scale.high;
      });
      return within;
    }
    std::vector<ScatterPlot::Tick> ticks;
    const std::vector<double> round = round_ticks(scale.low, scale.high, wanted);
    for (const double at : round) ticks.push_back({at, tick_text(at, step_of(round))});
    return ticks;
  }

  void draw_axes(Svg& svg) const {
    for (const ScatterPlot::Tick& tick : ticks_of(plot_.x, x_, 7)) {
      svg.line(x_(tick.at), kTop, x_(tick.at), kBottom, "grid");
      svg.text(x_(tick.at), kBottom + 17, tick.label, "small", Svg::Anchor::middle);
    }
    for (const ScatterPlot::Tick& tick : ticks_of(plot_.y, y_, 7)) {
      svg.line(kLeft, y_(tick.at), right_, y_(tick.at), "grid");
      svg.text(kLeft - 8, y_(tick.at) + 4, tick.label, "small", Svg::Anchor::end);
    }
    svg.line(kLeft, kBottom, right_, kBottom, "axis");
    svg.line(kLeft, kTop, kLeft, kBottom, "axis");
    svg.text((kLeft + right_) / 2, kHeight - 14, plot_.x.title, "label", Svg::Anchor::middle);
    svg.slanted_text(24, (kTop + kBottom) / 2, plot_.y.title, "label", 90, Svg::Anchor::middle);
  }

  bool within(double x, double y) const {
    return x >= x_.low && x <= x_.high && y >= y_.low && y <= y_.high;
  }

  // A curve that leaves the axes is continued where it comes back.
  void draw_curve(Svg& svg, const ScatterPlot::Curve& curve) const {
    const std::string line = with_tone("line", curve.tone) + (curve.dashed ? " dashed" : "");
    std::size_t begin = 0;
    while (begin < curve.x.size()) {
      std::size_t end = begin;
      while (end < curve.x.size() && within(curve.x[end], curve.y[end])) ++end;
      if (end > begin + 1) draw_piece(svg, curve, begin, end, line);
      begin = end + 1;
    }
  }

  void draw_piece(Svg& svg, const ScatterPlot::Curve& curve, std::size_t begin, std::size_t end,
                  const std::string& line) const {
    std::string centre;
    std::string upper;
    std::string lower;
    const auto at = [&](double y) { return y_(std::clamp(y, y_.low, y_.high)); };
    for (std::size_t i = begin; i < end; ++i) {
      centre += point_text(x_(curve.x[i]), y_(curve.y[i]));
      if (curve.band.empty()) continue;
      const std::size_t back = begin + end - 1 - i;
      upper += point_text(x_(curve.x[i]), at(curve.band[i].high));
      lower += point_text(x_(curve.x[back]), at(curve.band[back].low));
    }
    if (!upper.empty()) svg.polygon(upper + lower, with_tone("band", curve.tone));
    svg.polyline(centre, line);
  }

  void draw_point(Svg& svg, const ScatterPlot::Point& point) const {
    if (!within(point.x, point.y)) return;
    const double x = x_(point.x);
    const double y = y_(point.y);
    if (point.x_interval) {
      svg.line(x_(std::max(x_.low, point.x_interval->low)), y,
               x_(std::min(x_.high, point.x_interval->high)), y, with_tone("bar", point.tone));
    }
    if (point.y_interval) {
      svg.line(x, y_(std::max(y_.low, point.y_interval->low)), x,
               y_(std::min(y_.high, point.y_interval->high)), with_tone("bar", point.tone));
    }
    const double radius = plot_.points.size() > 300 ? 3 : 4.5;
    svg.circle(x, y, radius, with_tone("dot", point.tone) + " open", point.tooltip);
    if (!point.label.empty()) svg.text(x + 7, y + 4, point.label, "small");
  }

  void draw_legend(Svg& svg) const {
    const double left = right_ + 18;
    const double room = kPlotWidth - left - 34;
    double y = kTop + 8;
    for (const ScatterPlot::Meaning& meaning : plot_.meanings) {
      svg.circle(left + 11, y - 4, 4.5, with_tone("dot", meaning.tone) + " open");
      svg.text(left + 30, y, shortened(meaning.label, room), "label");
      y += 20;
    }
    for (const ScatterPlot::Curve& curve : plot_.curves) {
      if (curve.label.empty()) continue;
      svg.line(left, y - 4, left + 22, y - 4,
               with_tone("line", curve.tone) + (curve.dashed ? " dashed" : ""));
      svg.text(left + 30, y, shortened(curve.label, room), "label");
      y += 20;
    }
    if (plot_.diagonal) {
      svg.line(left, y - 4, left + 22, y - 4, "reference");
      svg.text(left + 30, y, "equal on both axes", "label");
      y += 20;
    }
    y += 8;
    for (const std::string& note : plot_.notes) {
      svg.text(left, y, shortened(note, room + 30), "small");
      y += 17;
    }
  }

  const ScatterPlot& plot_;
  double right_ = 0;
  AxisScale x_;
  AxisScale y_;
};

}  // namespace

std::string draw(const ScatterPlot& plot) { return ScatterDrawing(plot).draw(); }

}  // namespace amalgam::report
