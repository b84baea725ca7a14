#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/string_pool.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/scores/studies/table_properties.hpp"

namespace amalgam::scores {
namespace {

// Every query is compared with every cell: more would take hours.
constexpr std::size_t kMostEntityCells = 20000;
std::string name_of(std::size_t k) { return fmt::format("common neighbours, k = {}", k); }

struct EntityCells {
  std::vector<std::uint32_t> tables;    // [cells]
  std::vector<std::uint32_t> places;    // [cells], row * columns + column
  std::vector<std::uint32_t> entities;  // [cells]
};

// The cells that name entities, in the rows that both embedders see, at most kMostEntityCells.
EntityCells entity_cells(std::span<const RelationalTable> tables,
                         const std::vector<std::size_t>& rows, const CellEntities& given,
                         std::uint64_t seed) {
  EntityCells found;
  StringPool pool;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    for (std::size_t c = 0; c < tables[t].columns(); ++c) {
      if (given.ids.empty() && !is_text_column(tables[t], c)) continue;
      for (std::size_t r = 0; r < rows[t]; ++r) {
        const std::size_t place = r * tables[t].columns() + c;
        const std::string& entity =
            given.ids.empty() ? tables[t].cells[place] : given.ids[t][place];
        if (entity.empty()) continue;
        found.tables.push_back(static_cast<std::uint32_t>(t));
        found.places.push_back(static_cast<std::uint32_t>(place));
        found.entities.push_back(pool.add(entity));
      }
    }
  }
  if (found.tables.size() <= kMostEntityCells) return found;
  EntityCells some;
  const auto drawn = distinct_subsets(found.tables.size(), kMostEntityCells, 1, seed);
  for (const std::size_t i : drawn.front()) {
    some.tables.push_back(found.tables[i]);
    some.places.push_back(found.places[i]);
    some.entities.push_back(found.entities[i]);
  }
  return some;
}

Embeddings vectors_of(const TableEmbedder& embedder, std::span<const RelationalTable> tables,
                      const std::vector<std::size_t>& rows, const EntityCells& cells) {
  Embeddings vectors(cells.tables.size(), embedder.dimension());
  std::size_t i = 0;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    check_interrupt();
    if (rows[t] == 0) continue;
    const RelationalTable table = with_leading_rows(tables[t], rows[t]);
    const auto embedded = embed_tables(embedder, {&table, 1}, {.cells = true});
    for (; i < cells.tables.size() && cells.tables[i] == t; ++i) {
      std::ranges::copy(embedded[0].cells.row(cells.places[i]), vectors.row(i).begin());
    }
  }
  return vectors;
}

}  // namespace

CellEntities read_cell_entities(const std::filesystem::path& path,
                                std::span<const RelationalTable> tables) {
  TableRows rows(path);
  const std::size_t table_column = rows.column("table");
  const std::size_t row_column = rows.column("row");
  const std::size_t name_column = rows.column("column");
  const std::size_t entity_column = rows.column("entity");
  CellEntities entities;
  std::vector<std::string> names;
  for (const RelationalTable& table : tables) {
    entities.ids.emplace_back(table.cells.size());
    names.push_back(table.name);
  }
  while (rows.next()) {
    const std::string name(rows.cell(table_column));
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) {
      throw InputError("{}: no table '{}'{}", rows.place(table_column), printable(name),
                       did_you_mean(name, names));
    }
    const auto t = static_cast<std::size_t>(found - names.begin());
    const std::vector<std::string>& header = tables[t].header;
    const std::string column(rows.cell(name_column));
    const auto place = std::ranges::find(header, column);
    if (place == header.end()) {
      throw InputError("{}: table '{}' has no column '{}'{}", rows.place(name_column),
                       printable(name), printable(column), did_you_mean(column, header));
    }
    std::int64_t row = 0;
    if (!is_whole_number(rows.cell(row_column), row) || row < 1) {
      throw InputError("{}: row '{}'; expected a whole number from 1 on", rows.place(row_column),
                       printable(rows.cell(row_column)));
    }
    if (rows.cell(entity_column).empty()) {
      throw InputError("{}: no entity; leave out rows without one", rows.place(entity_column));
    }
    if (static_cast<std::uint64_t>(row) > tables[t].rows()) continue;
    const auto at = (static_cast<std::size_t>(row) - 1) * header.size() +
                    static_cast<std::size_t>(place - header.begin());
    entities.ids[t][at] = rows.cell(entity_column);
  }
  return entities;
}

TableProperty entity_property(const TableEmbedder& first, const TableEmbedder& second,
                              std::span<const RelationalTable> tables,
                              const TableStudyOptions& options, const CellEntities& entities) {
  check_study_options(options);
  TableProperty property{.id = "P6", .title = "entity stability"};
  std::vector<std::size_t> rows;
  for (const RelationalTable& table : tables) {
    rows.push_back(std::min(fitting_rows(first, table), fitting_rows(second, table)));
  }
  const EntityCells cells = entity_cells(tables, rows, entities, options.seed);
  const std::size_t self = options.include_self || cells.tables.empty() ? 0 : 1;
  const std::size_t choices = cells.tables.size() - self;
  std::vector<std::size_t> sizes;
  for (const std::size_t k : options.neighbours) {
    if (k <= choices) {
      sizes.push_back(k);
    } else {
      property.notes.push_back(fmt::format("{} neighbours: there are {} {}cells {}", k, choices,
                                           self == 1 ? "other " : "",
                                           entities.ids.empty() ? "of text" : "with entities"));
    }
  }
  if (sizes.empty()) return property;
  std::vector<std::uint32_t> queries;
  const std::size_t asked = std::min(options.queries, cells.tables.size());
  const auto drawn = distinct_subsets(cells.tables.size(), asked, 1, options.seed);
  for (const std::size_t i : drawn.front()) {
    queries.push_back(static_cast<std::uint32_t>(i));
  }
  const std::size_t most = *std::ranges::max_element(sizes);
  const auto of_first =
      nearest_rows(vectors_of(first, tables, rows, cells), queries, most, options.include_self);
  const auto of_second =
      nearest_rows(vectors_of(second, tables, rows, cells), queries, most, options.include_self);
  for (const std::size_t k : sizes) {
    TableMeasure overlap{name_of(k), std::vector<std::vector<double>>(tables.size())};
    TableMeasure dice{fmt::format("common entities, k = {}", k),
                      std::vector<std::vector<double>>(tables.size())};
    const std::vector<double> overlaps = neighbour_overlap(of_first, of_second, k);
    const std::vector<double> common = entity_overlap(of_first, of_second, cells.entities, k);
    for (std::size_t q = 0; q < queries.size(); ++q) {
      overlap.values[cells.tables[queries[q]]].push_back(overlaps[q]);
      dice.values[cells.tables[queries[q]]].push_back(common[q]);
    }
    property.measures.push_back(std::move(overlap));
    property.measures.push_back(std::move(dice));
  }
  property.figures["cells"] = static_cast<double>(cells.tables.size());
  property.figures["queries"] = static_cast<double>(queries.size());
  return property;
}

std::vector<EmbedderPair> entity_pairs(std::span<const TableEmbedder* const> embedders,
                                       std::span<const RelationalTable> tables,
                                       const TableStudyOptions& options,
                                       const CellEntities& entities) {
  std::vector<EmbedderPair> pairs;
  for (std::size_t a = 0; a < embedders.size(); ++a) {
    for (std::size_t b = a + 1; b < embedders.size(); ++b) {
      const TableProperty found =
          entity_property(*embedders[a], *embedders[b], tables, options, entities);
      std::size_t next = 0;  // measures come in twos, for each k that is possible
      for (const std::size_t k : options.neighbours) {
        if (next >= found.measures.size()) break;
        if (found.measures[next].name != name_of(k)) continue;
        pairs.push_back({embedders[a]->name(), embedders[b]->name(), k,
                         summarise(found.measures[next], 0, options.seed).mean});
        next += 2;
      }
    }
  }
  return pairs;
}

}  // namespace amalgam::scores
