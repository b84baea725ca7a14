#include "amalgam/scores/studies/table_encoders.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "amalgam/core/error.hpp"

namespace amalgam::scores {
namespace {

// Means of vectors, in double and rounded once.
class Means {
 public:
  Means(bool wanted, std::size_t count, std::size_t dimension)
      : dimension_(dimension), sums_(wanted ? count * dimension : 0), counts_(wanted ? count : 0) {}

  void add(std::size_t index, std::span<const float> vector, double weight) {
    if (counts_.empty()) return;
    counts_[index] += 1;
    double* const sum = sums_.data() + index * dimension_;
    for (std::size_t i = 0; i < dimension_; ++i) sum[i] += weight * vector[i];
  }

  Embeddings finish() const {
    if (counts_.empty()) return {};
    Embeddings means(counts_.size(), dimension_);
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      const double count = counts_[i / dimension_];
      means.values[i] = count > 0 ? static_cast<float>(sums_[i] / count) : 0.0F;
    }
    return means;
  }

 private:
  std::size_t dimension_;
  std::vector<double> sums_;
  std::vector<double> counts_;
};

}  // namespace

HashedTableEmbedder::HashedTableEmbedder(const HashedTableOptions& options)
    : options_(options), name_(options.positional ? "positional" : "bag") {
  if (options.dimension == 0 || options.dimension > 65536) {
    throw InputError("{} table embedder: dimension {}; expected 1 to 65536", name_,
                     options.dimension);
  }
}

std::size_t HashedTableEmbedder::tokens(const RelationalTable& table) const {
  return serialise(table).tokens.size();
}

std::vector<TableEmbedding> HashedTableEmbedder::embed(std::span<const RelationalTable> tables,
                                                       const TableLevels& levels) const {
  std::vector<TableEmbedding> embeddings;
  embeddings.reserve(tables.size());
  for (const RelationalTable& table : tables) embeddings.push_back(embed_one(table, levels));
  return embeddings;
}

TableEmbedding HashedTableEmbedder::embed_one(const RelationalTable& table,
                                              const TableLevels& levels) const {
  const SerialisedTable serialised = serialise(table);
  Means columns(levels.columns, table.columns(), options_.dimension);
  Means rows(levels.rows, table.rows(), options_.dimension);
  Means whole(levels.table, 1, options_.dimension);
  Means cells(levels.cells, table.cells.size(), options_.dimension);
  std::vector<float> vector(options_.dimension);
  for (std::size_t i = 0; i < serialised.tokens.size(); ++i) {
    const std::uint32_t column = serialised.columns[i];
    if (column == SerialisedTable::none || serialised.is_class(i)) continue;
    language::hashed_unit_vector(serialised.tokens[i], options_.seed, vector);
    const double weight = options_.positional ? 1.0 / (1.0 + static_cast<double>(i)) : 1.0;
    columns.add(column, vector, weight);
    whole.add(0, vector, weight);
    const std::uint32_t row = serialised.rows[i];
    if (row == SerialisedTable::none) continue;
    rows.add(row, vector, weight);
    cells.add(row * table.columns() + column, vector, weight);
  }
  return {.columns = columns.finish(),
          .rows = rows.finish(),
          .table = whole.finish(),
          .cells = cells.finish()};
}

std::size_t TextTableEmbedder::tokens(const RelationalTable& table) const {
  return serialise(table).tokens.size();
}

std::vector<TableEmbedding> TextTableEmbedder::embed(std::span<const RelationalTable> tables,
                                                     const TableLevels& levels) const {
  std::vector<TableEmbedding> embeddings;
  for (const RelationalTable& table : tables) {
    std::vector<std::string> columns(levels.columns || levels.table ? table.columns() : 0);
    std::vector<std::string> rows(levels.rows ? table.rows() : 0);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      columns[c] = table.header[c];
      for (std::size_t r = 0; r < table.rows(); ++r) columns[c] += ' ' + table.cell(r, c);
    }
    for (std::size_t r = 0; r < rows.size(); ++r) {
      for (std::size_t c = 0; c < table.columns(); ++c) rows[r] += table.cell(r, c) + ' ';
    }
    TableEmbedding one;
    if (levels.columns) one.columns = language::embed_texts(*embedder_, columns);
    if (levels.rows) one.rows = language::embed_texts(*embedder_, rows);
    if (levels.table) {
      const std::string whole = fmt::format("{}", fmt::join(columns, " "));
      one.table = language::embed_texts(*embedder_, {&whole, 1});
    }
    if (levels.cells) one.cells = language::embed_texts(*embedder_, table.cells);
    embeddings.push_back(std::move(one));
  }
  return embeddings;
}

}  // namespace amalgam::scores
