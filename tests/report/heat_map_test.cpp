#include "amalgam/report/heat_map.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "amalgam/core/error.hpp"

namespace amalgam::report {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

HeatMap small_map() {
  HeatMap map;
  map.title = "shares";
  map.rows = {"first <one>", "second"};
  map.columns = {"x", "y"};
  map.values = {kNone, 0.75, 0.25, 1.0};
  map.colours = HeatMap::Colours::diverging;
  map.low = 0;
  map.high = 1;
  return map;
}

TEST(HeatMap, ColoursEachCellByItsPlaceOnTheScale) {
  HeatMap map = small_map();
  map.values = {0.0, 0.5, 0.25, 1.0};
  const std::string svg = draw(map);
  EXPECT_THAT(svg, HasSubstr("fill=\"#c2571a\"><title>first &lt;one&gt;, x: 0.000"));
  EXPECT_THAT(svg, HasSubstr("fill=\"#f1f5fa\"><title>first &lt;one&gt;, y: 0.500"));
  EXPECT_THAT(svg, HasSubstr("fill=\"#0b5cad\"><title>second, y: 1.000"));
  // Half way from pale to orange: (0xf1 + 0xc2) / 2 = 217.5, (0xf5 + 0x57) / 2 = 166, 138.
  EXPECT_THAT(svg, HasSubstr("fill=\"#daa68a\"><title>second, x: 0.250"));
}

TEST(HeatMap, LeavesOutWhatIsNotANumberAndMarksDarkCells) {
  const std::string svg = draw(small_map());
  EXPECT_THAT(svg, Not(HasSubstr("<title>first &lt;one&gt;, x:")));
  EXPECT_THAT(svg, HasSubstr("class=\"oncell dark\" text-anchor=\"middle\">1.00<"));
  EXPECT_THAT(svg, HasSubstr("class=\"oncell\" text-anchor=\"middle\">0.25<"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(HeatMap, WritesNoValuesWhereThereIsNoRoom) {
  HeatMap map = small_map();
  map.columns.assign(40, "a name that is much longer than any heat map has room for, and longer");
  map.values.assign(80, 0.5);
  const std::string svg = draw(map);
  EXPECT_THAT(svg, Not(HasSubstr("class=\"oncell\"")));
  EXPECT_THAT(svg, HasSubstr("…"));
}

TEST(HeatMap, RefusesNamesAndValuesThatDoNotFit) {
  EXPECT_THROW(draw(HeatMap{}), InputError);
  HeatMap map = small_map();
  map.values.pop_back();
  EXPECT_THROW(draw(map), InputError);
}

}  // namespace
}  // namespace amalgam::report
