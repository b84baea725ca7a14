#include "amalgam/experiments/report.hpp"

#include <fmt/format.h>

#include <boost/math/distributions/students_t.hpp>

#include "amalgam/report/page.hpp"
#include "amalgam/report/plots.hpp"

namespace amalgam::experiments {
namespace {

std::vector<double> values_of(const Result& result, const std::string& name) {
  std::vector<double> values;
  values.reserve(result.figures.size());
  for (const Figures& figures : result.figures) values.push_back(figures.at(name));
  return values;
}

bool is_share(const Row& row) { return row.mean >= 0 && row.mean <= 1; }

report::DotPlot plot_of(const Result& result) {
  report::DotPlot plot{.title = result.experiment->title,
                       .panels = {{.title = result.experiment->unit + ", %", .reference = {}}},
                       .groups = {{.title = "", .rows = {}}},
                       .reference_note = ""};
  for (const Row& row : summarise(result)) {
    if (!is_share(row)) continue;
    plot.groups.front().rows.push_back(
        {.label = row.name,
         .tone = report::Tone::strong,
         .values = {{100 * row.mean, {100 * row.low, 100 * row.high}}}});
  }
  return plot;
}

}  // namespace

std::vector<Row> summarise(const Result& result) {
  std::vector<Row> rows;
  for (const std::string& name : result.experiment->rows) {
    // An interval of a figure is that of a claim about it.
    const std::vector<Claim> alone{{.text = name, .difference = figure(name)}};
    const JudgedClaim judged = judge(alone, result.figures).front();
    rows.push_back({name, judged.measured, judged.interval.low, judged.interval.high});
  }
  return rows;
}

nlohmann::ordered_json as_json(const Result& result) {
  nlohmann::ordered_json json{
      {"slug", result.experiment->slug},           {"paper", result.experiment->paper},
      {"verdict", verdict_text(result.verdict)},   {"seeds", result.seeds.size()},
      {"seeds_holding", result.seeds_holding},     {"seconds", result.seconds},
      {"claims", nlohmann::ordered_json::array()}, {"table", nlohmann::ordered_json::array()}};
  for (const JudgedClaim& one : result.claims) {
    json["claims"].push_back({{"text", one.claim->text},
                              {"measured", one.measured},
                              {"low", one.interval.low},
                              {"high", one.interval.high},
                              {"margin", one.claim->margin},
                              {"p", one.adjusted_p},
                              {"primary", one.claim->primary},
                              {"seeds_holding", one.seeds_holding},
                              {"holds", one.holds}});
  }
  for (const Row& row : summarise(result)) {
    json["table"].push_back({{"name", row.name},
                             {"mean", row.mean},
                             {"low", row.low},
                             {"high", row.high},
                             {"values", values_of(result, row.name)}});
  }
  return json;
}

std::string html_page(const Result& result) {
  const Experiment& experiment = *result.experiment;
  report::Page page(experiment.title);
  page.paragraph(experiment.paper);
  page.paragraph("What the paper claims: " + experiment.question);
  page.paragraph("Setting here: " + experiment.setting);
  page.paragraph(fmt::format("Verdict: {}. {} of {} seeds hold by themselves; {:.0f} seconds.",
                             verdict_text(result.verdict), result.seeds_holding,
                             result.seeds.size(), result.seconds));
  // Nothing is drawn of an experiment none of whose figures is a share.
  if (const report::DotPlot plot = plot_of(result); !plot.groups.front().rows.empty()) {
    page.figure(report::draw(plot), "Means over the seeds with 95 % intervals (Student's t).");
  }
  page.heading("Claims");
  std::vector<std::vector<std::string>> claims;
  std::vector<std::size_t> strong;
  for (const JudgedClaim& one : result.claims) {
    if (one.holds) strong.push_back(claims.size());
    claims.push_back({one.claim->text + (one.claim->primary ? "" : " (secondary)"),
                      fmt::format("{:+.4f}", one.measured),
                      fmt::format("{:+.4f} to {:+.4f}", one.interval.low, one.interval.high),
                      fmt::format("{:.4f}", one.adjusted_p),
                      fmt::format("{} of {}", one.seeds_holding, result.seeds.size()),
                      one.holds ? "yes" : "no"});
  }
  page.table({"claim", "measured", "95 % interval", "p", "seeds", "holds"}, claims, strong);
  page.paragraph(
      "Differences are paired by seed; p is of a one-sided t-test against the margin (of two for"
      " equivalence), by Holm's correction over the primary claims; level 0.05.");
  page.heading("Figures");
  std::vector<std::vector<std::string>> rows;
  for (const Row& row : summarise(result)) {
    rows.push_back({row.name, fmt::format("{:.4f}", row.mean),
                    fmt::format("{:.4f} to {:.4f}", row.low, row.high)});
  }
  page.table({experiment.unit, "mean", "95 % interval"}, rows);
  if (!experiment.not_reproduced.empty()) {
    page.heading("What did not reproduce");
    page.paragraph(experiment.not_reproduced);
  }
  if (!experiment.sabotage.empty()) {
    page.heading("Would a wrong method fail?");
    page.paragraph(experiment.sabotage);
  }
  page.heading("How to run it again");
  page.code(fmt::format("amalgam reproduce {} --seeds {}{}", experiment.slug, result.seeds.size(),
                        result.verdict == Verdict::quick ? " --quick" : ""));
  return page.html();
}

}  // namespace amalgam::experiments
