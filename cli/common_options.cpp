#include "cli/common_options.hpp"

#include <charconv>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam::cli {
namespace {

constexpr std::uint64_t kLeastMemory = 64'000'000;
constexpr std::size_t kMostThreads = 1024;
constexpr const char* kGroup = "Common options";

void add_one(CLI::App& command, CommonOptions& options, Common which) {
  switch (which) {
    case Common::json:
      command.add_flag("--json", options.json, "Print one JSON object on stdout")->group(kGroup);
      return;
    case Common::quiet:
      command
          .add_flag_function(
              "-q,--quiet",
              [&options](std::int64_t) {
                options.quiet = true;
                log::set_level(log::Level::warning);
              },
              "No progress, only warnings and errors")
          ->group(kGroup);
      return;
    case Common::threads:
      command
          .add_option("--threads", options.threads,
                      "Threads to use (default: all processors); results never depend on it")
          ->check(whole_number())
          ->check(CLI::Range(std::size_t{1}, kMostThreads))
          ->type_name("N")
          ->group(kGroup);
      return;
    case Common::memory:
      command
          .add_option_function<std::string>(
              "--memory",
              [&options](const std::string& text) {
                options.memory = parse_bytes(text, "--memory");
                if (options.memory < kLeastMemory) {
                  throw InputError("--memory is {}; expected at least {}", text,
                                   format_bytes(kLeastMemory));
                }
              },
              "Memory for the whole process, at least 64MB (default 512MB); results never depend "
              "on it")
          ->type_name("SIZE")
          ->group(kGroup);
      return;
    case Common::seed:
      command.add_option("--seed", options.seed, "Fixes everything random (default 0)")
          ->check(whole_number())
          ->type_name("N")
          ->group(kGroup);
      return;
  }
}

}  // namespace

void add_common_options(CLI::App& command, CommonOptions& options,
                        std::initializer_list<Common> which) {
  for (const Common one : which) add_one(command, options, one);
}

CLI::Validator whole_number() {
  return {[](const std::string& text) {
            std::uint64_t value = 0;
            const char* end = text.data() + text.size();
            const auto parsed = std::from_chars(text.data(), end, value);
            const bool fits = parsed.ec == std::errc() && parsed.ptr == end;
            return fits ? std::string() : "'" + text + "' is no whole number from 0 to 2^64 - 1";
          },
          ""};
}

std::string example(std::string_view lines) {
  std::string footer = "Example:";
  for (const std::string& line : split(lines, '\n')) footer += "\n  " + line;
  return footer;
}

}  // namespace amalgam::cli
