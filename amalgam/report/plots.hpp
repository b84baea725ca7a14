#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amalgam/core/statistics.hpp"

namespace amalgam::report {

/// A measured value with its interval.
struct Estimate {
  double value = 0;
  Interval interval;
};

/// What a mark stands for decides its colour.
enum class Tone { plain, soft, strong, contrast };

/// Values of named things, side by side in one or more panels: a dot for the value, a bar for the
/// interval, the value written beside it.
struct DotPlot {
  struct Row {
    std::string label;
    Tone tone = Tone::plain;
    std::vector<Estimate> values;  ///< one per panel
  };
  struct Group {
    std::string title;
    std::vector<Row> rows;
  };
  struct Panel {
    std::string title;
    std::optional<double> reference;   ///< a dashed vertical line
    std::optional<int> decimals = {};  ///< of the values written, if not the plot's
  };
  std::string title;
  std::vector<Panel> panels;
  std::vector<Group> groups;
  std::string reference_note;  ///< what the dashed lines are
  int decimals = 1;            ///< of the values written
};

/// The plot as an SVG element of its own. InputError if there is nothing to draw.
std::string draw(const DotPlot& plot);

/// Curves with bands for their intervals.
struct LinePlot {
  struct Series {
    std::string label;
    Tone tone = Tone::strong;
    std::vector<double> x;  ///< increasing
    std::vector<Estimate> y;
  };
  std::string title;
  std::string x_title;
  std::string y_title;
  std::vector<Series> series;
};
std::string draw(const LinePlot& plot);

/// About `wanted` round numbers (1, 2 or 5 times a power of ten apart) from within [low, high].
std::vector<double> round_ticks(double low, double high, int wanted);

}  // namespace amalgam::report
