#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <string>

#include "amalgam/core/interrupt.hpp"
#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/learning_library.hpp"
#include "cli/run.hpp"

namespace amalgam::cli {
namespace {

// Every shard of every member is an open file, and many systems allow 1024 unless asked for more.
void allow_many_files() {
  struct rlimit files {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

// A file that may not grow further is an error like a full disk, not a signal that ends the program
// with its work half done.
void report_limits_as_errors() { std::signal(SIGXFSZ, SIG_IGN); }

int run(int argc, char** argv) {
  CLI::App root("Amalgam turns many models, updates, predictions, labels or scores into one.",
                "amalgam");
  root.set_version_flag("--version", std::string("amalgam ") + AMALGAM_VERSION);
  root.footer(
      example("amalgam inspect model.safetensors --stats\n"
              "amalgam merge --method ties --base BASE A B -p density=0.5 -p weight=1 -o merged\n"
              "amalgam convert model.gguf model.safetensors --dtype bf16"));
  root.require_subcommand(1);
  register_inspect(root);
  register_diff(root);
  register_convert(root);
  bool needs_library = false;
  register_merge(root, needs_library);
  register_label(root, needs_library);
  register_rank(root);
  register_study(root, needs_library);
  register_learning(root);

  allow_many_files();
  report_limits_as_errors();
  catch_interrupts();
  needs_library = is_learning_command(argc, argv);
  if (!needs_library) {
    const int code = parse_and_run(root, argc, argv);
    if (!needs_library) return code;
  }
  return with_exit_code([&] { return run_learning_library(argc, argv); });
}

}  // namespace
}  // namespace amalgam::cli

int main(int argc, char** argv) { return amalgam::cli::run(argc, argv); }
