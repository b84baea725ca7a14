#include "amalgam/labels/bags/bag_files.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::labels {
namespace {

double number_in(const TableRows& table, std::size_t column) {
  const std::string_view cell = table.cell(column);
  const std::string& name = table.names()[column];
  if (is_missing_cell(cell)) {
    throw InputError(
        "{}: no value in column '{}'; expected a number (--ignore leaves a column out)",
        table.place(column), printable(name));
  }
  const std::optional<double> value = cell_number(cell);
  if (!value || !std::isfinite(*value)) {
    throw InputError("{}: '{}' in column '{}' is no finite number (--ignore leaves a column out)",
                     table.place(column), printable(cell), printable(name));
  }
  return *value;
}

std::uint32_t name_in(const TableRows& table, std::size_t column, StringPool& names) {
  const std::string_view cell = table.cell(column);
  if (cell.empty()) {
    throw InputError("{}: no value in column '{}'; expected a name", table.place(column),
                     printable(table.names()[column]));
  }
  if (!is_utf8(cell)) {
    throw InputError("{}: '{}' is not UTF-8", table.place(column), printable(cell));
  }
  return names.add(cell);
}

// Numbers names in their canonical order.
void put_in_order(StringPool& names, std::vector<std::uint32_t>& of_row) {
  const std::vector<std::uint32_t> order = names.canonical_order();
  std::vector<std::uint32_t> place(order.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) place[order[i]] = i;
  for (std::uint32_t& name : of_row) name = place[name];
  names = names.reordered(order);
}

std::optional<std::size_t> column_of(const TableRows& table, const std::string& name) {
  if (name.empty()) return std::nullopt;
  return table.column(name);
}

std::vector<std::size_t> feature_columns(const TableRows& table, const BagRowsFormat& format) {
  std::vector<std::size_t> columns;
  if (!format.reads_features) return columns;
  std::vector<std::size_t> others;
  for (const auto& name : format.ignore) others.push_back(table.column(name));
  for (const auto& name : {format.bag, format.response, format.class_column}) {
    if (!name.empty()) others.push_back(table.column(name));
  }
  const auto is_other = [&](std::size_t column) {
    return std::find(others.begin(), others.end(), column) != others.end();
  };
  if (format.features.empty()) {
    for (std::size_t column = 0; column < table.names().size(); ++column) {
      if (!is_other(column)) columns.push_back(column);
    }
  }
  for (const auto& name : format.features) {
    columns.push_back(table.column(name));
    if (is_other(columns.back())) {
      throw InputError("{}: column '{}' cannot be a feature and something else", table.where(),
                       printable(name));
    }
  }
  if (columns.empty() || columns.size() > kMostBagFeatures) {
    throw InputError("{}: {} columns of features; expected 1 to {}", table.where(), columns.size(),
                     kMostBagFeatures);
  }
  return columns;
}

}  // namespace

BagRows read_bag_rows(const std::filesystem::path& path, const BagRowsFormat& format) {
  TableRows table(path);
  const std::optional<std::size_t> bag = column_of(table, format.bag);
  const std::optional<std::size_t> response = column_of(table, format.response);
  const std::optional<std::size_t> class_column = column_of(table, format.class_column);
  const std::vector<std::size_t> features = feature_columns(table, format);
  BagRows rows;
  for (const std::size_t column : features) rows.feature_names.push_back(table.names()[column]);
  while (table.next()) {
    for (const std::size_t column : features) rows.x.push_back(number_in(table, column));
    if (bag) rows.bag_of_row.push_back(name_in(table, *bag, rows.bag_names));
    if (response) rows.responses.push_back(number_in(table, *response));
    if (class_column) {
      rows.class_of_row.push_back(name_in(table, *class_column, rows.class_names));
    }
    ++rows.rows;
  }
  if (rows.rows == 0) throw InputError("{}: no rows after the header", table.where());
  put_in_order(rows.bag_names, rows.bag_of_row);
  put_in_order(rows.class_names, rows.class_of_row);
  return rows;
}

std::vector<double> read_bag_values(const std::filesystem::path& path, const std::string& bag,
                                    const std::vector<std::string>& columns, const StringPool& bags,
                                    const std::string& rows) {
  TableRows table(path);
  const std::size_t bag_column = table.column(bag);
  std::vector<std::size_t> numbers;
  for (const auto& name : columns) numbers.push_back(table.column(name));
  std::vector<double> values(bags.size() * columns.size());
  std::vector<bool> seen(bags.size());
  while (table.next()) {
    const std::string_view name = table.cell(bag_column);
    const std::uint32_t number = bags.find(name);
    if (number == StringPool::npos) {
      throw InputError("{}: no row of {} is in bag '{}'", table.place(bag_column), rows,
                       printable(name));
    }
    if (seen[number]) {
      throw InputError("{}: bag '{}' is there twice", table.place(bag_column), printable(name));
    }
    seen[number] = true;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      values[number * numbers.size() + i] = number_in(table, numbers[i]);
    }
  }
  const auto missing = std::find(seen.begin(), seen.end(), false);
  if (missing != seen.end()) {
    const auto number = static_cast<std::size_t>(missing - seen.begin());
    throw InputError("{}: no line for bag '{}', which rows of {} are in", table.where(),
                     printable(bags[number]), rows);
  }
  return values;
}

std::vector<double> class_shares(const BagRows& rows) {
  const std::size_t classes = rows.class_names.size();
  std::vector<double> shares(rows.bag_names.size() * classes);
  std::vector<double> sizes(rows.bag_names.size());
  for (std::size_t row = 0; row < rows.rows; ++row) {
    shares[rows.bag_of_row[row] * classes + rows.class_of_row[row]] += 1;
    sizes[rows.bag_of_row[row]] += 1;
  }
  for (std::size_t i = 0; i < shares.size(); ++i) shares[i] /= sizes[i / classes];
  return shares;
}

void check_shares(const std::vector<double>& shares, std::size_t classes, const StringPool& bags) {
  for (std::size_t bag = 0; bag < bags.size(); ++bag) {
    double sum = 0;
    double least = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      sum += shares[bag * classes + k];
      least = std::min(least, shares[bag * classes + k]);
    }
    if (least < 0 || std::abs(sum - 1) > 1e-6) {
      throw InputError(
          "the class shares of bag '{}' sum to {}, the smallest is {}; expected shares from 0 to 1"
          " that sum to 1",
          printable(bags[bag]), sum, least);
    }
  }
}

BagData to_bag_data(const BagRows& rows, std::vector<double> responses) {
  BagData data{.features = rows.feature_names.size(),
               .x = rows.x,
               .bags = rows.bags(),
               .responses = std::move(responses)};
  check_bag_data(data);
  return data;
}

void write_coefficients(const std::filesystem::path& path, std::span<const std::string> features,
                        const LinearBagModel& model) {
  CsvOutput lines(path);
  lines.field("term");
  lines.field("coefficient");
  lines.end();
  if (model.options.intercept) {
    lines.field("(intercept)");
    lines.field(model.intercept);
    lines.end();
  }
  for (std::size_t j = 0; j < features.size(); ++j) {
    lines.field(features[j]);
    lines.field(model.coefficients[j]);
    lines.end();
  }
  lines.commit();
}

void write_columns(const std::filesystem::path& path, std::span<const std::string> names,
                   std::span<const double> values) {
  CsvOutput lines(path);
  for (const auto& name : names) lines.field(name);
  lines.end();
  for (std::size_t i = 0; i < values.size(); ++i) {
    lines.field(values[i]);
    if ((i + 1) % names.size() == 0) lines.end();
  }
  lines.commit();
}

void write_bag_values(const std::filesystem::path& path, const std::string& bag,
                      const StringPool& names, std::span<const std::string> columns,
                      std::span<const double> values) {
  CsvOutput lines(path);
  lines.field(bag);
  for (const auto& column : columns) lines.field(column);
  lines.end();
  for (std::size_t i = 0; i < names.size(); ++i) {
    lines.field(names[i]);
    for (std::size_t k = 0; k < columns.size(); ++k) lines.field(values[i * columns.size() + k]);
    lines.end();
  }
  lines.commit();
}

void write_with_bags(const std::filesystem::path& from, const std::filesystem::path& to,
                     const std::string& bag, std::span<const std::uint32_t> bag_of_row,
                     const std::vector<std::string>& drop) {
  TableRows table(from);
  std::vector<bool> kept(table.names().size(), true);
  for (const auto& name : drop) kept[table.column(name)] = false;
  const auto same = std::find(table.names().begin(), table.names().end(), bag);
  if (same != table.names().end() && kept[static_cast<std::size_t>(same - table.names().begin())]) {
    throw InputError("{}: there is a column '{}' already; name the bags otherwise, or drop it",
                     table.where(), printable(bag));
  }
  CsvOutput lines(to);
  for (std::size_t column = 0; column < kept.size(); ++column) {
    if (kept[column]) lines.field(table.names()[column]);
  }
  lines.field(bag);
  lines.end();
  while (table.next()) {
    if (table.row() >= bag_of_row.size()) break;
    for (std::size_t column = 0; column < kept.size(); ++column) {
      if (kept[column]) lines.field(table.cell(column));
    }
    lines.field(static_cast<double>(bag_of_row[table.row()]));
    lines.end();
  }
  lines.commit();
}

std::vector<std::uint32_t> read_groups(const std::filesystem::path& path,
                                       const std::string& column) {
  TableRows table(path);
  const std::optional<std::size_t> at = column_of(table, column);
  StringPool names;
  std::vector<std::uint32_t> groups;
  while (table.next()) groups.push_back(at ? names.add(table.cell(*at)) : 0);
  if (groups.empty()) throw InputError("{}: no rows after the header", table.where());
  return groups;
}

}  // namespace amalgam::labels
