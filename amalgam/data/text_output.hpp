#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace amalgam {

/// A text file in the making: written beside its place and renamed into it by commit(), so that
/// there is never half of it. What was there is replaced then, and stays if there is no commit().
class TextOutput {
 public:
  /// "-" is the standard output; it, pipes and devices are written to as they are. InputError if
  /// the file cannot be made (no such folder, no permission) or the place is a folder.
  explicit TextOutput(const std::filesystem::path& path);
  ~TextOutput();
  TextOutput(const TextOutput&) = delete;
  TextOutput& operator=(const TextOutput&) = delete;

  /// Appends text. Error naming the file if the disk is full or fails.
  void write(std::string_view text);
  /// Flushes to the device and brings the file to its place.
  void commit();

 private:
  void flush();

  std::filesystem::path path_;
  std::filesystem::path partial_;
  std::string buffer_;
  int descriptor_ = -1;
  bool in_place_ = false;  // the standard output, a pipe or a device
};

/// Appends a field of comma-separated values: in double quotes, inner ones doubled, where it holds
/// a separator, a quote, a line end, or spaces at its ends.
void append_csv_field(std::string& line, std::string_view field, char separator = ',');

/// Appends a number that reads back as the same double.
void append_number(std::string& line, double value);

}  // namespace amalgam
