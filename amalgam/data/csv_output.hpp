#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "amalgam/data/text_output.hpp"

namespace amalgam {

/// Writes a table field by field: comma-separated values, or tabs if the name ends in .tsv or .tab.
/// A file is whole or not there; see TextOutput.
class CsvOutput {
 public:
  explicit CsvOutput(const std::filesystem::path& path);

  /// The next field of the record: a text, or a number that reads back as the same double.
  CsvOutput& field(std::string_view text);
  CsvOutput& field(double value);
  /// Ends the record.
  void end();
  void commit() { output_.commit(); }

 private:
  void part();

  TextOutput output_;
  std::string line_;
  char separator_;
  bool begun_ = false;
};

}  // namespace amalgam
