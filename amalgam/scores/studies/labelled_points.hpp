#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "amalgam/data/split.hpp"
#include "amalgam/scores/studies/nearest_distances.hpp"

namespace amalgam::scores {

/// Points, each of a class.
struct LabelledPoints {
  std::string source;  ///< what errors call them
  std::size_t width = 1;
  std::vector<double> values;            ///< [count, width], finite
  std::vector<std::uint32_t> labels;     ///< [count], each below class_names.size()
  std::vector<std::string> class_names;  ///< those that occur, by number where all are numbers

  std::size_t count() const { return labels.size(); }
  PointRows rows() const { return {values, width}; }
};

/// The most numbers that points may have altogether.
inline constexpr std::size_t kMostPointValues = 1'000'000'000;

/// What a person says about a table of points.
struct PointTableOptions {
  std::string label;                  ///< the column of classes
  std::vector<std::string> features;  ///< columns of numbers; empty: all but label and `ignore`
  std::vector<std::string> ignore;
};

/// Reads a CSV file with a header. InputError naming the place: no such column, a label that is
/// missing, a feature that is no finite number, no rows.
LabelledPoints read_point_table(const std::filesystem::path& path,
                                const PointTableOptions& options);

/// Reads features [count, ...] (everything after the first axis is one point) and whole-number
/// labels [count] from .npy files. InputError for other shapes, counts that differ, labels that are
/// no whole numbers, values that are not finite.
LabelledPoints read_point_arrays(const std::filesystem::path& features,
                                 const std::filesystem::path& labels);

/// Images (see load_images) as points, pixels from 0 to 1. Classes that do not occur do not count.
LabelledPoints read_point_images(const std::string& set, Split split);

/// The first `count` points, and the classes that occur among them.
LabelledPoints first_points(const LabelledPoints& points, std::size_t count);

/// Moves and scales each column to mean 0 and deviation 1 (divisor: the count); columns that do not
/// vary become 0.
void standardise(LabelledPoints& points);

}  // namespace amalgam::scores
