#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace amalgam {

/// Numbers in rows of equal length.
struct RowMatrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<double> values;  ///< [rows, columns]

  RowMatrix() = default;
  RowMatrix(std::size_t row_count, std::size_t column_count)
      : rows(row_count), columns(column_count), values(row_count * column_count) {}
  std::span<double> row(std::size_t i) { return {values.data() + i * columns, columns}; }
  std::span<const double> row(std::size_t i) const {
    return {values.data() + i * columns, columns};
  }
  double at(std::size_t i, std::size_t column) const { return values[i * columns + column]; }
};

/// InputError beginning with `what` and naming row and column of a value that is not finite, and
/// for no rows or no columns.
void check_finite(const RowMatrix& matrix, const std::string& what);

}  // namespace amalgam
