#include "cli/verify_command.hpp"

#include <fmt/format.h>

#include <random>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/verify.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

void run_verify(const VerifyCommand& command, const PromptStates* states) {
  if (command.no_hash && !command.inputs && command.recompute == 0) {
    throw InputError("verify: --no-hash leaves nothing to check; add --recompute N or --inputs");
  }
  if (!command.moved_inputs.empty() && !command.inputs && command.recompute == 0) {
    throw InputError(
        "verify: --input says where inputs lie, but none is read; add --inputs or --recompute N");
  }
  VerifyOptions options;
  options.hash = !command.no_hash;
  options.hash_inputs = command.inputs;
  options.recompute = command.recompute;
  options.engine.parallel = command.common.parallel();
  options.engine.memory = command.common.memory;
  options.moved_inputs = command.moved_inputs;
  options.states = states;
  options.progress = command.common.progress_mode();
  // Whoever makes a false output must not know which blocks will be looked at.
  options.sample_seed = command.sample_seed ? *command.sample_seed : std::random_device{}();
  const VerifyReport report = verify_merge(command.output, options);
  if (command.common.json) {
    print_json({{"good", report.differences.empty()},
                {"files", report.files},
                {"inputs", report.inputs},
                {"bytes", report.bytes},
                {"recomputed", report.recomputed},
                {"sample_seed", options.sample_seed},
                {"differences", report.differences}});
  } else {
    for (const std::string& difference : report.differences) print(printable(difference) + "\n");
  }
  if (!report.differences.empty()) {
    throw Error("{}: is not as its manifest says: {} difference{}", command.output,
                report.differences.size(), report.differences.size() == 1 ? "" : "s");
  }
  if (command.common.json || command.common.quiet) return;
  print(
      fmt::format("{}: as its manifest says; {} files of the output and {} inputs hashed ({}), "
                  "{} blocks made again (--sample-seed {})\n",
                  command.output, report.files, report.inputs, format_bytes(report.bytes),
                  report.recomputed, options.sample_seed));
}

CLI::App* add_verify(CLI::App& root, VerifyCommand& command) {
  CLI::App* app =
      root.add_subcommand("verify", "Check a merge by the manifest that 'merge --manifest' wrote.");
  app->footer(
      example("amalgam verify merged\n"
              "amalgam verify merged --recompute 20\n"
              "amalgam verify merged.safetensors --no-hash --recompute 100\n"
              "amalgam verify merged --inputs --recompute 20 --input /data/models=/mnt/models"));
  app->add_option("output", command.output, "What a merge wrote: a folder or file")
      ->required()
      ->type_name("OUT");
  app->add_option("--recompute", command.recompute,
                  "Make N blocks, drawn at random, again from the inputs, which lie where the "
                  "recipe says, and compare")
      ->type_name("N")
      ->check(whole_number());
  app->add_option("--sample-seed", command.sample_seed,
                  "Draw these blocks as the run that printed this number did")
      ->type_name("N")
      ->check(whole_number());
  app->add_flag("--inputs", command.inputs, "Hash the inputs too");
  app->add_option("--input", command.moved_inputs,
                  "With --inputs or --recompute: what the manifest names OLD, an input or a folder "
                  "of some, lies at NEW now; may be repeated, and the longest OLD that fits holds")
      ->type_name("OLD=NEW")
      ->allow_extra_args(false);
  app->add_flag("--no-hash", command.no_hash, "Do not hash the files of the output");
  add_common_options(*app, command.common,
                     {Common::json, Common::quiet, Common::threads, Common::memory});
  return app;
}

}  // namespace amalgam::cli
