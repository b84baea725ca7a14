#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/k_means.hpp"
#include "amalgam/core/string_pool.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/scores/studies/table_properties.hpp"

namespace amalgam::scores {
namespace {

// Of k-means: with many clusters few starts find the best one, and purity should not be of another.
constexpr std::size_t kStarts = 100;
constexpr std::size_t kContexts = 4;
constexpr const char* kContextNames[kContexts]{"alone", "with subject", "with neighbours",
                                               "whole table"};

std::string type_of_name(const std::string& name) {
  std::string type = name;
  for (char& c : type) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return type;
}

// The columns that stand around column c, c included, in the order of the table.
std::vector<std::size_t> context_of(std::size_t context, std::size_t c, std::size_t subject,
                                    std::size_t columns) {
  std::set<std::size_t> around{c};
  if (context == 1) around.insert(subject);
  if (context == 2) {
    if (c > 0) around.insert(c - 1);
    if (c + 1 < columns) around.insert(c + 1);
  }
  for (std::size_t i = 0; context == 3 && i < columns; ++i) around.insert(i);
  return {around.begin(), around.end()};
}

std::size_t subject_column(const RelationalTable& table) {
  for (std::size_t c = 0; c < table.columns(); ++c) {
    if (is_text_column(table, c)) return c;
  }
  return 0;
}

// Column vectors of all tables in one context; a table without rows that fit has none.
struct InContext {
  std::vector<Embeddings> columns;  // [tables], [columns] or nothing
};

std::vector<InContext> embed_contexts(const TableEmbedder& embedder,
                                      std::span<const RelationalTable> tables,
                                      const TableStudyOptions& options) {
  std::vector<InContext> found(kContexts);
  for (InContext& one : found) one.columns.resize(tables.size());
  parallel_for(options.parallel, tables.size(), [&](std::size_t t, std::size_t) {
    check_interrupt();
    RelationalTable table = tables[t];
    if (options.blank_names) std::ranges::fill(table.header, std::string());
    table = truncated(embedder, table);  // every context sees the same rows
    if (table.rows() == 0) return;
    const std::size_t subject = subject_column(table);
    for (std::size_t k = 0; k < kContexts; ++k) {
      Embeddings& columns = found[k].columns[t];
      columns = Embeddings(table.columns(), embedder.dimension());
      std::vector<RelationalTable> parts;
      std::vector<std::size_t> places;
      for (std::size_t c = 0; c < table.columns(); ++c) {
        const std::vector<std::size_t> around = context_of(k, c, subject, table.columns());
        if (k == 3 && c > 0) continue;  // one table for all columns
        parts.push_back(with_columns(table, around));
        places.push_back(static_cast<std::size_t>(std::ranges::find(around, c) - around.begin()));
      }
      const auto embedded = embed_tables(embedder, parts, {.columns = true});
      for (std::size_t c = 0; c < table.columns(); ++c) {
        const auto vector =
            k == 3 ? embedded[0].columns.row(c) : embedded[c].columns.row(places[c]);
        std::ranges::copy(vector, columns.row(c).begin());
      }
    }
  });
  return found;
}

// Of columns whose type is known: unit vectors and type numbers.
struct TypedColumns {
  RowMatrix vectors;
  std::vector<std::uint32_t> types;
  std::size_t type_count = 0;
};

TypedColumns typed_columns(const InContext& context, const ColumnTypes& types) {
  TypedColumns typed;
  StringPool pool;
  for (std::size_t t = 0; t < context.columns.size(); ++t) {
    const Embeddings& columns = context.columns[t];
    for (std::size_t c = 0; c < columns.rows; ++c) {
      double squares = 0;
      for (const float v : columns.row(c)) squares += static_cast<double>(v) * v;
      if (types.types[t][c].empty() || squares <= 0) continue;
      for (const float v : columns.row(c)) {
        typed.vectors.values.push_back(static_cast<double>(v) / std::sqrt(squares));
      }
      typed.vectors.columns = columns.dimension;
      ++typed.vectors.rows;
      typed.types.push_back(pool.add(types.types[t][c]));
    }
  }
  typed.type_count = pool.size();
  return typed;
}

}  // namespace

ColumnTypes types_by_name(std::span<const RelationalTable> tables) {
  std::map<std::string, std::set<std::size_t>> holders;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    for (const std::string& name : tables[t].header) holders[type_of_name(name)].insert(t);
  }
  ColumnTypes types;
  for (const RelationalTable& table : tables) {
    types.types.emplace_back();
    for (const std::string& name : table.header) {
      const std::string type = type_of_name(name);
      types.types.back().push_back(holders[type].size() > 1 ? type : std::string());
    }
  }
  return types;
}

ColumnTypes read_column_types(const std::filesystem::path& path,
                              std::span<const RelationalTable> tables) {
  TableRows rows(path);
  const std::size_t table_column = rows.column("table");
  const std::size_t name_column = rows.column("column");
  const std::size_t type_column = rows.column("type");
  ColumnTypes types;
  std::vector<std::string> names;
  for (const RelationalTable& table : tables) {
    types.types.emplace_back(table.columns());
    names.push_back(table.name);
  }
  while (rows.next()) {
    const std::string table(rows.cell(table_column));
    const auto found = std::ranges::find(names, table);
    if (found == names.end()) {
      throw InputError("{}: no table '{}'{}", rows.place(table_column), printable(table),
                       did_you_mean(table, names));
    }
    const auto t = static_cast<std::size_t>(found - names.begin());
    const std::string name(rows.cell(name_column));
    const auto column = std::ranges::find(tables[t].header, name);
    if (column == tables[t].header.end()) {
      throw InputError("{}: table '{}' has no column '{}'{}", rows.place(name_column),
                       printable(table), printable(name), did_you_mean(name, tables[t].header));
    }
    types.types[t][static_cast<std::size_t>(column - tables[t].header.begin())] =
        rows.cell(type_column);
  }
  return types;
}

TableProperty context_property(const TableEmbedder& embedder,
                               std::span<const RelationalTable> tables, const ColumnTypes& types,
                               const TableStudyOptions& options) {
  check_study_options(options);
  TableProperty property{.id = "P8", .title = "heterogeneous context"};
  const std::vector<InContext> contexts = embed_contexts(embedder, tables, options);
  for (std::size_t k = 1; k < kContexts; ++k) {
    TableMeasure measure{fmt::format("cosine, {} to alone", kContextNames[k]),
                         std::vector<std::vector<double>>(tables.size())};
    for (std::size_t t = 0; t < tables.size(); ++t) {
      for (std::size_t c = 0; c < contexts[0].columns[t].rows; ++c) {
        measure.values[t].push_back(
            cosine(contexts[0].columns[t].row(c), contexts[k].columns[t].row(c)));
      }
    }
    property.measures.push_back(std::move(measure));
  }
  for (std::size_t k = 0; k < kContexts; ++k) {
    const TypedColumns typed = typed_columns(contexts[k], types);
    if (typed.type_count < 2) {
      property.notes.push_back(fmt::format("{}: {} type(s) of columns are known; clusters need two",
                                           kContextNames[k], typed.type_count));
      continue;
    }
    const KMeans clusters = k_means(typed.vectors, typed.type_count, options.seed, kStarts);
    property.figures[fmt::format("purity, {}", kContextNames[k])] =
        cluster_purity(clusters.clusters, typed.types);
    property.figures["types"] = static_cast<double>(typed.type_count);
    property.figures["columns of known type"] = static_cast<double>(typed.types.size());
  }
  return property;
}

}  // namespace amalgam::scores
