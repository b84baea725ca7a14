#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/string_pool.hpp"
#include "amalgam/scores/studies/table_properties.hpp"

namespace amalgam::scores {
namespace {

// Every query is compared with every cell: more would take hours.
constexpr std::size_t kMostEntityCells = 20000;

struct EntityCells {
  std::vector<std::uint32_t> tables;    // [cells]
  std::vector<std::uint32_t> places;    // [cells], row * columns + column
  std::vector<std::uint32_t> entities;  // [cells]
};

// The cells of text columns in the rows that both embedders see, at most kMostEntityCells.
EntityCells entity_cells(std::span<const RelationalTable> tables,
                         const std::vector<std::size_t>& rows, std::uint64_t seed) {
  EntityCells found;
  StringPool pool;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    for (std::size_t c = 0; c < tables[t].columns(); ++c) {
      if (!is_text_column(tables[t], c)) continue;
      for (std::size_t r = 0; r < rows[t]; ++r) {
        if (tables[t].cell(r, c).empty()) continue;
        found.tables.push_back(static_cast<std::uint32_t>(t));
        found.places.push_back(static_cast<std::uint32_t>(r * tables[t].columns() + c));
        found.entities.push_back(pool.add(tables[t].cell(r, c)));
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

TableProperty entity_property(const TableEmbedder& first, const TableEmbedder& second,
                              std::span<const RelationalTable> tables,
                              const TableStudyOptions& options) {
  check_study_options(options);
  TableProperty property{.id = "P6", .title = "entity stability"};
  std::vector<std::size_t> rows;
  for (const RelationalTable& table : tables) {
    rows.push_back(std::min(fitting_rows(first, table), fitting_rows(second, table)));
  }
  const EntityCells cells = entity_cells(tables, rows, options.seed);
  const std::size_t choices = cells.tables.size() - (cells.tables.empty() ? 0 : 1);
  std::vector<std::size_t> sizes;
  for (const std::size_t k : options.neighbours) {
    if (k <= choices) {
      sizes.push_back(k);
    } else {
      property.notes.push_back(
          fmt::format("{} neighbours: there are {} other cells of text", k, choices));
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
    TableMeasure overlap{fmt::format("common neighbours, k = {}", k),
                         std::vector<std::vector<double>>(tables.size())};
    TableMeasure dice{fmt::format("common entities, k = {}", k),
                      std::vector<std::vector<double>>(tables.size())};
    const std::vector<double> overlaps = neighbour_overlap(of_first, of_second, k);
    const std::vector<double> entities = entity_overlap(of_first, of_second, cells.entities, k);
    for (std::size_t q = 0; q < queries.size(); ++q) {
      overlap.values[cells.tables[queries[q]]].push_back(overlaps[q]);
      dice.values[cells.tables[queries[q]]].push_back(entities[q]);
    }
    property.measures.push_back(std::move(overlap));
    property.measures.push_back(std::move(dice));
  }
  property.figures["cells"] = static_cast<double>(cells.tables.size());
  property.figures["queries"] = static_cast<double>(queries.size());
  return property;
}

}  // namespace amalgam::scores
