#pragma once

#include <string>
#include <vector>

#include "amalgam/report/plots.hpp"

namespace amalgam::report {

// What the drawings have in common. Lengths are in pixels.

inline constexpr double kPlotWidth = 900;
inline constexpr double kPlotMargin = 16;

/// Maps values of [low, high] to pixels from `from` to `to`.
struct AxisScale {
  double low = 0;
  double high = 1;
  double from = 0;
  double to = 1;
  double operator()(double value) const {
    return from + (value - low) / (high - low) * (to - from);
  }
};

/// The smallest range that holds all finite values that it was shown.
struct ValueRange {
  double low = 0;
  double high = 0;
  bool empty = true;

  void include(double value);
  void include(const Estimate& estimate);
  /// A little wider on both sides, and more than one value.
  ValueRange padded() const;
};

/// The class "dot2" of the tone `strong`, and so on.
std::string with_tone(const char* what, Tone tone);
/// With enough decimals to tell ticks `step` apart.
std::string tick_text(double value, double step);
/// How far ticks are apart; 1 for fewer than two.
double step_of(const std::vector<double>& ticks);
/// "x,y ", a point of a polyline.
std::string point_text(double x, double y);
/// About how wide a text of 12.5 pixels is.
double text_width(const std::string& text);
/// `text`, cut with an ellipsis to about `width` pixels.
std::string shortened(const std::string& text, double width);

}  // namespace amalgam::report
