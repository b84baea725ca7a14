#include "amalgam/learning/fisher.hpp"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/learning/finite.hpp"
#include "amalgam/learning/trainer.hpp"
#include "cli/learning/commands.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using namespace amalgam::learning;  // NOLINT(google-build-using-namespace): the command's subject

struct FisherCommand {
  std::string checkpoint;
  std::string output;
  std::string kind = "exact";
  std::string dtype = "F32";
  std::uint64_t samples = 1;
  std::uint64_t top = 10;
  bool overwrite = false;
  DataOptions data;
  CommonOptions common;
};

const std::map<std::string, FisherKind> kKinds{{"exact", FisherKind::exact},
                                               {"sampled", FisherKind::sampled},
                                               {"top", FisherKind::top},
                                               {"empirical", FisherKind::empirical},
                                               {"gaussian", FisherKind::gaussian}};

void run(const FisherCommand& command) {
  check_safetensors_output(command.output, {command.checkpoint});
  if (std::filesystem::exists(command.output) && !command.overwrite) {
    throw InputError("{}: exists already; use --overwrite to replace it", command.output);
  }
  set_threads(command.common.threads);
  const auto network = load_network(*open_checkpoint(command.checkpoint));
  check_finite(state_of(*network), command.checkpoint);
  const Dataset data = command.data.load(command.common.seed, &network->description());
  const bool in_double = command.dtype == "F64";
  if (in_double) network->to(torch::kDouble);

  Progress progress("fisher", static_cast<std::uint64_t>(data.count()), Progress::Unit::items,
                    command.common.progress_mode());
  FisherOptions options;
  options.kind = kKinds.at(command.kind);
  options.samples = command.samples;
  options.top = command.top;
  options.seed = command.common.seed;
  options.after_batch = [&](std::uint64_t examples) {
    progress.advance(examples);
    check_interrupt();
  };
  NamedTensors diagonal = fisher_diagonal(*network, data, options);
  progress.finish();

  double squares = 0;
  for (auto& [name, tensor] : diagonal) {
    squares += tensor.square().sum().item<double>();
    if (!in_double) tensor = tensor.to(torch::kFloat);
  }
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm)) {
    throw Error("{}: its Fisher diagonal is not finite", command.checkpoint);
  }
  save_tensors(command.output, diagonal,
               {{"amalgam.fisher", command.kind},
                {"amalgam.fisher.examples", std::to_string(data.count())},
                {"amalgam.fisher.data", command.data.describe()}},
               command.overwrite);
  if (command.common.json) {
    Json json = Json::object();
    json["output"] = command.output;
    json["kind"] = command.kind;
    json["examples"] = data.count();
    json["norm"] = norm;
    json["seconds"] = progress.seconds();
    print_json(json);
  } else if (!command.common.quiet) {
    print(fmt::format("{}: {} Fisher diagonal over {} examples, norm {:.4g}, {:.1f} s\n",
                      command.output, command.kind, data.count(), norm, progress.seconds()));
  }
}

}  // namespace

void register_fisher(CLI::App& root) {
  CLI::App* command =
      root.add_subcommand("fisher", "Write a network's Fisher diagonal, for merging by it.");
  command->footer(
      example("amalgam fisher a.safetensors -o a.fisher.safetensors\n"
              "amalgam fisher b.safetensors -o b.fisher.safetensors\n"
              "amalgam merge --method fisher a.safetensors b.safetensors"
              " -p fisher=a.fisher.safetensors,b.fisher.safetensors -o merged.safetensors"));
  auto options = std::make_shared<FisherCommand>();
  add_file_options(*command, options->checkpoint, options->output);
  command
      ->add_option(
          "--kind", options->kind,
          "exact (over all classes), sampled (from the network's own predictions), top (over the"
          " most probable classes, or tokens at every position of a text),"
          " empirical (with the data's labels; not the Fisher), or gaussian (of the outputs"
          " themselves, for networks compared by squared error)")
      ->check(CLI::IsMember({"exact", "sampled", "top", "empirical", "gaussian"}))
      ->type_name("KIND");
  command->add_option("--samples", options->samples, "Classes per example, for sampled (default 1)")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N");
  command
      ->add_option("--top", options->top,
                   "Classes per example, or tokens per position, for top (default 10)")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("K");
  command
      ->add_option("--dtype", options->dtype,
                   "F32, or F64, for which the network is run in double precision too")
      ->transform(CLI::IsMember({"F32", "F64"}, CLI::ignore_case))
      ->type_name("TYPE");
  command->add_flag("--overwrite", options->overwrite, "Replace an existing output");
  options->data.takes_numbers = true;
  add_data_options(*command, options->data, "train");
  options->data.examples = 4096;
  options->data.at_most = true;
  command->get_option("--examples")->description("How many of them (default 4096; 0: all)");
  add_learning_options(*command, options->common);
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
