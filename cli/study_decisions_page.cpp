#include "cli/study_decisions_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "amalgam/report/page.hpp"
#include "amalgam/report/plots.hpp"
#include "amalgam/report/scatter_plot.hpp"
#include "cli/study_decisions_table.hpp"

namespace amalgam::cli {
namespace {

using report::DotPlot;
using report::ScatterPlot;
using report::Tone;
using scores::DecisionFindings;
using scores::DecisionOptions;
using scores::DecisionReport;
using scores::NamedTest;

std::string number(double value, int decimals = 3) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, decimals) : "–";
}

std::string p_value(double p) {
  if (!std::isfinite(p)) return "–";
  return p >= 1e-4 ? fmt::format("{:.4f}", p) : fmt::format("{:.1e}", p);
}

void add_summary(report::Page& page, const DecisionReport& found) {
  std::vector<std::vector<std::string>> rows;
  for (const DecisionFindings& group : found.groups) {
    rows.push_back({group.name, std::string(verdict_name(group.uniform)),
                    std::string(verdict_name(group.memoryless)),
                    std::string(verdict_name(group.negative_recency)),
                    number(group.share.yes.share()), number(group.recency.switch_rate),
                    number(group.recency.independent_rate), fmt::format("{}", group.counts.valid()),
                    fmt::format("{}", group.counts.invalid())});
  }
  page.table({"group", "uniform", "memoryless", "negative recency", "yes", "switches",
              "if independent", "answers", "invalid"},
             rows);
  for (const DecisionFindings& group : found.groups) {
    for (const std::string& note : group.notes) page.paragraph(group.name + ": " + note + ".");
  }
  for (const std::string& warning : found.warnings) page.paragraph(warning + ".");
}

void add_shares(report::Page& page, const DecisionReport& found) {
  DotPlot plot{.title = "Share of yes, and autocorrelation of neighbouring answers",
               .panels = {{"share of yes", 0.5}, {"autocorrelation", 0.0}},
               .groups = {{"groups", {}}},
               .reference_note = "a fair, independent source",
               .decimals = 2};
  for (const DecisionFindings& group : found.groups) {
    if (group.counts.valid() == 0 || !std::isfinite(group.recency.lag1)) continue;
    const bool fair =
        group.uniform != scores::Verdict::no && group.memoryless != scores::Verdict::no;
    plot.groups[0].rows.push_back({group.name,
                                   fair ? Tone::strong : Tone::contrast,
                                   {{group.share.yes.share(), group.share.interval},
                                    {group.recency.lag1, group.recency.lag1_interval}}});
  }
  if (plot.groups[0].rows.empty()) return;
  page.figure(draw(plot),
              "95 % intervals. Below 0, answers alternate more than independent ones with the same "
              "share of yes would: negative recency, as in people. The second colour marks groups "
              "that are not uniform or not memoryless.");
}

// How much more often than by its own share of yes a group repeats itself after 1 to 5 equal
// answers, with 95 % intervals for independent ones.
ScatterPlot::Curve repeats_of(const DecisionFindings& group) {
  ScatterPlot::Curve curve{.label = group.name};
  const double yes = group.share.yes.share();
  const double chance[2] = {1 - yes, yes};
  for (std::size_t run = 0; run < group.recency.repeats[0].size(); ++run) {
    double more = 0;
    double variance = 0;
    double trials = 0;
    for (std::size_t symbol = 0; symbol < 2; ++symbol) {
      const scores::Proportion& one = group.recency.repeats[symbol][run];
      const auto n = static_cast<double>(one.trials);
      more += static_cast<double>(one.successes) - n * chance[symbol];
      variance += n * yes * (1 - yes);
      trials += n;
    }
    if (trials <= 0) continue;
    const double reach = kNormal95 * std::sqrt(variance) / trials;
    curve.x.push_back(static_cast<double>(run) + 1);
    curve.y.push_back(more / trials);
    curve.band.push_back({more / trials - reach, more / trials + reach});
  }
  return curve;
}

void add_repeats(report::Page& page, const DecisionReport& found) {
  constexpr std::array kTones{Tone::strong, Tone::contrast, Tone::plain, Tone::soft};
  ScatterPlot plot{.title = "Repeats after a run of equal answers",
                   .x = {.title = "equal answers in a row"},
                   .y = {.title = "repeats beyond those of independent answers"}};
  for (const DecisionFindings& group : found.groups) {
    ScatterPlot::Curve curve = repeats_of(group);
    if (curve.x.size() < 2) continue;
    curve.tone = kTones[plot.curves.size()];
    plot.curves.push_back(std::move(curve));
    if (plot.curves.size() == kTones.size()) break;
  }
  if (plot.curves.empty()) return;
  double reach = 0;
  for (const ScatterPlot::Curve& curve : plot.curves) {
    for (const Interval& band : curve.band) reach = std::max({reach, -band.low, band.high});
  }
  if (reach <= 0) return;  // all of them constant
  plot.y.low = -1.05 * reach;
  plot.y.high = 1.05 * reach;
  for (int run = 1; run <= 5; ++run) plot.x.ticks.push_back({1.0 * run, fmt::format("{}", run)});
  page.figure(
      draw(plot),
      "Independent answers lie at 0 whatever their share of yes; a source that avoids "
      "streaks falls below it, more so after longer ones. Bands are 95 % intervals; of many "
      "groups the first four.");
}

void add_patterns(report::Page& page, const DecisionReport& found) {
  constexpr std::size_t kMostGroups = 6;
  std::vector<std::string> titles{"answers in a row"};
  std::vector<std::vector<std::string>> rows;
  for (const DecisionFindings& group : found.groups) {
    const std::vector<scores::PatternCount> patterns = scores::pattern_table(group.counts);
    if (patterns.empty()) continue;
    if (titles.size() > kMostGroups) break;
    titles.push_back(group.name);
    rows.resize(patterns.size());
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      if (rows[i].empty()) rows[i].push_back(patterns[i].pattern);
      rows[i].push_back(fmt::format("{} ({:.1f})", patterns[i].count, patterns[i].expected));
    }
  }
  if (rows.empty()) return;
  page.heading("Patterns");
  page.paragraph(
      "How often every two and three answers stand in a row (1: yes, 0: no), and in brackets how "
      "often they would if answers were independent with the group's own share of yes; of many "
      "groups the first six.");
  page.table(titles, rows);
}

void add_temperatures(report::Page& page, const DecisionReport& found) {
  for (const scores::TemperatureFinding& finding : found.temperatures) {
    ScatterPlot plot{.title = "Response to temperature: " + finding.setting,
                     .x = {.title = "1 / temperature"},
                     .y = {.title = "logit of the share of yes"}};
    double farthest = 0;
    for (std::size_t i = 0; i < finding.points.size(); ++i) {
      const double x = 1 / finding.points[i].temperature;
      farthest = std::max(farthest, x);
      plot.points.push_back({.x = x,
                             .y = finding.fit.logits[i],
                             .tone = Tone::strong,
                             .label = fmt::format("T = {}", finding.points[i].temperature)});
    }
    plot.curves = {{.label = "fitted line",
                    .x = {0, farthest},
                    .y = {finding.fit.offset, finding.fit.offset + finding.fit.slope * farthest}},
                   {.label = "softmax: through 0",
                    .tone = Tone::contrast,
                    .dashed = true,
                    .x = {0, farthest},
                    .y = {0, finding.fit.softmax_slope * farthest}}};
    page.figure(draw(plot),
                fmt::format("Offset {} (adjusted p {} that it is 0); misfit of a plain "
                            "softmax: adjusted p {}.",
                            number(finding.fit.offset), p_value(finding.offset.adjusted_p),
                            p_value(finding.misfit.adjusted_p)));
  }
}

std::vector<std::string> row_of(const std::string& what, const NamedTest& test) {
  return {what + ": " + test.name, number(test.test.statistic),
          test.test.degrees > 0 ? fmt::format("{}", test.test.degrees) : "",
          p_value(test.test.p) + (test.test.exact ? " (exact)" : ""),
          test.rough ? "too few" : p_value(test.adjusted_p)};
}

void add_tests(report::Page& page, const DecisionReport& found, const DecisionOptions& options) {
  std::vector<std::vector<std::string>> rows;
  std::vector<std::size_t> strong;
  const auto add = [&](const std::string& what, const NamedTest& test) {
    if (test.rejects(options.level)) strong.push_back(rows.size());
    rows.push_back(row_of(what, test));
  };
  for (const DecisionFindings& group : found.groups) {
    for (const NamedTest& test : group.tests) add(group.name, test);
  }
  for (const scores::DecisionComparison& comparison : found.comparisons) {
    const std::string what = compared_text(comparison);
    for (const NamedTest& test : comparison.tests) add(what, test);
  }
  page.heading("All tests");
  page.paragraph(fmt::format(
      "Adjusted by Holm's method over the {} tests of this page; those in bold reject at {}.",
      found.tests, options.level));
  page.table({"test", "statistic", "degrees of freedom", "p", "adjusted p"}, rows, strong);
}

}  // namespace

std::string decisions_page(const DecisionReport& report, const DecisionOptions& options) {
  report::Page page("Decision bias");
  page.paragraph(fmt::format(
      "Uniform: the share of yes is 1/2 (yes: surely within {:.2f}). Memoryless: an answer does "
      "not "
      "depend on those before it. Negative recency: it avoids repeating them. Undecided: too few "
      "answers to tell.",
      options.margin));
  add_summary(page, report);
  add_shares(page, report);
  add_repeats(page, report);
  add_patterns(page, report);
  add_temperatures(page, report);
  add_tests(page, report, options);
  return page.html();
}

}  // namespace amalgam::cli
