#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam {

struct CsvOptions {
  char separator = ',';
  std::size_t longest_record = 16U << 20U;  ///< bytes of one record, as in the file
  std::size_t most_fields = 100'000;        ///< of one record
};

/// Reads records of comma-separated values one after the other, in memory of the order of the
/// longest one, at the speed of one pass over the bytes.
///
/// The format is RFC 4180: records end with a line feed, with or without a carriage return before
/// it (the last may end with the file); fields are parted by the separator; a field that begins
/// with a double quote ends with the next one that is not doubled, and may hold separators and line
/// ends. Besides: a byte order mark at the start and lines without any character are skipped, and a
/// double quote within a field that does not begin with one is a character like any other.
class CsvReader {
 public:
  /// Fills the span from the front and returns how many bytes it gave: fewer than asked for is
  /// fine, 0 is the end.
  using Source = std::function<std::size_t(std::span<char>)>;

  /// `where`: what places in errors begin with, usually the path.
  CsvReader(Source source, std::string where, CsvOptions options = {});
  /// Reads a file; if its name ends in .tsv or .tab, the separator is a tab whatever the options
  /// say. `on_bytes`, if there is one, is told how many bytes every read gave. InputError if the
  /// file cannot be opened; Error if it cannot be read to its end.
  static CsvReader open(const std::filesystem::path& path, CsvOptions options = {},
                        const std::function<void(std::uint64_t)>& on_bytes = {});

  /// Goes on to the next record; false at the end. InputError naming the place for a quoted field
  /// that is not closed or goes on after its closing quote, and beyond the limits.
  bool next();

  /// The record's fields, at least one, without quotes; valid until next().
  std::span<const std::string_view> fields() const { return fields_; }
  /// The line on which the record begins, from 1.
  std::uint64_t line() const { return line_; }
  /// "file.csv:12:8": line and byte within it, from 1, at which a field of the record begins.
  std::string place(std::size_t field) const;
  const std::string& where() const { return where_; }

 private:
  // A field in quotes, as it is in the buffer.
  struct Quoted {
    std::size_t field = 0;  // which it is
    std::size_t begin = 0;  // of its first quote
    std::size_t end = 0;    // after its last one
    bool doubled = false;   // holds doubled quotes
  };

  void refill();
  void skip_empty_lines();
  bool scan_record();
  bool scan_quoted(std::size_t& at);
  void undouble_quotes();
  std::string place_at(std::size_t offset) const;

  Source source_;
  std::string where_;
  CsvOptions options_;
  std::vector<char> buffer_;  // longer than what it may hold, for a sentinel and whole words
  std::size_t record_ = 0;    // where the record begins
  std::size_t after_ = 0;     // where the next one begins
  std::size_t filled_ = 0;    // where the buffer's contents end
  bool ended_ = false;        // the source has no more
  std::uint64_t line_ = 0;    // of the record's begin
  std::uint64_t next_line_ = 1;
  std::vector<std::string_view> fields_;
  std::vector<Quoted> quoted_;  // those of them that are
  std::string unescaped_;
};

/// Reads the first record as the names of the columns. InputError if there is none, or a name is
/// empty, not UTF-8, or there twice.
std::vector<std::string> read_csv_header(CsvReader& reader);

}  // namespace amalgam
