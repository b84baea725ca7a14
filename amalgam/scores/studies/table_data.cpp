#include "amalgam/scores/studies/table_data.hpp"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/string_pool.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::scores {
namespace {

constexpr std::uint64_t kNull = StringPool::npos;

// FNV-1a over the bytes and a length, so that ("a", "bc") and ("ab", "c") differ.
void hash_text(std::uint64_t& hash, const std::string& text) {
  const auto add = [&](unsigned char byte) {
    hash ^= byte;
    hash *= 0x100000001b3ULL;
  };
  for (const char c : text) add(static_cast<unsigned char>(c));
  for (std::size_t i = 0; i < 8; ++i) add(static_cast<unsigned char>(text.size() >> (8 * i)));
}

}  // namespace

std::vector<std::string> RelationalTable::column(std::size_t index) const {
  std::vector<std::string> values;
  values.reserve(rows());
  for (std::size_t r = 0; r < rows(); ++r) values.push_back(cell(r, index));
  return values;
}

void check_table(const RelationalTable& table) {
  if (table.header.empty()) throw InputError("table '{}' has no columns", table.name);
  if (table.cells.size() % table.header.size() != 0) {
    throw InputError("table '{}': {} cells in {} columns; expected full rows", table.name,
                     table.cells.size(), table.header.size());
  }
  if (table.header.size() > kMostStudyColumns || table.cells.size() > kMostStudyCells) {
    throw InputError("table '{}': {} rows of {} columns; at most {} columns and {} cells are read",
                     table.name, table.rows(), table.columns(), kMostStudyColumns, kMostStudyCells);
  }
}

RelationalTable read_relational_table(const std::filesystem::path& path, std::size_t most_rows) {
  TableRows rows(path);
  RelationalTable table{.name = path.stem().string(), .header = rows.names(), .cells = {}};
  check_table(table);
  for (std::size_t count = 0; (most_rows == 0 || count < most_rows) && rows.next(); ++count) {
    for (std::size_t c = 0; c < table.header.size(); ++c) {
      const std::string_view cell = rows.cell(c);
      if (!is_utf8(cell)) {
        throw InputError("{}: '{}' is not UTF-8", rows.place(c), printable(cell));
      }
      table.cells.emplace_back(is_missing_cell(cell) ? std::string_view{} : cell);
    }
    if (table.cells.size() > kMostStudyCells) check_table(table);
  }
  return table;
}

RelationalTable with_rows(const RelationalTable& table, std::span<const std::size_t> rows) {
  RelationalTable some{.name = table.name, .header = table.header, .cells = {}};
  some.cells.reserve(rows.size() * table.columns());
  for (const std::size_t row : rows) {
    const auto begin = table.cells.begin() + static_cast<std::ptrdiff_t>(row * table.columns());
    some.cells.insert(some.cells.end(), begin,
                      begin + static_cast<std::ptrdiff_t>(table.columns()));
  }
  return some;
}

RelationalTable with_columns(const RelationalTable& table, std::span<const std::size_t> columns) {
  RelationalTable some{.name = table.name, .header = {}, .cells = {}};
  for (const std::size_t column : columns) some.header.push_back(table.header[column]);
  some.cells.reserve(table.rows() * columns.size());
  for (std::size_t row = 0; row < table.rows(); ++row) {
    for (const std::size_t column : columns) some.cells.push_back(table.cell(row, column));
  }
  return some;
}

RelationalTable with_leading_rows(const RelationalTable& table, std::size_t rows) {
  std::vector<std::size_t> which(std::min(rows, table.rows()));
  std::iota(which.begin(), which.end(), 0);
  return with_rows(table, which);
}

std::uint64_t content_hash(const RelationalTable& table) {
  std::uint64_t hash = 0xcbf29ce484222325ULL ^ table.columns();
  for (const std::string& name : table.header) hash_text(hash, name);
  for (const std::string& cell : table.cells) hash_text(hash, cell);
  return hash;
}

bool is_text_column(const RelationalTable& table, std::size_t column) {
  std::size_t texts = 0;
  std::size_t numbers = 0;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string& cell = table.cell(row, column);
    if (cell.empty()) continue;
    (cell_number(cell) ? numbers : texts) += 1;
  }
  return texts > numbers;
}

std::vector<Dependency> unary_dependencies(const RelationalTable& table) {
  const std::size_t rows = table.rows();
  const std::size_t columns = table.columns();
  std::vector<std::vector<std::uint64_t>> values(columns);  // numbers of distinct values
  for (std::size_t c = 0; c < columns; ++c) {
    StringPool pool;
    for (std::size_t r = 0; r < rows; ++r) {
      values[c].push_back(table.cell(r, c).empty() ? kNull : pool.add(table.cell(r, c)));
    }
  }
  std::vector<Dependency> found;
  for (std::size_t x = 0; x < columns; ++x) {
    for (std::size_t y = 0; y < columns; ++y) {
      if (x == y) continue;
      std::unordered_set<std::uint64_t> of_x;
      std::unordered_set<std::uint64_t> of_both;
      std::size_t complete = 0;
      for (std::size_t r = 0; r < rows; ++r) {
        if (values[x][r] == kNull || values[y][r] == kNull) continue;
        ++complete;
        of_x.insert(values[x][r]);
        of_both.insert((values[x][r] << 32U) | values[y][r]);
      }
      if (complete >= 2 && of_x.size() == of_both.size()) found.push_back({x, y});
    }
  }
  return found;
}

}  // namespace amalgam::scores
