#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam::cli {

/// JSON whose keys stay in the order in which they were added.
using Json = nlohmann::ordered_json;

/// Prints `value` on stdout, indented, with a newline. Doubles are printed so that they read back
/// as the same double (NaN and infinity as null); invalid UTF-8 in names becomes U+FFFD.
void print_json(const Json& value);

/// Prints text on stdout as it is.
void print(std::string_view text);

/// InputError if an output is one of the inputs, or two outputs are the same file. Empty names do
/// not count.
void check_outputs(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs);

/// The text with control characters replaced by '?', so that a hostile name cannot drive the
/// terminal.
std::string printable(std::string text);

/// A number for people: six significant digits.
std::string format_number(double value);

/// Columns of the terminal that stdout is; 0 if it is none.
std::size_t terminal_width();

/// Columns of text for people, aligned by their widest cell (in UTF-8 code points).
class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// `cells` has one text per column, shown as printable().
  void add_row(std::vector<std::string> cells);

  /// The title line and the rows, without trailing spaces. Where they are wider than `width` (0: no
  /// limit), the widest cells of left-aligned columns go over several lines, broken at spaces and
  /// commas: only a terminal gets that, so that programs find a row in each line.
  std::string text(std::size_t width = terminal_width()) const;

 private:
  std::vector<std::size_t> fitting_widths(std::size_t width) const;
  void add_lines(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths,
                 std::string& out) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace amalgam::cli
