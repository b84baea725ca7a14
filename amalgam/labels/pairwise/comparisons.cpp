#include "amalgam/labels/pairwise/comparisons.hpp"

#include <algorithm>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::labels {
namespace {

// Renumbers canonically; returns the new number of each old one.
std::vector<std::uint32_t> renumber(StringPool& names) {
  const std::vector<std::uint32_t> order = names.canonical_order();
  std::vector<std::uint32_t> ranks(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) ranks[order[i]] = static_cast<std::uint32_t>(i);
  names = names.reordered(order);
  return ranks;
}

std::string_view named_cell(const TableRows& rows, std::size_t column, std::string_view what) {
  const std::string_view cell = rows.cell(column);
  if (cell.empty()) throw InputError("{}: the {} is empty", rows.place(column), what);
  if (!is_utf8(cell)) {
    throw InputError("{}: the {} '{}' is not UTF-8", rows.place(column), what, printable(cell));
  }
  return cell;
}

}  // namespace

void ComparisonBuilder::add(std::string_view worker, std::string_view left, std::string_view right,
                            bool left_won) {
  table_.rows.push_back({table_.worker_names.add(worker), table_.item_names.add(left),
                         table_.item_names.add(right), left_won});
}

void ComparisonBuilder::add(const ComparisonTable& table) {
  std::vector<std::uint32_t> workers(table.worker_names.size());
  for (std::size_t w = 0; w < workers.size(); ++w) {
    workers[w] = table_.worker_names.add(table.worker_names[w]);
  }
  std::vector<std::uint32_t> items(table.item_names.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i] = table_.item_names.add(table.item_names[i]);
  }
  for (const Comparison& row : table.rows) {
    table_.rows.push_back({workers[row.worker], items[row.left], items[row.right], row.left_won});
  }
}

ComparisonTable ComparisonBuilder::finish() {
  const std::vector<std::uint32_t> workers = renumber(table_.worker_names);
  const std::vector<std::uint32_t> items = renumber(table_.item_names);
  for (Comparison& row : table_.rows) {
    row = {workers[row.worker], items[row.left], items[row.right], row.left_won};
  }
  std::ranges::sort(table_.rows);
  return std::exchange(table_, {});
}

ComparisonTable read_comparisons(const std::filesystem::path& path,
                                 const ComparisonFormat& format) {
  TableRows rows(path);
  const std::size_t worker_column = rows.column(format.worker);
  const std::size_t left_column = rows.column(format.left);
  const std::size_t right_column = rows.column(format.right);
  const std::size_t winner_column = rows.column(format.winner);
  ComparisonBuilder builder;
  bool any = false;
  while (rows.next()) {
    const std::string_view left = named_cell(rows, left_column, "left item");
    const std::string_view right = named_cell(rows, right_column, "right item");
    const std::string_view winner = named_cell(rows, winner_column, "winner");
    if (left == right) {
      throw InputError("{}: item '{}' is compared with itself", rows.place(left_column),
                       printable(left));
    }
    if (winner != left && winner != right) {
      throw InputError("{}: the winner is '{}'; expected '{}' or '{}'", rows.place(winner_column),
                       printable(winner), printable(left), printable(right));
    }
    builder.add(named_cell(rows, worker_column, "worker"), left, right, winner == left);
    any = true;
  }
  if (!any) throw InputError("{}: it has no comparison", rows.where());
  return builder.finish();
}

}  // namespace amalgam::labels
