#include "amalgam/scores/studies/labelled_points.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "amalgam/core/error.hpp"
#include "amalgam/data/images.hpp"
#include "amalgam/data/npy.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::scores {
namespace {

// Larger ones have squares that overflow when they are added up.
constexpr double kLargest = 1e150;

bool is_usable(double value) { return std::abs(value) <= kLargest; }

// Numbers the classes that occur: numbers in their order, else texts in that of their bytes.
void number_classes(LabelledPoints& points, const std::vector<std::string>& names) {
  // Spellings of NaN have no place in an order of numbers.
  const bool numbers = std::ranges::all_of(names, [](const std::string& name) {
    const std::optional<double> number = cell_number(name);
    return number && !std::isnan(*number);
  });
  std::map<std::pair<double, std::string>, std::uint32_t> classes;
  const auto key = [&](const std::string& name) {
    return std::pair(numbers ? *cell_number(name) : 0.0, name);
  };
  for (const std::string& name : names) classes.emplace(key(name), 0);
  for (auto& [name, number] : classes) {
    number = static_cast<std::uint32_t>(points.class_names.size());
    points.class_names.push_back(name.second);
  }
  for (const std::string& name : names) points.labels.push_back(classes.at(key(name)));
}

void keep_classes_that_occur(LabelledPoints& points) {
  std::vector<std::uint32_t> numbers(points.class_names.size(), 0);
  for (const std::uint32_t label : points.labels) numbers[label] = 1;
  std::vector<std::string> names;
  for (std::size_t k = 0; k < numbers.size(); ++k) {
    if (numbers[k] == 0) continue;
    numbers[k] = static_cast<std::uint32_t>(names.size());
    names.push_back(points.class_names[k]);
  }
  for (std::uint32_t& label : points.labels) label = numbers[label];
  points.class_names = std::move(names);
}

std::vector<std::size_t> feature_columns(const TableRows& rows, const PointTableOptions& options) {
  std::vector<std::size_t> columns;
  if (!options.features.empty()) {
    for (const std::string& name : options.features) columns.push_back(rows.column(name));
    return columns;
  }
  const std::size_t label = rows.column(options.label);
  std::vector<std::size_t> ignored;
  for (const std::string& name : options.ignore) ignored.push_back(rows.column(name));
  for (std::size_t column = 0; column < rows.names().size(); ++column) {
    if (column != label && std::ranges::find(ignored, column) == ignored.end()) {
      columns.push_back(column);
    }
  }
  if (columns.empty()) {
    throw InputError("{}: no columns of features are left besides the label", rows.where());
  }
  return columns;
}

std::uint64_t checked_size(const NpyReader& reader, std::uint64_t width) {
  const std::uint64_t count = reader.header().shape[0];
  if (count == 0 || width == 0) throw InputError("{}: the array is empty", reader.where());
  if (reader.header().elements() > kMostPointValues) {
    throw InputError("{}: {} numbers; at most {} are taken", reader.where(),
                     reader.header().elements(), kMostPointValues);
  }
  return count;
}

std::vector<double> all_values(NpyReader& reader) {
  std::vector<double> values(reader.header().elements());
  std::size_t filled = 0;
  while (filled < values.size()) filled += reader.read(std::span(values).subspan(filled));
  double extra = 0;
  reader.read({&extra, 1});  // raises an error if the file goes on
  return values;
}

}  // namespace

LabelledPoints read_point_table(const std::filesystem::path& path,
                                const PointTableOptions& options) {
  TableRows rows(path);
  const std::size_t label = rows.column(options.label);
  const std::vector<std::size_t> columns = feature_columns(rows, options);
  LabelledPoints points;
  points.source = path.string();
  points.width = columns.size();
  std::vector<std::string> labels;
  while (rows.next()) {
    if (is_missing_cell(rows.cell(label))) {
      throw InputError("{}: the label is missing", rows.place(label));
    }
    labels.emplace_back(rows.cell(label));
    if (points.values.size() + columns.size() > kMostPointValues) {
      throw InputError("{}: more than {} numbers", points.source, kMostPointValues);
    }
    for (const std::size_t column : columns) {
      const std::optional<double> value = cell_number(rows.cell(column));
      if (!value || !is_usable(*value)) {
        throw InputError("{}: '{}' in column '{}'; expected a number (--ignore leaves columns out)",
                         rows.place(column), rows.cell(column), rows.names()[column]);
      }
      points.values.push_back(*value);
    }
  }
  if (labels.empty()) throw InputError("{}: there are no rows", points.source);
  number_classes(points, labels);
  return points;
}

LabelledPoints read_point_arrays(const std::filesystem::path& features,
                                 const std::filesystem::path& labels) {
  NpyReader feature_reader = NpyReader::open(features);
  NpyReader label_reader = NpyReader::open(labels);
  const NpyHeader& header = feature_reader.header();
  if (header.shape.size() < 2) {
    throw InputError("{}: an array of {} axes; expected points by features", features.string(),
                     header.shape.size());
  }
  if (label_reader.header().shape.size() != 1 ||
      label_reader.header().shape[0] != header.shape[0]) {
    throw InputError("{}: shape [{}]; expected one label for each of the {} points of {}",
                     labels.string(), fmt::join(label_reader.header().shape, ", "), header.shape[0],
                     features.string());
  }
  LabelledPoints points;
  points.source = features.string();
  points.width = 1;
  for (std::size_t axis = 1; axis < header.shape.size(); ++axis) points.width *= header.shape[axis];
  const std::uint64_t count = checked_size(feature_reader, points.width);
  points.values = all_values(feature_reader);
  if (header.column_major) {
    if (header.shape.size() != 2) {
      throw InputError("{}: in column-major order with {} axes; expected two", features.string(),
                       header.shape.size());
    }
    std::vector<double> rows(points.values.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[(i % count) * points.width + i / count] = points.values[i];
    }
    points.values = std::move(rows);
  }
  for (std::size_t i = 0; i < points.values.size(); ++i) {
    if (!is_usable(points.values[i])) {
      throw InputError("{}: point {} has the value {}; expected finite numbers", features.string(),
                       i / points.width, points.values[i]);
    }
  }
  std::vector<std::string> names;
  for (const double value : all_values(label_reader)) {
    if (value != std::floor(value) || std::abs(value) > 1e15) {
      throw InputError("{}: label {}; expected whole numbers", labels.string(), value);
    }
    names.push_back(fmt::to_string(static_cast<std::int64_t>(value)));
  }
  number_classes(points, names);
  return points;
}

LabelledPoints read_point_images(const std::string& set, Split split) {
  const LabelledImages images = load_images(set, split);
  LabelledPoints points;
  points.source = images.source;
  points.width = images.image_size();
  points.values.reserve(images.pixels.size());
  for (const std::uint8_t pixel : images.pixels) points.values.push_back(pixel / 255.0);
  points.labels.assign(images.labels.begin(), images.labels.end());
  points.class_names = images.class_names;
  keep_classes_that_occur(points);
  return points;
}

LabelledPoints first_points(const LabelledPoints& points, std::size_t count) {
  const auto taken = static_cast<std::ptrdiff_t>(std::min(count, points.count()));
  LabelledPoints first;
  first.source = points.source;
  first.width = points.width;
  first.values.assign(points.values.begin(),
                      points.values.begin() + taken * static_cast<std::ptrdiff_t>(points.width));
  first.labels.assign(points.labels.begin(), points.labels.begin() + taken);
  first.class_names = points.class_names;
  keep_classes_that_occur(first);
  return first;
}

void standardise(LabelledPoints& points) {
  const auto count = static_cast<double>(points.count());
  for (std::size_t j = 0; j < points.width; ++j) {
    double mean = 0;
    for (std::size_t i = j; i < points.values.size(); i += points.width) mean += points.values[i];
    mean /= count;
    double squares = 0;
    for (std::size_t i = j; i < points.values.size(); i += points.width) {
      points.values[i] -= mean;
      squares += points.values[i] * points.values[i];
    }
    const double deviation = std::sqrt(squares / count);
    for (std::size_t i = j; i < points.values.size(); i += points.width) {
      points.values[i] = deviation > 0 ? points.values[i] / deviation : 0;
    }
  }
}

}  // namespace amalgam::scores
