#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/scores/files/score_files.hpp"

namespace amalgam::scores {

/// A table of texts, row by row, whether it is written as separated values, as JSON lines or as a
/// list of JSON objects.
class Records {
 public:
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);

  virtual ~Records() = default;
  /// Columns in their order; of JSON the keys of the first object, in alphabetical order.
  const std::vector<std::string>& names() const { return names_; }
  const std::string& where() const { return where_; }
  /// The number of the column of that name, or npos. In JSON "a.b" is the key b of the object a.
  virtual std::size_t find(const std::string& name) = 0;

  virtual bool next() = 0;
  /// The row's text in a column, without spaces around it; empty where JSON has none. Valid until
  /// next().
  virtual std::string_view text(std::size_t column) const = 0;
  /// Whether the row is an object without that key, or with null.
  virtual bool is_absent(std::size_t column) const = 0;
  /// "file.csv:12:8" or "file.json: item 3".
  virtual std::string place(std::size_t column) const = 0;

  /// The first of these names that a column has; if none has, the first in any case.
  std::optional<std::string> usual_name(const std::vector<std::string>& usual) const;
  /// As find; InputError with the nearest name and what is there.
  std::size_t need(const std::string& name);
  /// The column called `given`, which must be there; if that is empty, one of the usual names, or
  /// npos (with `required`: InputError).
  std::size_t choose(const std::string& given, const std::vector<std::string>& usual,
                     bool required);

 protected:
  std::vector<std::string> names_;
  std::string where_;
};

/// Opens a file by its extension: .jsonl and .ndjson are JSON lines, .json is a list of objects or
/// JSON lines, everything else separated values with a header. InputError for a header or a first
/// object that is none.
std::unique_ptr<Records> open_records(const std::filesystem::path& path, const ScoreFormat& format);

/// Whether a trimmed text says that there is no value: is_missing_cell's, in any case, "none" and
/// dashes.
bool is_no_value(std::string_view text);

/// The number in a column, nothing if there is none. InputError naming the place if the text is no
/// number or is infinite; `what` is what it should be.
std::optional<double> number_of(const Records& records, std::size_t column, std::string_view what);

}  // namespace amalgam::scores
