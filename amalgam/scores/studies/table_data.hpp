#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace amalgam::scores {

/// A relation: named columns of texts. The order of rows and columns means nothing.
struct RelationalTable {
  std::string name;
  std::vector<std::string> header;  ///< [columns]; may be empty texts
  std::vector<std::string> cells;   ///< [rows, columns]; an empty text is null

  std::size_t columns() const { return header.size(); }
  std::size_t rows() const { return header.empty() ? 0 : cells.size() / header.size(); }
  const std::string& cell(std::size_t row, std::size_t column) const {
    return cells[row * header.size() + column];
  }
  std::vector<std::string> column(std::size_t index) const;
};

/// Limits of what is accepted as a table of a study.
inline constexpr std::size_t kMostStudyCells = 10'000'000;
inline constexpr std::size_t kMostStudyColumns = 1000;

/// InputError unless the table has a column and as many cells as rows times columns, within the
/// limits above.
void check_table(const RelationalTable& table);

/// A file of comma- or tab-separated values with a header; the table is named after the file.
/// Missing values ("", "NA", "?", ...) are null. At most `most_rows` leading rows are read (0:
/// all). InputError naming the place, as TableRows, for cells that are not UTF-8, and as
/// check_table.
RelationalTable read_relational_table(const std::filesystem::path& path, std::size_t most_rows = 0);

/// The table of these rows, in this order. Numbers may be repeated.
RelationalTable with_rows(const RelationalTable& table, std::span<const std::size_t> rows);
/// The table of these columns, in this order.
RelationalTable with_columns(const RelationalTable& table, std::span<const std::size_t> columns);
RelationalTable with_leading_rows(const RelationalTable& table, std::size_t rows);

/// Depends on the header and the cells, not on the name.
std::uint64_t content_hash(const RelationalTable& table);

/// Whether a column holds text: more than half of its cells that are not null are no numbers.
bool is_text_column(const RelationalTable& table, std::size_t column);

/// X -> Y: rows with equal X have equal Y.
struct Dependency {
  std::size_t determinant = 0;  ///< column X
  std::size_t dependent = 0;    ///< column Y

  friend auto operator<=>(const Dependency&, const Dependency&) = default;
};

/// All dependencies between two different columns that hold without exception, by counting: X -> Y
/// iff there are as many distinct X as distinct (X, Y). Rows in which X or Y is null are left out;
/// a pair with fewer than two rows is no dependency. Sorted.
std::vector<Dependency> unary_dependencies(const RelationalTable& table);

}  // namespace amalgam::scores
