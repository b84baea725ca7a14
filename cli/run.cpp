#include "cli/run.hpp"

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "cli/last_resort.hpp"

namespace amalgam::cli {
namespace {

int fail(int code, const std::string& message) {
  log::write(log::Level::error, message);
  return code;
}

/// CLI11 would say "the following argument was not expected"; the name of a command deserves
/// better.
void check_command_name(const CLI::App& root, int argc, const char* const* argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* command : root.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == argv[1]) return;
    names.push_back(command->get_name());
  }
  throw InputError("no command '{}'{}; 'amalgam --help' lists them", argv[1],
                   did_you_mean(argv[1], names));
}

/// The words that show the help of what was asked for: "amalgam inspect --help".
std::string help_command(const CLI::App& root) {
  std::string words = "amalgam";
  const CLI::App* app = &root;
  while (!app->get_subcommands().empty()) {
    app = app->get_subcommands().front();
    words += " " + app->get_name();
  }
  return words + " --help";
}

}  // namespace

int with_exit_code(const std::function<int()>& body) {
  try {
    const int code = body();
    if (std::fflush(stdout) != 0) {
      return fail(kFailed, "stdout: cannot write the result (is the disk full?)");
    }
    return code;
  } catch (const Interrupted& interrupted) {
    return fail(kInterrupted, interrupted.what());
  } catch (const InputError& error) {
    return fail(kBadUsage, error.what());
  } catch (const std::bad_alloc&) {
    say_out_of_memory();
    return kFailed;
  } catch (const std::exception& error) {
    return fail(kFailed, error.what());
  }
}

int parse_and_run(CLI::App& root, int argc, const char* const* argv) {
  return with_exit_code([&] {
    if (argc < 2) {
      std::fputs(root.help().c_str(), stderr);
      return kBadUsage;
    }
    check_command_name(root, argc, argv);
    try {
      root.parse(argc, argv);
    } catch (const CLI::Success& asked) {  // --help and --version
      root.exit(asked);
    } catch (const CLI::ParseError& error) {
      throw InputError("{}; see '{}'", error.what(), help_command(root));
    }
    return kDone;
  });
}

}  // namespace amalgam::cli
