#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/data/split.hpp"

namespace amalgam {

/// How one column of a table becomes numbers.
struct TableColumn {
  std::string name;
  /// One output each, 1 where the cell is that text (all 0 where it is another or missing), in
  /// increasing order; empty for a column of numbers.
  std::vector<std::string> categories;
  double fill = 0;             ///< numbers: what a missing one becomes
  bool flags_missing = false;  ///< numbers: one output more, 1 where the number is missing

  bool is_number() const { return categories.empty(); }
  std::size_t width() const {
    return is_number() ? 1 + (flags_missing ? 1 : 0) : categories.size();
  }
};

/// How numbers that are to be predicted are scaled: (number - mean) / deviation.
struct TargetScale {
  double mean = 0;
  double deviation = 1;
};

/// How the rows of a table become examples.
struct TableLayout {
  std::string label;                     ///< the column that holds the class; empty: none does
  std::vector<std::string> class_names;  ///< in the order of the class numbers
  /// The label is no class but a number to predict; class_names is then its one name.
  std::optional<TargetScale> target = {};
  std::vector<TableColumn> columns;

  std::size_t width() const;  ///< numbers per example
};

/// What a person says about a table.
struct TableOptions {
  std::string label;                     ///< empty: rows have no label, and there are no classes
  bool label_is_number = false;          ///< a number to predict, not a class
  std::vector<std::string> ignore;       ///< columns that are not looked at
  std::vector<std::string> categorical;  ///< columns of names, although they look like numbers
};

/// Rows of a table as examples.
struct TableData {
  std::string source;
  TableLayout layout;
  std::vector<float> values;         ///< [count, layout.width()]
  std::vector<std::int64_t> labels;  ///< [count], class numbers; 0 without a label
  std::vector<float> targets;        ///< [count], scaled, where the label is a number; else none

  std::size_t count() const { return labels.size(); }
};

/// Limits of what is accepted as a table to learn from.
inline constexpr std::size_t kMostTableClasses = 1000;
inline constexpr std::size_t kMostCategories = 1000;  ///< of one column
inline constexpr std::size_t kWidestTable = 4096;     ///< numbers per example

/// Looks at a file of comma-separated values (tabs, if its name ends in .tsv or .tab) with a header
/// (see CsvReader): spaces around cells do not count, and a cell is missing if it is empty, "NA",
/// "N/A", "NaN", "nan", "NULL", "null" or "?". Columns in which every cell that is not missing is a
/// number are numbers; the others are categorical. Categories, and the mean that a missing number
/// becomes, are those of the `train` split; if numbers are missing there, the column gets an output
/// that says so; columns without any value there are left out. Classes are all that the file has,
/// numbers in their order, else texts in that of their bytes. A label that is a number is scaled by
/// the mean and standard deviation (1 if that is 0) of the training split.
///
/// InputError naming the file and the place: no such column (with the nearest), a label that is
/// missing, a row with another number of cells than the header, a number that is not finite, text
/// that is not UTF-8, too few rows, or beyond the limits above.
TableLayout learn_table_layout(const std::filesystem::path& path, const TableOptions& options);

/// The examples of a split of a file, by a layout that may come from another file: columns are
/// found by name, others are not looked at. Cells that are in no category are counted in one
/// warning per file. InputError as above, and for a label that is no class of the layout or text in
/// a column of numbers.
TableData load_table(const std::filesystem::path& path, const TableLayout& layout, Split split);

}  // namespace amalgam
