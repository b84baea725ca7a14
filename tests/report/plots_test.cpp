#include "amalgam/report/plots.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/report/page.hpp"
#include "amalgam/report/svg.hpp"

namespace amalgam::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(RoundTicks, AreRoundAndWithinTheRange) {
  EXPECT_THAT(round_ticks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  const std::vector<double> ticks = round_ticks(83.7, 85.2, 5);
  ASSERT_EQ(ticks.size(), 3U);
  EXPECT_NEAR(ticks[0], 84.0, 1e-9);
  EXPECT_NEAR(ticks[1], 84.5, 1e-9);
  EXPECT_NEAR(ticks[2], 85.0, 1e-9);
  EXPECT_TRUE(round_ticks(1, 1, 5).empty());
}

TEST(Escape, LeavesNothingThatMarkupWouldRead) {
  EXPECT_EQ(escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  EXPECT_EQ(escape("a\x01z"), "a z");
}

DotPlot small_plot() {
  DotPlot plot;
  plot.title = "A <title>";
  plot.panels = {{"left", 1.5}, {"right", {}}};
  plot.groups = {{"group",
                  {{"one", Tone::soft, {{1, {0.5, 1.5}}, {3, {2, 4}}}},
                   {"two", Tone::strong, {{2, {1.5, 2.5}}, {5, {4, 6}}}}}}};
  return plot;
}

TEST(DotPlot, DrawsOneDotAndOneBarPerValue) {
  const std::string svg = draw(small_plot());
  EXPECT_EQ(count_of(svg, "<circle"), 4U);
  EXPECT_EQ(count_of(svg, "class=\"bar"), 4U);
  EXPECT_EQ(count_of(svg, "class=\"reference\""), 1U);
  EXPECT_THAT(svg, HasSubstr("A &lt;title&gt;"));
  EXPECT_THAT(svg, Not(HasSubstr("A <title>")));
  EXPECT_THAT(svg, HasSubstr("one: 1.00 (0.50 to 1.50)"));
  EXPECT_EQ(count_of(svg, "<svg"), count_of(svg, "</svg>"));
}

TEST(DotPlot, RefusesRowsThatDoNotFitItsPanels) {
  DotPlot plot = small_plot();
  plot.groups[0].rows[1].values.pop_back();
  EXPECT_THROW(draw(plot), InputError);
  EXPECT_THROW(draw(DotPlot{}), InputError);
}

TEST(LinePlot, DrawsACurveAndABandPerSeries) {
  LinePlot plot;
  plot.title = "curve";
  plot.series = {{"a", Tone::strong, {0, 1, 2}, {{1, {0, 2}}, {2, {1, 3}}, {1, {0, 2}}}}};
  const std::string svg = draw(plot);
  EXPECT_EQ(count_of(svg, "<polyline"), 1U);
  EXPECT_EQ(count_of(svg, "<polygon"), 1U);
  EXPECT_EQ(count_of(svg, "<circle"), 3U);
  plot.series[0].x.pop_back();
  EXPECT_THROW(draw(plot), InputError);
}

TEST(Page, NeedsNothingFromElsewhere) {
  Page page("title");
  page.heading("heading");
  page.paragraph("a < b");
  page.table({"name", "value"}, {{"x", "1"}, {"y", "2"}}, {1});
  page.figure(draw(small_plot()), "caption");
  const std::string html = page.html();
  EXPECT_THAT(html, HasSubstr("a &lt; b"));
  EXPECT_EQ(count_of(html, "<tr class=\"strong\">"), 1U);
  for (const char* outside : {"<script", "<link", "src=", "url(", "@import"}) {
    EXPECT_THAT(html, Not(HasSubstr(outside)));
  }
}

}  // namespace
}  // namespace amalgam::report
