#include "amalgam/core/row_matrix.hpp"

#include <cmath>

#include "amalgam/core/error.hpp"

namespace amalgam {

void check_finite(const RowMatrix& matrix, const std::string& what) {
  if (matrix.rows == 0 || matrix.columns == 0) {
    throw InputError("{}: {} rows and {} columns of numbers; expected some of both", what,
                     matrix.rows, matrix.columns);
  }
  for (std::size_t i = 0; i < matrix.values.size(); ++i) {
    if (!std::isfinite(matrix.values[i])) {
      throw InputError("{}: row {}, column {} is {}; expected a finite number", what,
                       i / matrix.columns, i % matrix.columns, matrix.values[i]);
    }
  }
}

}  // namespace amalgam
