#include "amalgam/scores/studies/table_embedder.hpp"

#include <cmath>

#include "amalgam/core/error.hpp"

namespace amalgam::scores {
namespace {

void check_part(const TableEmbedder& embedder, const RelationalTable& table,
                const Embeddings& found, const char* what, bool wanted, std::size_t count) {
  const std::size_t expected = wanted ? count : 0;
  if (!wanted && found.rows == 0) return;
  if (found.rows != expected || found.dimension != embedder.dimension() ||
      found.values.size() != found.rows * found.dimension) {
    throw InputError("{}: table '{}' has {} vectors of {} numbers for its {}; expected {} of {}",
                     embedder.name(), table.name, found.rows, found.dimension, what, expected,
                     embedder.dimension());
  }
  for (std::size_t i = 0; i < found.values.size(); ++i) {
    if (!std::isfinite(found.values[i])) {
      throw InputError("{}: table '{}': vector {} of its {} has a value that is not finite",
                       embedder.name(), table.name, i / found.dimension, what);
    }
  }
}

void append_words(SerialisedTable& serialised, std::string_view text, std::uint32_t column,
                  std::uint32_t row) {
  bool within = false;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!space && !within) {
      serialised.tokens.emplace_back();
      serialised.columns.push_back(column);
      serialised.rows.push_back(row);
    }
    if (!space) serialised.tokens.back() += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    within = !space;
  }
}

}  // namespace

std::vector<TableEmbedding> embed_tables(const TableEmbedder& embedder,
                                         std::span<const RelationalTable> tables,
                                         const TableLevels& levels) {
  std::vector<TableEmbedding> embeddings = embedder.embed(tables, levels);
  if (embeddings.size() != tables.size()) {
    throw InputError("{}: {} embeddings of {} tables", embedder.name(), embeddings.size(),
                     tables.size());
  }
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const RelationalTable& table = tables[t];
    const TableEmbedding& one = embeddings[t];
    check_part(embedder, table, one.columns, "columns", levels.columns, table.columns());
    check_part(embedder, table, one.rows, "rows", levels.rows, table.rows());
    check_part(embedder, table, one.table, "whole", levels.table, 1);
    check_part(embedder, table, one.cells, "cells", levels.cells, table.cells.size());
  }
  return embeddings;
}

std::size_t fitting_rows(const TableEmbedder& embedder, const RelationalTable& table) {
  const std::size_t most = embedder.most_tokens();
  if (most == 0 || embedder.tokens(table) <= most) return table.rows();
  std::size_t fit = 0;  // as many rows fit (or none does), and `too_many` do not
  std::size_t too_many = table.rows();
  while (fit + 1 < too_many) {
    const std::size_t middle = fit + (too_many - fit) / 2;
    (embedder.tokens(with_leading_rows(table, middle)) <= most ? fit : too_many) = middle;
  }
  return fit;
}

RelationalTable truncated(const TableEmbedder& embedder, const RelationalTable& table) {
  return with_leading_rows(table, fitting_rows(embedder, table));
}

SerialisedTable serialise(const RelationalTable& table) {
  SerialisedTable serialised;
  const auto append_special = [&](std::string_view token, std::uint32_t column) {
    serialised.tokens.emplace_back(token);
    serialised.columns.push_back(column);
    serialised.rows.push_back(SerialisedTable::none);
  };
  for (std::size_t c = 0; c < table.columns(); ++c) {
    const auto column = static_cast<std::uint32_t>(c);
    append_special(SerialisedTable::kClass, column);
    append_words(serialised, table.header[c], column, SerialisedTable::none);
    for (std::size_t r = 0; r < table.rows(); ++r) {
      append_words(serialised, table.cell(r, c), column, static_cast<std::uint32_t>(r));
    }
  }
  append_special(SerialisedTable::kSeparator, SerialisedTable::none);
  return serialised;
}

}  // namespace amalgam::scores
