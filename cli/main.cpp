#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <string>
#include <string_view>
#include <thread>

#include "amalgam/core/cluster.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/last_resort.hpp"
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

// What mpirun may start several processes of. They are told apart here: only the first one speaks,
// but for errors.
void check_cluster(int argc, char** argv) {
  const std::size_t processes = launched_processes();
  if (processes <= 1) return;
  const std::string_view noun = argc >= 2 ? argv[1] : "";
  const std::string_view verb = argc >= 3 ? argv[2] : "";
  const bool shares = (noun == "label" && verb == "aggregate") ||
                      (noun == "merge" && verb != "methods") || noun == "moe";
  if (!shares) {
    throw InputError(
        "{} processes were started together, each of which would do all of this and write the same "
        "files; 'amalgam merge', 'amalgam moe' and 'amalgam label aggregate' are what they can "
        "share",
        processes);
  }
  if (joined_cluster()->rank() > 0) log::set_level(log::Level::error);
}

// A process that cannot go on ends the others, which would wait for it. If all of them failed, the
// first one's message is enough.
[[noreturn]] void end_all(int code) {
  Cluster* cluster = joined_cluster();
  if (cluster->rank() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(500));
  cluster->abort(code);
}

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
  register_lora(root);
  bool needs_library = false;
  register_verify(root, needs_library);
  register_merge(root, needs_library);
  register_moe(root, needs_library);
  register_label(root, needs_library);
  register_rank(root);
  register_study(root, needs_library);
  register_learning(root);

  allow_many_files();
  report_limits_as_errors();
  catch_interrupts();
  if (const int code = with_exit_code([&] {
        check_cluster(argc, argv);
        return kDone;
      });
      code != kDone) {
    return code;
  }
  needs_library = is_learning_command(argc, argv);
  if (!needs_library) {
    const int code = parse_and_run(root, argc, argv);
    if (code != kDone && launched_processes() > 1) end_all(code);
    if (code != kDone || !needs_library) return code;
  }
  return with_exit_code([&] { return run_learning_library(argc, argv); });
}

}  // namespace
}  // namespace amalgam::cli

int main(int argc, char** argv) {
  // Even what happens before a command runs may lack memory.
  amalgam::cli::end_without_memory_in_one_sentence();
  return amalgam::cli::with_exit_code([&] { return amalgam::cli::run(argc, argv); });
}
