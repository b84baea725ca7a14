#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam {

/// Reads a text file line by line, none of which may be longer than a limit.
class LineReader {
 public:
  /// InputError if the file cannot be opened.
  explicit LineReader(const std::filesystem::path& path,
                      std::size_t longest_line = std::size_t{16} << 20U);

  /// Goes on to the next line; false at the end. InputError naming the line if it is too long.
  bool next();
  /// The line, without the line feed and a carriage return before it; valid until next().
  std::string_view line() const { return line_; }
  std::uint64_t number() const { return number_; }  ///< of the line, from 1
  std::string place() const;                        ///< "file.jsonl:12"

 private:
  std::filesystem::path path_;
  std::size_t longest_;
  std::ifstream file_;
  std::vector<char> buffer_;
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  std::string line_;
  std::uint64_t number_ = 0;
};

}  // namespace amalgam
