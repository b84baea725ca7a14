#include "amalgam/data/table_cells.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {

std::string_view trimmed_cell(std::string_view cell) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!cell.empty() && is_space(cell.front())) cell.remove_prefix(1);
  while (!cell.empty() && is_space(cell.back())) cell.remove_suffix(1);
  return cell;
}

bool is_missing_cell(std::string_view cell) {
  constexpr std::array<std::string_view, 8> kMissing{"",    "NA",   "N/A",  "NaN",
                                                     "nan", "NULL", "null", "?"};
  return std::find(kMissing.begin(), kMissing.end(), cell) != kMissing.end();
}

std::optional<double> cell_number(std::string_view cell) {
  if (cell.size() > 1 && cell.front() == '+' && cell[1] != '-') cell.remove_prefix(1);
  double value = 0;
  const char* const end = cell.data() + cell.size();
  const auto [rest, error] = std::from_chars(cell.data(), end, value);
  if (rest != end || error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    // Too small is as good as zero; too large is not a number to compute with.
    const bool tiny =
        cell.find("e-") != std::string_view::npos || cell.find("E-") != std::string_view::npos;
    return tiny ? 0.0 : std::numeric_limits<double>::infinity();
  }
  return value;
}

TableRows::TableRows(const std::filesystem::path& path)
    : reader_(CsvReader::open(path)), names_(read_csv_header(reader_)) {
  for (std::string& name : names_) name = trimmed_cell(name);
}

std::size_t TableRows::column(const std::string& name) const {
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end()) {
    throw InputError("{}: no column '{}'{}; its columns are {}", where(), printable(name),
                     did_you_mean(name, names_), printable(join(names_, ", "), 300));
  }
  return static_cast<std::size_t>(found - names_.begin());
}

bool TableRows::next() {
  if (started_) ++row_;
  started_ = true;
  if (!reader_.next()) return false;
  const std::size_t cells = reader_.fields().size();
  if (cells != names_.size()) {
    throw InputError("{}:{}: {} cells, but the header has {} columns", where(), reader_.line(),
                     cells, names_.size());
  }
  return true;
}

}  // namespace amalgam
