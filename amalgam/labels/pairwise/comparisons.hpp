#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "amalgam/core/string_pool.hpp"

namespace amalgam::labels {

/// A worker preferred one of two items.
struct Comparison {
  std::uint32_t worker = 0;
  std::uint32_t left = 0;
  std::uint32_t right = 0;
  bool left_won = false;

  friend auto operator<=>(const Comparison&, const Comparison&) = default;
};

/// Who preferred what. Items and workers are numbered in their canonical order and rows are sorted:
/// equal comparisons are equal tables, whatever the order of the file.
struct ComparisonTable {
  std::vector<Comparison> rows;
  StringPool item_names;
  StringPool worker_names;

  std::uint32_t winner(std::size_t row) const {
    return rows[row].left_won ? rows[row].left : rows[row].right;
  }
  std::uint32_t loser(std::size_t row) const {
    return rows[row].left_won ? rows[row].right : rows[row].left;
  }
};

/// Names of columns.
struct ComparisonFormat {
  std::string worker = "worker";
  std::string left = "left";
  std::string right = "right";
  std::string winner = "label";  ///< holds the name of the left or of the right item
};

/// Reads comma- or tab-separated values with a header. InputError naming file, line and column: no
/// such column, an empty or non-UTF-8 name, an item compared with itself, a winner that is neither
/// of the two, or no row.
ComparisonTable read_comparisons(const std::filesystem::path& path,
                                 const ComparisonFormat& format = {});

/// Takes comparisons by name in any order.
class ComparisonBuilder {
 public:
  void add(std::string_view worker, std::string_view left, std::string_view right, bool left_won);
  /// Adds all of a table.
  void add(const ComparisonTable& table);
  ComparisonTable finish();

 private:
  ComparisonTable table_;
};

}  // namespace amalgam::labels
