#include "cli/study_decisions_table.hpp"

#include <fmt/format.h>

#include <cmath>

#include "amalgam/data/csv_output.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

void add_figure(CsvOutput& out, double value) {
  if (std::isfinite(value)) {
    out.field(value);
  } else {
    out.field("");
  }
}

void add_row(CsvOutput& out, const std::string& what, const scores::NamedTest& test) {
  if (!test.test.defined()) return;
  out.field(what).field(test.name);
  add_figure(out, test.test.statistic);
  add_figure(out, test.test.degrees > 0 ? test.test.degrees : NAN);
  add_figure(out, test.test.p);
  out.field(test.test.exact ? "true" : "false");
  add_figure(out, test.rough ? NAN : test.adjusted_p);
  out.end();
}

}  // namespace

std::string compared_text(const scores::DecisionComparison& comparison) {
  return comparison.groups.size() == 2 ? comparison.groups[0] + " and " + comparison.groups[1]
                                       : fmt::format("all {} groups", comparison.groups.size());
}

void write_decision_tests(const std::string& path, const scores::DecisionReport& report) {
  CsvOutput out(path);
  for (const char* title :
       {"of", "test", "statistic", "degrees_of_freedom", "p", "exact", "adjusted_p"}) {
    out.field(title);
  }
  out.end();
  for (const scores::DecisionFindings& group : report.groups) {
    for (const scores::NamedTest& test : group.tests) add_row(out, group.name, test);
  }
  for (const scores::DecisionComparison& comparison : report.comparisons) {
    for (const scores::NamedTest& test : comparison.tests) {
      add_row(out, compared_text(comparison), test);
    }
  }
  for (const scores::TemperatureFinding& found : report.temperatures) {
    add_row(out, found.setting, found.offset);
    add_row(out, found.setting, found.misfit);
  }
  out.commit();
}

std::string comparison_table(const scores::DecisionReport& report, double level) {
  constexpr std::size_t kMostShown = 12;
  using Align = Table::Align;
  Table table({{"compared"},
               {"test"},
               {"statistic", Align::right},
               {"p", Align::right},
               {"adjusted p", Align::right}});
  std::size_t tests = 0;
  for (const scores::DecisionComparison& comparison : report.comparisons) {
    tests += comparison.tests.size();
  }
  if (tests == 0) return {};
  std::size_t left_out = 0;
  for (const scores::DecisionComparison& comparison : report.comparisons) {
    const std::string what = compared_text(comparison);
    for (const scores::NamedTest& test : comparison.tests) {
      if (tests > kMostShown && !test.rejects(level)) {
        ++left_out;
        continue;
      }
      table.add_row(
          {what, test.name,
           std::isfinite(test.test.statistic) ? fmt::format("{:.3f}", test.test.statistic) : "-",
           fmt::format("{:.3g}", test.test.p), fmt::format("{:.3g}", test.adjusted_p)});
    }
  }
  std::string text = "\n" + table.text();
  if (left_out > 0) text += fmt::format("and {} comparisons that do not reject\n", left_out);
  return text;
}

}  // namespace amalgam::cli
