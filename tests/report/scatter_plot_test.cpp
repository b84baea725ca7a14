#include "amalgam/report/scatter_plot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "amalgam/core/error.hpp"

namespace amalgam::report {
namespace {

using testing::HasSubstr;
using testing::Not;

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

ScatterPlot small_plot() {
  ScatterPlot plot;
  plot.title = "accuracy";
  plot.x = {"in <distribution>", {{-1, "16 %"}, {0, "50 %"}, {9, "beyond"}}, -2.0, 2.0};
  plot.y = {"shifted", {}, -2.0, 2.0};
  plot.points = {{0, 0, Tone::strong, "model a: 50 %"}, {1, 0.5, Tone::plain}};
  return plot;
}

TEST(ScatterPlot, PutsPointsWhereTheAxesSay) {
  const std::string svg = draw(small_plot());
  // Without a legend the axes run from x = 70 to 876 and y = 404 to 56: 0 is in the middle.
  EXPECT_THAT(svg, HasSubstr("cx=\"473.0\" cy=\"230.0\""));
  EXPECT_THAT(svg, HasSubstr("<title>model a: 50 %</title>"));
  EXPECT_EQ(count_of(svg, "<circle"), 2U);
  EXPECT_THAT(svg, HasSubstr("in &lt;distribution&gt;"));
  EXPECT_THAT(svg, HasSubstr("16 %"));
  EXPECT_THAT(svg, Not(HasSubstr("beyond")));
}

TEST(ScatterPlot, LeavesOutWhatIsNotWithinTheAxes) {
  ScatterPlot plot = small_plot();
  plot.points.push_back({5, 0, Tone::plain});
  plot.points.push_back({std::numeric_limits<double>::quiet_NaN(), 0, Tone::plain});
  // In, out, in again: two pieces of two places each.
  plot.curves = {{"fit", Tone::contrast, true, {-2, -1, 0, 1, 2}, {0, 1, 3, 1, 0}}};
  const std::string svg = draw(plot);
  EXPECT_EQ(count_of(svg, "class=\"dot0 open\""), 1U);
  EXPECT_EQ(count_of(svg, "<polyline"), 2U);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(ScatterPlot, TakesItsAxesFromWhatItShows) {
  ScatterPlot plot;
  plot.points = {{1, 10, Tone::plain}, {3, 30, Tone::plain, "", "", {}, Interval{20, 50}}};
  const std::string svg = draw(plot);
  EXPECT_THAT(svg, HasSubstr(">50<"));
  EXPECT_EQ(count_of(svg, "class=\"bar0\""), 1U);
}

TEST(ScatterPlot, RefusesWhatCannotBeDrawn) {
  EXPECT_THROW(draw(ScatterPlot{}), InputError);
  ScatterPlot plot = small_plot();
  plot.curves = {{"fit", Tone::strong, false, {0, 1}, {0}}};
  EXPECT_THROW(draw(plot), InputError);
  plot = small_plot();
  plot.x.low = 2;
  EXPECT_THROW(draw(plot), InputError);
}

}  // namespace
}  // namespace amalgam::report
