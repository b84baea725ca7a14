#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/row_matrix.hpp"
#include "amalgam/labels/annotation_table.hpp"

namespace amalgam::labels {

/// A representation of items: one row of numbers each.
using Features = RowMatrix;

/// The rows at `indices`, in that order.
Features select_rows(const Features& features, std::span<const std::size_t> indices);

/// A matrix from a .npy array of two dimensions or a CSV file of numbers (with or without a
/// header). InputError naming the place of what is not a finite number, and for more than 10^9
/// numbers.
Features read_features(const std::filesystem::path& path);

/// The `components` principal components of the rows (fewer if there are fewer columns, or rows
/// less one): the rows minus their mean, times the eigenvectors of the covariance in decreasing
/// order of its eigenvalues, each with its largest entry positive.
Features principal_components(const Features& features, std::size_t components);

/// Every column minus its mean, divided by its deviation (divisor: rows); columns of one value
/// become 0.
Features standardised(const Features& features);

/// All values by one linear map to [0, 1]: for columns of one unit, such as pixels.
Features in_unit_range(const Features& features);

/// Rows whose class is known.
struct LabelledRows {
  const Features& features;
  std::span<const Label> labels;  ///< [rows], below `classes`
  std::size_t classes;
};

/// InputError unless there are as many labels as rows, all below `classes`, of two classes or more,
/// and features as check_finite.
void check_labelled(const LabelledRows& data, const std::string& what);

/// (count + 1) / (rows + classes): the balance of classes that the labels show, never 0.
std::vector<double> class_balance(std::span<const Label> labels, std::size_t classes);

}  // namespace amalgam::labels
