#include "cli/separator_option.hpp"

#include "amalgam/core/error.hpp"

namespace amalgam::cli {

void add_separator_option(CLI::App& command, std::string& text) {
  command.add_option("--separator", text, "Between cells; \\t is a tab")->capture_default_str();
}

char separator_of(const std::string& text) {
  const std::string separator = text == "\\t" ? "\t" : text;
  if (separator.size() != 1 || separator == "\"" || separator == "\n") {
    throw InputError("--separator is '{}'; expected one character", text);
  }
  return separator.front();
}

}  // namespace amalgam::cli
