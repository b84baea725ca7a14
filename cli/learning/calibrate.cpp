#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/trainer.hpp"
#include "cli/learning/commands.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct CalibrateCommand {
  std::string checkpoint;
  std::string output;
  std::int64_t batch = 512;
  bool overwrite = false;
  DataOptions data;
  CommonOptions common;
};

void run(const CalibrateCommand& command) {
  check_safetensors_output(command.output, {command.checkpoint});
  if (std::filesystem::exists(command.output) && !command.overwrite) {
    throw InputError("{}: exists already; use --overwrite to replace it", command.output);
  }
  learning::set_threads(command.common.threads);
  const auto network = learning::load_network(*open_checkpoint(command.checkpoint));
  if (!learning::has_batch_norm(*network)) {
    throw InputError("{}: the network has no BatchNorm, so there is nothing to calibrate",
                     command.checkpoint);
  }
  const learning::Dataset data = command.data.load(command.common.seed, &network->description());
  learning::reset_batch_norm(*network, data, command.batch);
  learning::save_network(command.output, *network, command.overwrite);
  if (command.common.json) {
    print_json({{"output", command.output},
                {"examples", data.count()},
                {"data", command.data.describe()}});
  } else if (!command.common.quiet) {
    print(fmt::format("{}: BatchNorm statistics of {} examples\n", command.output, data.count()));
  }
}

}  // namespace

void register_calibrate(CLI::App& root) {
  CLI::App* command = root.add_subcommand(
      "calibrate", "Re-estimate a network's BatchNorm statistics, as merged weights need.");
  command->footer(
      example("amalgam merge --method linear a.safetensors b.safetensors -p weight=1"
              " -o average.safetensors\n"
              "amalgam calibrate average.safetensors -o merged.safetensors"));
  auto options = std::make_shared<CalibrateCommand>();
  add_file_options(*command, options->checkpoint, options->output);
  command
      ->add_option("--batch", options->batch,
                   "Examples that are normalised together (default 512); all of them, for what"
                   " evaluation then sees exactly")
      ->check(CLI::Range(2, 1'000'000))
      ->type_name("N");
  command->add_flag("--overwrite", options->overwrite, "Replace an existing output");
  options->data.takes_numbers = true;
  add_data_options(*command, options->data, "train");
  options->data.examples = 2048;
  options->data.at_most = true;
  command->get_option("--examples")->description("How many of them (default 2048; 0: all)");
  add_learning_options(*command, options->common);
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
