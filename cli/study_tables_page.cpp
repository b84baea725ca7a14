#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "amalgam/data/csv_output.hpp"
#include "amalgam/report/heat_map.hpp"
#include "amalgam/report/page.hpp"
#include "amalgam/report/plots.hpp"
#include "cli/output.hpp"
#include "cli/study_tables.hpp"

namespace amalgam::cli {
namespace {

using scores::MeasureSummary;
using scores::TableProperty;

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.4g}", value) : "–";
}

// What each property is about, in a sentence.
const char* explanation(const std::string& id) {
  if (id == "P1") {
    return "Do vectors stay when rows are put in another order? Cosine 1 and variation 0 say yes;"
           " the variation sees only what changes along the mean.";
  }
  if (id == "P2") return "Do vectors stay when columns are put in another order?";
  if (id == "P3") {
    return "Do columns of different tables lie the nearer the more values they share? Correlations"
           " over pairs of columns of cosine and overlap.";
  }
  if (id == "P4") {
    return "Is a functional dependency the same step everywhere? A ratio of spreads that is not"
           " clearly below 1 says that the vectors do not show it.";
  }
  if (id == "P5") return "Is the vector of a column that of a sample of its rows?";
  if (id == "P6") return "Do two embedders agree which cells are near each other?";
  if (id == "P7") return "Do vectors stay when columns get other names that mean the same?";
  return "What do other columns change in a column's vector, and do columns of one type stay"
         " together? Purity 1 says that clusters hold one type each.";
}

void add_measures(report::Page& page, const TablesCommand& command, const TableProperty& property) {
  std::vector<std::vector<std::string>> rows;
  report::DotPlot plot{.title = fmt::format("{} {}", property.id, property.title),
                       .panels = {{.title = "mean over tables", .reference = {}}},
                       .groups = {{}},
                       .reference_note = "",
                       .decimals = 3};
  for (const scores::TableMeasure& measure : property.measures) {
    const MeasureSummary one = scores::summarise(measure, command.resamples, command.common.seed);
    if (one.values == 0) continue;
    const Interval interval = one.interval.value_or(Interval{one.mean, one.mean});
    plot.groups[0].rows.push_back(
        {.label = measure.name, .tone = report::Tone::strong, .values = {{one.mean, interval}}});
    rows.push_back({measure.name, fmt::to_string(one.tables), number(one.mean),
                    number(interval.low), number(interval.high), number(one.quartiles[0]),
                    number(one.quartiles[1]), number(one.quartiles[2]), number(one.least),
                    number(one.greatest)});
  }
  if (rows.empty()) return;
  page.figure(draw(plot), "Means over tables of their means, with 95 % intervals over tables.");
  page.table({"measure", "tables", "mean", "from", "to", "first quartile", "median",
              "third quartile", "least", "greatest"},
             rows);
}

void add_figures(report::Page& page, const TableProperty& property) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : property.figures) {
    const auto found = property.intervals.find(name);
    const bool has = found != property.intervals.end();
    rows.push_back({name, number(value), has ? number(found->second.low) : "",
                    has ? number(found->second.high) : ""});
  }
  if (!rows.empty()) page.table({"figure", "value", "from", "to"}, rows);
}

// Every two embedders, for the first k; 1 on the diagonal.
void add_pairs(report::Page& page, const TableProperty& property) {
  if (property.pairs.empty()) return;
  std::vector<std::string> names;
  const auto place_of = [&](const std::string& name) {
    const auto found = std::ranges::find(names, name);
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    names.push_back(name);
    return names.size() - 1;
  };
  const std::size_t k = property.pairs.front().neighbours;
  for (const scores::EmbedderPair& one : property.pairs) {
    place_of(one.first);
    place_of(one.second);
  }
  report::HeatMap map{.title = fmt::format("Common neighbours of every two embedders, k = {}", k),
                      .rows = names,
                      .columns = names,
                      .values = std::vector<double>(names.size() * names.size(), 1.0),
                      .low = 0,
                      .high = 1,
                      .legend = "mean share of common neighbours"};
  for (const scores::EmbedderPair& one : property.pairs) {
    if (one.neighbours != k) continue;
    const std::size_t a = place_of(one.first);
    const std::size_t b = place_of(one.second);
    map.values[a * names.size() + b] = map.values[b * names.size() + a] = one.overlap;
  }
  page.figure(draw(map), "1: both have the same cells near each cell.");
}

void add_number(CsvOutput& out, double value) {
  if (std::isfinite(value)) {
    out.field(value);
  } else {
    out.field("");
  }
}

void add_measure(CsvOutput& out, const TablesCommand& command,
                 const scores::TableProperty& property, const scores::TableMeasure& measure) {
  const scores::MeasureSummary one =
      scores::summarise(measure, command.resamples, command.common.seed);
  if (one.values == 0) return;
  out.field(property.id).field(measure.name).field(static_cast<double>(one.tables));
  out.field(one.mean);
  add_number(out, one.interval ? one.interval->low : NAN);
  add_number(out, one.interval ? one.interval->high : NAN);
  out.field(one.pooled_mean).field(one.least);
  for (const double quartile : one.quartiles) out.field(quartile);
  out.field(one.greatest).end();
}

std::string number_text(double value) {
  return std::isfinite(value) ? fmt::format("{:.4g}", value) : "-";
}

std::string interval_text(const std::optional<Interval>& interval) {
  return interval ? fmt::format("{:.4g} to {:.4g}", interval->low, interval->high) : "";
}

}  // namespace

std::string property_text(const TableProperty& property, const TablesCommand& command) {
  using Align = Table::Align;
  std::string text = fmt::format("{} {}\n", property.id, property.title);
  Table measures({{"measure"},
                  {"tables", Align::right},
                  {"mean", Align::right},
                  {"95 %", Align::right},
                  {"median", Align::right},
                  {"least", Align::right},
                  {"greatest", Align::right}});
  std::size_t shown = 0;
  for (const scores::TableMeasure& measure : property.measures) {
    const MeasureSummary one = scores::summarise(measure, command.resamples, command.common.seed);
    if (one.values == 0) continue;
    ++shown;
    measures.add_row({measure.name, fmt::to_string(one.tables), number_text(one.mean),
                      interval_text(one.interval), number_text(one.quartiles[1]),
                      number_text(one.least), number_text(one.greatest)});
  }
  if (shown > 0) text += measures.text();
  Table figures({{"figure"}, {"value", Align::right}, {"95 %", Align::right}});
  for (const auto& [name, value] : property.figures) {
    const auto found = property.intervals.find(name);
    figures.add_row({name, number_text(value),
                     found == property.intervals.end() ? "" : interval_text(found->second)});
  }
  if (!property.figures.empty()) text += figures.text();
  if (!property.pairs.empty()) {
    Table pairs({{"embedders"}, {"k", Align::right}, {"common neighbours", Align::right}});
    for (const scores::EmbedderPair& one : property.pairs) {
      pairs.add_row({fmt::format("{} and {}", one.first, one.second),
                     fmt::to_string(one.neighbours), number_text(one.overlap)});
    }
    text += pairs.text();
  }
  constexpr std::size_t kMostNotes = 5;
  for (std::size_t i = 0; i < std::min(kMostNotes, property.notes.size()); ++i) {
    text += fmt::format("not applicable: {}\n", printable(property.notes[i]));
  }
  if (property.notes.size() > kMostNotes) {
    text += fmt::format("and {} more (--json)\n", property.notes.size() - kMostNotes);
  }
  return text + "\n";
}

std::string tables_page(const TablesCommand& command, const std::string& encoder,
                        const std::vector<TableProperty>& properties) {
  report::Page page("Embeddings of tables");
  page.paragraph(fmt::format("{} tables, embedded by {}; {} orders and samples, seed {}.",
                             command.tables.size(), encoder, command.permutations,
                             command.common.seed));
  for (const TableProperty& property : properties) {
    page.heading(fmt::format("{} {}", property.id, property.title));
    page.paragraph(explanation(property.id));
    add_measures(page, command, property);
    add_figures(page, property);
    add_pairs(page, property);
    for (const std::string& note : property.notes) {
      page.paragraph(fmt::format("Not applicable: {}.", note));
    }
  }
  return page.html();
}

void write_tables_figures(const std::string& path, const TablesCommand& command,
                          const std::vector<scores::TableProperty>& properties) {
  CsvOutput out(path);
  for (const char* title : {"property", "figure", "tables", "mean", "low", "high", "pooled_mean",
                            "least", "first_quartile", "median", "third_quartile", "greatest"}) {
    out.field(title);
  }
  out.end();
  for (const scores::TableProperty& property : properties) {
    for (const scores::TableMeasure& measure : property.measures) {
      add_measure(out, command, property, measure);
    }
    for (const auto& [name, value] : property.figures) {
      const auto interval = property.intervals.find(name);
      const bool has = interval != property.intervals.end();
      out.field(property.id).field(name).field("");
      add_number(out, value);
      add_number(out, has ? interval->second.low : NAN);
      add_number(out, has ? interval->second.high : NAN);
      for (int i = 0; i < 6; ++i) out.field("");
      out.end();
    }
  }
  out.commit();
}

}  // namespace amalgam::cli
