#pragma once

#include <string>

#include "amalgam/labels/column_file.hpp"

namespace amalgam::labels {

/// Everything that a file of these columns holds.
inline std::string bytes_of(const ColumnSet& set) {
  std::string all;
  for (const auto& [key, value] : set.metadata) all += key + '=' + value + '\n';
  for (const Column& column : set.columns) {
    all += column.name + '\n';
    all.append(reinterpret_cast<const char*>(column.bytes.data()), column.bytes.size());
  }
  return all;
}

/// The same set with `other` in place of the column of its name.
inline ColumnSet with_column(ColumnSet set, const Column& other) {
  for (Column& column : set.columns) {
    if (column.name == other.name) column = other;
  }
  return set;
}

}  // namespace amalgam::labels
