#include "amalgam/learning/gram.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/learning/finite.hpp"
#include "amalgam/learning/trainer.hpp"
#include "cli/learning/commands.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct GramCommand {
  std::string checkpoint;
  std::string output;
  bool overwrite = false;
  DataOptions data;
  CommonOptions common;
};

void run(const GramCommand& command) {
  check_safetensors_output(command.output, {command.checkpoint});
  if (std::filesystem::exists(command.output) && !command.overwrite) {
    throw InputError("{}: exists already; use --overwrite to replace it", command.output);
  }
  learning::set_threads(command.common.threads);
  const auto network = learning::load_network(*open_checkpoint(command.checkpoint));
  learning::check_finite(learning::state_of(*network), command.checkpoint);
  const learning::Dataset data = command.data.load(command.common.seed, &network->description());
  const learning::GramSums sums = learning::gram_sums(*network, data);
  learning::save_tensors(command.output, learning::to_tensors(sums),
                         {{"amalgam.gram.examples", std::to_string(data.count())},
                          {"amalgam.gram.data", command.data.describe()}},
                         command.overwrite);
  if (command.common.json) {
    Json layers = Json::array();
    for (const auto& [name, sum] : sums) {
      layers.push_back({{"name", name}, {"inputs", sum.products.size(0)}, {"rows", sum.rows}});
    }
    print_json({{"output", command.output}, {"examples", data.count()}, {"layers", layers}});
  } else if (!command.common.quiet) {
    print(fmt::format("{}: Gram matrices of {} layers over {} examples\n", command.output,
                      sums.size(), data.count()));
  }
}

}  // namespace

void register_gram(CLI::App& root) {
  CLI::App* command = root.add_subcommand(
      "gram", "Write the Gram matrices of a network's layers, for merging by them.");
  command->footer(
      example("amalgam gram a.safetensors -o a.gram.safetensors\n"
              "amalgam gram b.safetensors -o b.gram.safetensors --corrupt rotate=90\n"
              "amalgam merge --method regmean a.safetensors b.safetensors"
              " -p gram=a.gram.safetensors,b.gram.safetensors -o merged.safetensors"));
  auto options = std::make_shared<GramCommand>();
  add_file_options(*command, options->checkpoint, options->output);
  command->add_flag("--overwrite", options->overwrite, "Replace an existing output");
  options->data.takes_numbers = true;
  add_data_options(*command, options->data, "train");
  options->data.examples = 1000;
  options->data.at_most = true;
  command->get_option("--examples")->description("How many of them (default 1000; 0: all)");
  add_learning_options(*command, options->common);
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
