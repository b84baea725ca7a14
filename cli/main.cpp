#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "cli/command.hpp"
#include "cli/common_options.hpp"

namespace amalgam::cli {
namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kBadUsage = 2;
constexpr int kInterrupted = 130;

int fail(int code, const std::string& message) {
  log::write(log::Level::error, message);
  return code;
}

/// CLI11 would say "the following argument was not expected"; the name of a command deserves
/// better.
void check_command_name(const CLI::App& root, int argc, char** argv) {
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

int run(int argc, char** argv) {
  CLI::App root("Amalgam turns many models, updates, predictions, labels or scores into one.",
                "amalgam");
  root.set_version_flag("--version", std::string("amalgam ") + AMALGAM_VERSION);
  root.footer(
      example("amalgam inspect model.safetensors --stats\n"
              "amalgam convert model.gguf model.safetensors --dtype bf16"));
  root.require_subcommand(1);
  register_inspect(root);
  register_diff(root);
  register_convert(root);

  try {
    catch_interrupts();
    if (argc < 2) {
      std::fputs(root.help().c_str(), stderr);
      return kBadUsage;
    }
    check_command_name(root, argc, argv);
    root.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help and --version
    root.exit(asked);
  } catch (const CLI::ParseError& error) {
    return fail(kBadUsage, std::string(error.what()) + "; see '" + help_command(root) + "'");
  } catch (const Interrupted& interrupted) {
    return fail(kInterrupted, interrupted.what());
  } catch (const InputError& error) {
    return fail(kBadUsage, error.what());
  } catch (const std::bad_alloc&) {
    return fail(kFailed, "out of memory; a smaller --memory or fewer --threads may help");
  } catch (const std::exception& error) {
    return fail(kFailed, error.what());
  }
  if (std::fflush(stdout) != 0) {
    return fail(kFailed, "stdout: cannot write the result (is the disk full?)");
  }
  return kDone;
}

}  // namespace
}  // namespace amalgam::cli

int main(int argc, char** argv) { return amalgam::cli::run(argc, argv); }
