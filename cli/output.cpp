#include "cli/output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "amalgam/core/error.hpp"

namespace amalgam::cli {
namespace {

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

}  // namespace

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

std::string Table::text() const {
  std::vector<std::string> titles;
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) {
    titles.push_back(column.title);
    widths.push_back(width_of(column.title));
  }
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < widths.size(); ++c) {
      widths[c] = std::max(widths[c], width_of(row[c]));
    }
  }
  std::string out;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t c = 0; c < widths.size(); ++c) {
      const std::string gap(widths[c] - width_of(cells[c]), ' ');
      if (c > 0) line += "  ";
      line += columns_[c].align == Align::left ? cells[c] + gap : gap + cells[c];
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1);
    out += '\n';
  };
  add_line(titles);
  for (const auto& row : rows_) add_line(row);
  return out;
}

void check_outputs(const std::vector<std::string>& inputs,
                   const std::vector<std::string>& outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].empty() || outputs[i] == "-") continue;
    std::error_code ignored;
    for (const std::string& input : inputs) {
      if (!input.empty() && std::filesystem::equivalent(input, outputs[i], ignored)) {
        throw InputError("{}: it is an input; writing there would lose it", outputs[i]);
      }
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (std::filesystem::weakly_canonical(outputs[i], ignored) ==
          std::filesystem::weakly_canonical(outputs[j], ignored)) {
        throw InputError("{}: two outputs have this name", outputs[i]);
      }
    }
  }
}

}  // namespace amalgam::cli
