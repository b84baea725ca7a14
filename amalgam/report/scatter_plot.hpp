#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amalgam/core/statistics.hpp"
#include "amalgam/report/plots.hpp"

namespace amalgam::report {

/// Points in a plane, with curves through them. For other than linear axes, give transformed places
/// and ticks of their own: at probit(0.9), the label "90 %".
struct ScatterPlot {
  struct Point {
    double x = 0;
    double y = 0;
    Tone tone = Tone::plain;
    std::string tooltip = {};  ///< shown when the mouse rests on it
    std::string label = {};    ///< written beside it
    std::optional<Interval> x_interval = {};
    std::optional<Interval> y_interval = {};
  };
  struct Curve {
    std::string label;  ///< in the legend; empty: not there
    Tone tone = Tone::strong;
    bool dashed = false;
    std::vector<double> x;
    std::vector<double> y;            ///< as many
    std::vector<Interval> band = {};  ///< around it, as many, or empty
  };
  struct Tick {
    double at = 0;
    std::string label;
  };
  struct Axis {
    std::string title;
    std::vector<Tick> ticks = {};    ///< empty: round numbers
    std::optional<double> low = {};  ///< ends; by default a little beyond all points and curves
    std::optional<double> high = {};
  };
  /// What points of a tone are, for the legend.
  struct Meaning {
    Tone tone = Tone::plain;
    std::string label;
  };

  std::string title;
  Axis x;
  Axis y;
  std::vector<Point> points;
  std::vector<Curve> curves = {};
  std::vector<Meaning> meanings = {};
  bool diagonal = false;                ///< a dashed line where x = y
  std::vector<std::string> notes = {};  ///< lines under the legend, such as of the fit
};

/// The plot as an SVG element of its own. Points and parts of curves that are not finite, or beyond
/// the ends of the axes, are left out. InputError if there is nothing to draw, or if a curve does
/// not have as many places as values.
std::string draw(const ScatterPlot& plot);

}  // namespace amalgam::report
