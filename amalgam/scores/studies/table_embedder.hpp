#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/language/text_embedder.hpp"
#include "amalgam/scores/studies/table_data.hpp"

namespace amalgam::scores {

using language::Embeddings;

/// What of a table is to be embedded.
struct TableLevels {
  bool columns = false;
  bool rows = false;
  bool table = false;
  bool cells = false;
};

/// Vectors of the parts of one table; those that were not asked for have no rows. A part without
/// any content may have the zero vector: it is left out of what is measured, and counted.
struct TableEmbedding {
  Embeddings columns;  ///< [columns]
  Embeddings rows;     ///< [rows]
  Embeddings table;    ///< [1]
  Embeddings cells;    ///< [rows * columns], row by row
};

/// Anything that makes vectors of tables. Safe to share between threads.
class TableEmbedder {
 public:
  virtual ~TableEmbedder() = default;
  virtual const std::string& name() const = 0;
  virtual std::size_t dimension() const = 0;
  /// What of a table it makes vectors of.
  virtual TableLevels levels() const {
    return {.columns = true, .rows = true, .table = true, .cells = true};
  }
  /// The longest serialised table that the embedder takes, in its own tokens; 0: any.
  virtual std::size_t most_tokens() const { return 0; }
  /// The tokens of a serialised table.
  virtual std::size_t tokens(const RelationalTable& table) const = 0;
  /// One embedding per table.
  virtual std::vector<TableEmbedding> embed(std::span<const RelationalTable> tables,
                                            const TableLevels& levels) const = 0;
};

/// embed(), checked. InputError naming the embedder for another number of vectors than parts,
/// another width, or a value that is not finite.
std::vector<TableEmbedding> embed_tables(const TableEmbedder& embedder,
                                         std::span<const RelationalTable> tables,
                                         const TableLevels& levels);

/// The largest number of leading rows of a table that the embedder takes (binary search); 0 if not
/// even one fits.
std::size_t fitting_rows(const TableEmbedder& embedder, const RelationalTable& table);

/// The leading rows that fit; what every variant of a table starts from, so that all see the same
/// rows.
RelationalTable truncated(const TableEmbedder& embedder, const RelationalTable& table);

/// A table as one sequence, column by column: for each column "[CLS]", the words of its name, the
/// words of its cells from top to bottom; at the end "[SEP]". Words are parted by spaces, ASCII
/// letters in lower case.
struct SerialisedTable {
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  std::vector<std::string> tokens;
  std::vector<std::uint32_t> columns;  ///< [tokens], none for "[SEP]"
  std::vector<std::uint32_t> rows;     ///< [tokens], none for a column's "[CLS]" and name

  bool is_class(std::size_t i) const { return tokens[i] == kClass; }
  static constexpr std::string_view kClass = "[CLS]";
  static constexpr std::string_view kSeparator = "[SEP]";
};
SerialisedTable serialise(const RelationalTable& table);

}  // namespace amalgam::scores
