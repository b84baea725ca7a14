#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/data/csv.hpp"

namespace amalgam {

/// A cell without the spaces around it.
std::string_view trimmed_cell(std::string_view cell);

/// Whether a trimmed cell says that there is no value.
bool is_missing_cell(std::string_view cell);

/// The number that a trimmed cell is; nothing if it is none. Infinity for one beyond the range.
std::optional<double> cell_number(std::string_view cell);

/// The rows of a table with a header, each with as many cells as the header.
class TableRows {
 public:
  explicit TableRows(const std::filesystem::path& path);

  const std::vector<std::string>& names() const { return names_; }
  /// The number of the column of that name; InputError naming the nearest if there is none.
  std::size_t column(const std::string& name) const;

  /// Goes on to the next row; InputError naming the line if it has another number of cells.
  bool next();
  std::string_view cell(std::size_t column) const { return trimmed_cell(reader_.fields()[column]); }
  /// "file.csv:12:8", of a cell of the row.
  std::string place(std::size_t column) const { return reader_.place(column); }
  std::uint64_t row() const { return row_; }  ///< from 0
  const std::string& where() const { return reader_.where(); }

 private:
  CsvReader reader_;
  std::vector<std::string> names_;
  std::uint64_t row_ = 0;
  bool started_ = false;
};

}  // namespace amalgam
