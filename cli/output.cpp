#include "cli/output.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"

namespace amalgam::cli {
namespace {

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

// What stays together when lines are broken: after spaces, which belong to what is before them, and
// after commas.
std::vector<std::string> pieces_of(const std::string& text) {
  std::vector<std::string> pieces(1);
  for (std::size_t at = 0; at < text.size(); ++at) {
    pieces.back() += text[at];
    const bool last = at + 1 == text.size();
    const bool breaks = text[at] == ',' || text[at] == ' ';
    if (breaks && !last && text[at + 1] != ' ') pieces.emplace_back();
  }
  return pieces;
}

std::string without_end(const std::string& text) {
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

// Lines of at most `width`, unless a piece alone is wider.
std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  if (width_of(text) <= width) return {text};
  std::vector<std::string> lines(1);
  for (const std::string& piece : pieces_of(text)) {
    if (!lines.back().empty() && width_of(without_end(lines.back() + piece)) > width) {
      lines.emplace_back();
    }
    lines.back() += piece;
  }
  for (std::string& line : lines) line = without_end(line);
  return lines;
}

}  // namespace

std::size_t terminal_width() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) {
    throw Error("stdout: cannot write the result (is the disk full?)");
  }
}

void print_json(const Json& value) {
  print(value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::string format_number(double value) { return fmt::format("{:.6g}", value); }

std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return text;
}

void Table::add_row(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = printable(std::move(cell));
  rows_.push_back(std::move(cells));
}

// As wide as their widest cells, and narrower where that is too wide, the widest column first; none
// is narrower than its longest piece.
std::vector<std::size_t> Table::fitting_widths(std::size_t width) const {
  const std::size_t count = columns_.size();
  std::vector<std::size_t> widths(count);
  std::vector<std::size_t> least(count);
  const auto see = [&](std::size_t c, const std::string& cell) {
    widths[c] = std::max(widths[c], width_of(cell));
    for (const std::string& piece : pieces_of(cell)) {
      least[c] = std::max(least[c], width_of(without_end(piece)));
    }
  };
  for (std::size_t c = 0; c < count; ++c) see(c, columns_[c].title);
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < count; ++c) see(c, row[c]);
  }
  if (width == 0 || count == 0) return widths;
  constexpr std::size_t kComfortable = 16;
  std::size_t total = std::accumulate(widths.begin(), widths.end(), 2 * (count - 1));
  for (; total > width; --total) {
    std::size_t widest = count;
    for (std::size_t c = 0; c < count; ++c) {
      const bool can_shrink =
          columns_[c].align == Align::left && widths[c] > std::max(least[c], kComfortable);
      if (can_shrink && (widest == count || widths[c] > widths[widest])) widest = c;
    }
    if (widest == count) break;
    --widths[widest];
  }
  return widths;
}

void Table::add_lines(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths,
                      std::string& out) const {
  std::vector<std::vector<std::string>> lines;
  std::size_t height = 1;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    lines.push_back(wrapped(cells[c], widths[c]));
    height = std::max(height, lines.back().size());
  }
  for (std::size_t at = 0; at < height; ++at) {
    std::string line;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string cell = at < lines[c].size() ? lines[c][at] : "";
      const std::string gap(widths[c] - width_of(cell), ' ');
      if (c > 0) line += "  ";
      line += columns_[c].align == Align::left ? cell + gap : gap + cell;
    }
    out += without_end(line) + '\n';
  }
}

std::string Table::text(std::size_t width) const {
  const std::vector<std::size_t> widths = fitting_widths(width);
  std::string out;
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  add_lines(titles, widths, out);
  for (const auto& row : rows_) add_lines(row, widths, out);
  return out;
}

void check_outputs(const std::vector<std::string>& inputs,
                   const std::vector<std::string>& outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].empty() || outputs[i] == "-") continue;
    for (const std::string& input : inputs) {
      if (!input.empty() && name_the_same(input, outputs[i])) {
        throw InputError("{}: it is an input; writing there would lose it", outputs[i]);
      }
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (resolved_path(outputs[i]) == resolved_path(outputs[j])) {
        throw InputError("{}: two outputs have this name", outputs[i]);
      }
    }
  }
}

}  // namespace amalgam::cli
