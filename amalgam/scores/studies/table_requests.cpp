#include "amalgam/scores/studies/table_requests.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "amalgam/core/error.hpp"
#include "amalgam/data/text_output.hpp"

namespace amalgam::scores {
namespace {

Embeddings equal_vectors(bool wanted, std::size_t count) {
  Embeddings vectors(wanted ? count : 0, 1);
  std::ranges::fill(vectors.values, 1.0F);
  return vectors;
}

// `count` vectors from `begin`.
Embeddings some_vectors(const Embeddings& all, bool wanted, std::size_t begin, std::size_t count) {
  if (!wanted) return {};
  Embeddings some(count, all.dimension);
  const auto first = all.values.begin() + static_cast<std::ptrdiff_t>(begin * all.dimension);
  std::copy_n(first, count * all.dimension, some.values.begin());
  return some;
}

bool covers(const TableLevels& has, const TableLevels& wanted) {
  return (has.columns || !wanted.columns) && (has.rows || !wanted.rows) &&
         (has.table || !wanted.table) && (has.cells || !wanted.cells);
}

bool same_content(const RelationalTable& a, const RelationalTable& b) {
  return a.header == b.header && a.cells == b.cells;
}

}  // namespace

std::vector<TableEmbedding> TableRecorder::embed(std::span<const RelationalTable> tables,
                                                 const TableLevels& levels) const {
  std::vector<TableEmbedding> embeddings;
  for (const RelationalTable& table : tables) {
    const auto [place, is_new] = places_.try_emplace(content_hash(table), requests_.size());
    if (is_new) {
      requests_.push_back({table, {}});
    } else if (!same_content(requests_[place->second].table, table)) {
      throw Error("two different tables '{}' have the same hash", table.name);
    }
    TableLevels& wanted = requests_[place->second].levels;
    wanted.columns = wanted.columns || levels.columns;
    wanted.rows = wanted.rows || levels.rows;
    wanted.table = wanted.table || levels.table;
    wanted.cells = wanted.cells || levels.cells;
    embeddings.push_back({.columns = equal_vectors(levels.columns, table.columns()),
                          .rows = equal_vectors(levels.rows, table.rows()),
                          .table = equal_vectors(levels.table, 1),
                          .cells = equal_vectors(levels.cells, table.cells.size())});
  }
  return embeddings;
}

void write_table_requests(const std::filesystem::path& path,
                          const std::vector<TableRequest>& requests) {
  TextOutput output(path);
  for (const TableRequest& request : requests) {
    nlohmann::ordered_json levels = nlohmann::ordered_json::array();
    if (request.levels.columns) levels.push_back("columns");
    if (request.levels.rows) levels.push_back("rows");
    if (request.levels.table) levels.push_back("table");
    if (request.levels.cells) levels.push_back("cells");
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    const RelationalTable& table = request.table;
    for (std::size_t r = 0; r < table.rows(); ++r) {
      nlohmann::ordered_json row = nlohmann::ordered_json::array();
      for (std::size_t c = 0; c < table.columns(); ++c) row.push_back(table.cell(r, c));
      rows.push_back(std::move(row));
    }
    const nlohmann::ordered_json line = {{"table", table.name},
                                         {"levels", std::move(levels)},
                                         {"header", table.header},
                                         {"rows", std::move(rows)}};
    output.write(line.dump() + '\n');
  }
  output.commit();
}

GivenTableEmbedder::GivenTableEmbedder(std::vector<TableRequest> requests, GivenVectors vectors,
                                       std::string name)
    : requests_(std::move(requests)), vectors_(std::move(vectors)), name_(std::move(name)) {
  Place next;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    const TableRequest& request = requests_[i];
    next.request = i;
    places_.emplace(content_hash(request.table), next);
    if (request.levels.columns) next.columns += request.table.columns();
    if (request.levels.rows) next.rows += request.table.rows();
    if (request.levels.table) next.table += 1;
    if (request.levels.cells) next.cells += request.table.cells.size();
  }
  const auto check = [&](const Embeddings& found, std::size_t wanted, const char* what) {
    if (found.rows == 0) return;
    if (found.rows != wanted) {
      throw InputError("{}: {} vectors of {}; the tables to be embedded have {}", name_, found.rows,
                       what, wanted);
    }
    if (dimension_ != 0 && found.dimension != dimension_) {
      throw InputError("{}: vectors of {} numbers and of {}; expected one size", name_, dimension_,
                       found.dimension);
    }
    dimension_ = found.dimension;
  };
  check(vectors_.columns, next.columns, "columns");
  check(vectors_.rows, next.rows, "rows");
  check(vectors_.tables, next.table, "tables");
  check(vectors_.cells, next.cells, "cells");
  if (dimension_ == 0) throw InputError("{}: no vectors", name_);
}

TableLevels GivenTableEmbedder::levels() const {
  return {.columns = vectors_.columns.rows > 0,
          .rows = vectors_.rows.rows > 0,
          .table = vectors_.tables.rows > 0,
          .cells = vectors_.cells.rows > 0};
}

std::vector<TableEmbedding> GivenTableEmbedder::embed(std::span<const RelationalTable> tables,
                                                      const TableLevels& wanted) const {
  std::vector<TableEmbedding> embeddings;
  for (const RelationalTable& table : tables) {
    const auto found = places_.find(content_hash(table));
    if (found == places_.end() || !same_content(requests_[found->second.request].table, table) ||
        !covers(requests_[found->second.request].levels, wanted) || !covers(levels(), wanted)) {
      throw InputError(
          "{}: no vectors of a variant of table '{}'; were they made with other options?", name_,
          table.name);
    }
    const Place& place = found->second;
    embeddings.push_back(
        {.columns = some_vectors(vectors_.columns, wanted.columns, place.columns, table.columns()),
         .rows = some_vectors(vectors_.rows, wanted.rows, place.rows, table.rows()),
         .table = some_vectors(vectors_.tables, wanted.table, place.table, 1),
         .cells = some_vectors(vectors_.cells, wanted.cells, place.cells, table.cells.size())});
  }
  return embeddings;
}

}  // namespace amalgam::scores
