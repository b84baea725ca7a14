#include "amalgam/report/heat_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/report/axes.hpp"
#include "amalgam/report/svg.hpp"

namespace amalgam::report {
namespace {

using Colour = std::array<double, 3>;  // red, green, blue in [0, 255]

constexpr Colour kPale{0xf1, 0xf5, 0xfa};
constexpr Colour kBlue{0x0b, 0x5c, 0xad};
constexpr Colour kOrange{0xc2, 0x57, 0x1a};

Colour between(const Colour& from, const Colour& to, double share) {
  Colour colour{};
  for (std::size_t c = 0; c < colour.size(); ++c) {
    colour[c] = from[c] + share * (to[c] - from[c]);
  }
  return colour;
}

// `place` in [0, 1] on the scale.
Colour colour_at(HeatMap::Colours colours, double place) {
  if (colours == HeatMap::Colours::sequential) return between(kPale, kBlue, place);
  return place >= 0.5 ? between(kPale, kBlue, 2 * place - 1)
                      : between(kPale, kOrange, 1 - 2 * place);
}

std::string text_of(const Colour& colour) {
  return fmt::format("#{:02x}{:02x}{:02x}", static_cast<unsigned>(std::lround(colour[0])),
                     static_cast<unsigned>(std::lround(colour[1])),
                     static_cast<unsigned>(std::lround(colour[2])));
}

// Whether white is easier to read on it than black (luma of ITU-R BT.601).
bool is_dark(const Colour& colour) {
  return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 140;
}

class HeatMapDrawing {
 public:
  explicit HeatMapDrawing(const HeatMap& map) : map_(map) {
    if (map.rows.empty() || map.columns.empty()) {
      throw InputError("heat map '{}': nothing to draw", map.title);
    }
    if (map.values.size() != map.rows.size() * map.columns.size()) {
      throw InputError("heat map '{}': {} values for {} rows and {} columns", map.title,
                       map.values.size(), map.rows.size(), map.columns.size());
    }
    choose_scale();
    lay_out();
  }

  std::string draw() {
    Svg svg(kPlotWidth, bottom_ + kBelow, map_.title);
    svg.text(kPlotMargin, 28, map_.title, "title");
    draw_names(svg);
    for (std::size_t row = 0; row < map_.rows.size(); ++row) {
      for (std::size_t column = 0; column < map_.columns.size(); ++column) {
        draw_cell(svg, row, column);
      }
    }
    draw_legend(svg);
    return svg.finish();
  }

 private:
  static constexpr double kMostNames = 220;  // pixels for names
  static constexpr double kMostCell = 46;
  static constexpr double kLeastRow = 12;  // pixels that a name needs, and a slanted one
  static constexpr double kLeastColumn = 17;
  static constexpr double kBelow = 56;
  static constexpr double kSlant = 45;  // degrees

  void choose_scale() {
    ValueRange range;
    for (const double value : map_.values) range.include(value);
    low_ = map_.low.value_or(range.low);
    high_ = map_.high.value_or(range.high);
    if (!(high_ > low_)) high_ = low_ + 1;
  }

  void lay_out() {
    double row_names = text_width(map_.row_title);
    for (const std::string& name : map_.rows) row_names = std::max(row_names, text_width(name));
    double column_names = 0;
    for (const std::string& name : map_.columns) {
      column_names = std::max(column_names, text_width(name));
    }
    left_ = kPlotMargin + std::min(kMostNames, row_names) + 12;
    // The last column's name leans out of the map.
    rise_ = std::min(kMostNames, column_names) * 0.71;
    const double space = kPlotWidth - left_ - kPlotMargin - rise_;
    cell_ = std::min(kMostCell, space / static_cast<double>(map_.columns.size()));
    height_ = std::min(cell_, 30.0);
    top_ = 52 + rise_ + (map_.column_title.empty() ? 8 : 24);
    bottom_ = top_ + height_ * static_cast<double>(map_.rows.size());
  }

  // Where names would run into each other, only every so many are written.
  static std::size_t step(double pixels, double least) {
    return pixels >= least ? 1 : static_cast<std::size_t>(std::ceil(least / pixels));
  }

  void draw_names(Svg& svg) const {
    for (std::size_t row = 0; row < map_.rows.size(); row += step(height_, kLeastRow)) {
      svg.text(left_ - 8, top_ + (static_cast<double>(row) + 0.5) * height_ + 4,
               shortened(map_.rows[row], kMostNames), "label", Svg::Anchor::end);
    }
    for (std::size_t column = 0; column < map_.columns.size();
         column += step(cell_, kLeastColumn)) {
      svg.slanted_text(left_ + (static_cast<double>(column) + 0.5) * cell_ + 3, top_ - 7,
                       shortened(map_.columns[column], kMostNames), "label", kSlant);
    }
    if (!map_.column_title.empty()) {
      svg.text(left_, 50, map_.column_title, "panel");
    }
    if (!map_.row_title.empty()) {
      svg.text(left_ - 8, top_ - 8, map_.row_title, "panel", Svg::Anchor::end);
    }
  }

  double place(double value) const { return std::clamp((value - low_) / (high_ - low_), 0.0, 1.0); }

  void draw_cell(Svg& svg, std::size_t row, std::size_t column) const {
    const double value = map_.values[row * map_.columns.size() + column];
    if (!std::isfinite(value)) return;
    const Colour colour = colour_at(map_.colours, place(value));
    const double x = left_ + static_cast<double>(column) * cell_;
    const double y = top_ + static_cast<double>(row) * height_;
    const double gap = cell_ > 8 ? 1 : 0;
    svg.cell(x, y, cell_ - gap, height_ - gap, text_of(colour),
             fmt::format("{}, {}: {:.{}f}", map_.rows[row], map_.columns[column], value,
                         map_.decimals + 1));
    if (map_.columns.size() > map_.most_written) return;
    svg.text(x + (cell_ - gap) / 2, y + height_ / 2 + 3.5,
             fmt::format("{:.{}f}", value, map_.decimals),
             is_dark(colour) ? "oncell dark" : "oncell", Svg::Anchor::middle);
  }

  void draw_legend(Svg& svg) const {
    constexpr int kSteps = 40;
    constexpr double kLength = 240;
    const double y = bottom_ + 16;
    for (int step = 0; step < kSteps; ++step) {
      const double share = (step + 0.5) / kSteps;
      svg.cell(left_ + kLength * step / kSteps, y, kLength / kSteps + 0.5, 10,
               text_of(colour_at(map_.colours, share)));
    }
    const auto mark = [&](double share) {
      svg.text(left_ + kLength * share, y + 24,
               fmt::format("{:.{}f}", low_ + share * (high_ - low_), map_.decimals), "small",
               Svg::Anchor::middle);
    };
    mark(0);
    if (map_.colours == HeatMap::Colours::diverging) mark(0.5);
    mark(1);
    svg.text(left_ + kLength + 16, y + 9, map_.legend, "small");
  }

  const HeatMap& map_;
  double low_ = 0;
  double high_ = 1;
  double left_ = 0;    // of the cells
  double top_ = 0;     // of the cells
  double bottom_ = 0;  // of the cells
  double rise_ = 0;    // of the columns' names
  double cell_ = 0;    // width
  double height_ = 0;  // of a cell
};

}  // namespace

std::string draw(const HeatMap& map) { return HeatMapDrawing(map).draw(); }

}  // namespace amalgam::report
