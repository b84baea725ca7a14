#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace amalgam::report {

/// A page that needs nothing but itself: style, drawings and tables are inside.
class Page {
 public:
  explicit Page(std::string title) : title_(std::move(title)) {}

  void heading(std::string_view text);
  void paragraph(std::string_view text);
  /// A drawing of svg.hpp or plots.hpp, with a caption.
  void figure(const std::string& svg, std::string_view caption);
  /// The first column is text, the others are figures set flush right. `strong_rows` are set in
  /// bold.
  void table(const std::vector<std::string>& titles,
             const std::vector<std::vector<std::string>>& rows,
             const std::vector<std::size_t>& strong_rows = {});
  /// Lines of a program or a terminal.
  void code(std::string_view text);

  std::string html() const;

 private:
  std::string title_;
  std::string body_;
};

}  // namespace amalgam::report
