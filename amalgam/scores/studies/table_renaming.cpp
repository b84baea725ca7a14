#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/scores/studies/table_properties.hpp"

namespace amalgam::scores {
namespace {

// A column of a table and what it is to be called.
struct Change {
  std::size_t column = 0;
  const Renaming* renaming = nullptr;
};

std::vector<Change> changes_of(const RelationalTable& table, std::span<const Renaming> renamings) {
  std::vector<Change> changes;
  for (std::size_t c = 0; c < table.columns(); ++c) {
    const std::string name = lower_case(table.header[c]);
    for (const Renaming& one : renamings) {
      if (one.from == name) changes.push_back({c, &one});
    }
  }
  return changes;
}

}  // namespace

std::vector<Renaming> common_renamings() {
  constexpr std::array<std::array<const char*, 3>, 40> kCommon{{
      {"synonym", "age", "years old"},      {"synonym", "city", "town"},
      {"synonym", "class", "category"},     {"synonym", "color", "hue"},
      {"synonym", "company", "firm"},       {"synonym", "country", "nation"},
      {"synonym", "cut", "shape quality"},  {"synonym", "depth", "deepness"},
      {"synonym", "height", "tallness"},    {"synonym", "id", "identifier"},
      {"synonym", "job", "occupation"},     {"synonym", "location", "place"},
      {"synonym", "name", "title"},         {"synonym", "phone", "telephone"},
      {"synonym", "price", "cost"},         {"synonym", "revenue", "income"},
      {"synonym", "salary", "wage"},        {"synonym", "sex", "gender"},
      {"synonym", "weight", "mass"},        {"synonym", "width", "breadth"},
      {"equivalence", "age", "birth year"}, {"equivalence", "price", "price in cents"},
      {"abbreviation", "account", "acct"},  {"abbreviation", "address", "addr"},
      {"abbreviation", "average", "avg"},   {"abbreviation", "clarity", "clty"},
      {"abbreviation", "color", "col"},     {"abbreviation", "country", "ctry"},
      {"abbreviation", "date", "dt"},       {"abbreviation", "department", "dept"},
      {"abbreviation", "depth", "dpt"},     {"abbreviation", "description", "descr"},
      {"abbreviation", "height", "ht"},     {"abbreviation", "name", "nm"},
      {"abbreviation", "number", "no"},     {"abbreviation", "population", "pop"},
      {"abbreviation", "price", "prc"},     {"abbreviation", "quantity", "qty"},
      {"abbreviation", "table", "tbl"},     {"abbreviation", "weight", "wt"},
  }};
  std::vector<Renaming> renamings;
  for (const auto& [kind, from, to] : kCommon) renamings.push_back({kind, from, to});
  return renamings;
}

std::vector<Renaming> read_renamings(const std::filesystem::path& path) {
  TableRows rows(path);
  const std::array columns{rows.column("kind"), rows.column("from"), rows.column("to")};
  std::vector<Renaming> renamings;
  while (rows.next()) {
    for (const std::size_t column : columns) {
      if (rows.cell(column).empty()) {
        throw InputError("{}: no text; expected a kind and two names", rows.place(column));
      }
    }
    renamings.push_back({std::string(rows.cell(columns[0])), lower_case(rows.cell(columns[1])),
                         std::string(rows.cell(columns[2]))});
  }
  if (renamings.empty()) throw InputError("{}: no renamings", rows.where());
  return renamings;
}

TableProperty renaming_property(const TableEmbedder& embedder,
                                std::span<const RelationalTable> tables,
                                std::span<const Renaming> renamings,
                                const TableStudyOptions& options) {
  check_study_options(options);
  TableProperty property{.id = "P7", .title = "perturbation robustness"};
  std::set<std::string> kinds;
  for (const Renaming& one : renamings) kinds.insert(one.kind);
  std::map<std::string, std::array<TableMeasure, 2>> measures;  // renamed columns, and the others
  for (const std::string& kind : kinds) {
    const std::vector<std::vector<double>> empty(tables.size());
    measures[kind] = {TableMeasure{fmt::format("cosine, renamed columns ({})", kind), empty},
                      TableMeasure{fmt::format("cosine, other columns ({})", kind), empty}};
  }
  std::size_t without = 0;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const std::vector<Change> changes = changes_of(tables[t], renamings);
    without += changes.empty() ? 1 : 0;
    for (const Change& change : changes) {
      check_interrupt();
      RelationalTable renamed = tables[t];
      renamed.header[change.column] = change.renaming->to;
      const std::size_t rows =
          std::min(fitting_rows(embedder, tables[t]), fitting_rows(embedder, renamed));
      if (rows == 0) continue;
      const std::array both{with_leading_rows(tables[t], rows), with_leading_rows(renamed, rows)};
      const auto embedded = embed_tables(embedder, both, {.columns = true});
      for (std::size_t c = 0; c < tables[t].columns(); ++c) {
        measures[change.renaming->kind][c == change.column ? 0 : 1].values[t].push_back(
            cosine(embedded[0].columns.row(c), embedded[1].columns.row(c)));
      }
    }
  }
  for (auto& [kind, both] : measures) {
    for (TableMeasure& one : both) property.measures.push_back(std::move(one));
  }
  if (without > 0) {
    property.notes.push_back(fmt::format(
        "{} of {} tables have no column that is in the list of renamings", without, tables.size()));
  }
  return property;
}

}  // namespace amalgam::scores
