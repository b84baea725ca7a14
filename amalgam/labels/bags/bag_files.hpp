#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/string_pool.hpp"
#include "amalgam/labels/bags/bags.hpp"
#include "amalgam/labels/bags/linear_model.hpp"

/// Tables of rows in bags: comma-separated values (tabs if the name ends in .tsv or .tab) with a
/// header. Every error is an InputError naming file, line and byte.
namespace amalgam::labels {

/// Which columns of a table of rows are what.
struct BagRowsFormat {
  std::string bag;                    ///< the column that names each row's bag; empty: none
  std::string response;               ///< numbers; empty: none
  std::string class_column;           ///< names of classes; empty: none
  std::vector<std::string> features;  ///< numbers, in this order; empty: all other columns
  std::vector<std::string> ignore;    ///< columns that are no features
  bool reads_features = true;
};

/// The rows of a table. Bags and classes are numbered in their canonical order (by value if all are
/// whole numbers, else by their bytes).
struct BagRows {
  std::vector<std::string> feature_names;
  std::vector<double> x;  ///< [rows, features]
  std::size_t rows = 0;
  StringPool bag_names;
  std::vector<std::uint32_t> bag_of_row;  ///< [rows], if there is a bag column
  std::vector<double> responses;          ///< [rows], if there is a response column
  StringPool class_names;
  std::vector<std::uint32_t> class_of_row;  ///< [rows], if there is a class column

  Bags bags() const { return bags_of(bag_of_row, bag_names.size()); }
};

/// Reads a table of rows. InputError also for a missing or unknown column, a cell that is missing
/// or no finite number, a bag without name, no rows, or no or too many features.
BagRows read_bag_rows(const std::filesystem::path& path, const BagRowsFormat& format);

/// Reads a table with one row per bag: the numbers of `columns` for each bag of `bags`, [bags,
/// columns]. InputError also for a bag that has two rows or none, or that no row of `rows` is in.
std::vector<double> read_bag_values(const std::filesystem::path& path, const std::string& bag,
                                    const std::vector<std::string>& columns, const StringPool& bags,
                                    const std::string& rows);

/// The share of each class in each bag, [bags, classes], of rows that say their class.
std::vector<double> class_shares(const BagRows& rows);

/// InputError naming the bag unless each bag's shares are in [0, 1] and sum to 1, up to 1e-6.
void check_shares(const std::vector<double>& shares, std::size_t classes, const StringPool& bags);

/// What `rows` have, with the mean response of each bag.
BagData to_bag_data(const BagRows& rows, std::vector<double> responses);

/// `term,coefficient`: "(intercept)", if the model has one, and every feature.
void write_coefficients(const std::filesystem::path& path, std::span<const std::string> features,
                        const LinearBagModel& model);

/// Columns of numbers [rows, columns] under their names.
void write_columns(const std::filesystem::path& path, std::span<const std::string> names,
                   std::span<const double> values);

/// The bag's name and columns of numbers [bags, columns].
void write_bag_values(const std::filesystem::path& path, const std::string& bag,
                      const StringPool& names, std::span<const std::string> columns,
                      std::span<const double> values);

/// Copies a table with its rows' bag (numbers from 0) as one more column, without the columns
/// `drop`. InputError if there is a column of that name already, or none of a name in `drop`.
void write_with_bags(const std::filesystem::path& from, const std::filesystem::path& to,
                     const std::string& bag, std::span<const std::uint32_t> bag_of_row,
                     const std::vector<std::string>& drop);

/// The number of rows of a table, or, with a column, the group of each row: equal texts are equal
/// groups, numbered as they come.
std::vector<std::uint32_t> read_groups(const std::filesystem::path& path,
                                       const std::string& column);

}  // namespace amalgam::labels
