#include "amalgam/weights/merge.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/recipe.hpp"
#include "amalgam/weights/recipe_arguments.hpp"
#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

constexpr std::uint64_t kLargestRecipe = 4'000'000;

struct MergeCommand {
  std::vector<std::string> inputs;
  std::string output;
  std::string method;
  std::string base;
  std::vector<std::string> parameters;
  std::string dtype;
  std::string non_finite = "error";
  std::string shard_size = "5GB";
  bool overwrite = false;
  bool keep_partial = false;
  bool allow_shape_mismatch = false;
  bool dry_run = false;
  CommonOptions common;
};

std::vector<Recipe> recipe_of(const MergeCommand& command) {
  if (!command.method.empty()) {
    return {recipe_from_arguments(
        find_merge_rule(command.method).info(),
        {.base = command.base, .members = command.inputs, .parameters = command.parameters})};
  }
  if (command.inputs.size() != 1) {
    throw InputError(
        "merge: {} given without --method; expected one recipe (amalgam merge recipe.yml -o out) "
        "or "
        "--method and the members",
        command.inputs.empty() ? "nothing" : fmt::format("{} paths", command.inputs.size()));
  }
  if (!command.base.empty() || !command.parameters.empty()) {
    throw InputError("merge: --base and -p go with --method; a recipe names them itself");
  }
  const std::string& path = command.inputs.front();
  if (std::filesystem::is_directory(path)) {
    throw InputError("{}: is a folder; expected a recipe, or --method with members", path);
  }
  return parse_recipe(read_text_file(path, kLargestRecipe), path);
}

MergeOptions options_of(const MergeCommand& command) {
  MergeOptions options;
  options.output = command.output;
  options.engine.parallel = command.common.parallel();
  options.engine.memory = command.common.memory;
  options.engine.seed = command.common.seed;
  options.engine.non_finite =
      command.non_finite == "propagate" ? NonFinite::propagate : NonFinite::error;
  options.progress = command.common.progress_mode();
  options.shard_bytes = parse_bytes(command.shard_size, "--shard-size");
  if (options.shard_bytes == 0) throw InputError("--shard-size is 0; expected at least one byte");
  options.overwrite = command.overwrite;
  options.keep_partial = command.keep_partial;
  options.allow_shape_mismatch = command.allow_shape_mismatch;
  if (!command.dtype.empty()) {
    options.dtype = parse_dtype(command.dtype);
    if (!options.dtype || !dtype_is_floating(*options.dtype)) {
      throw InputError(
          "--dtype: '{}' is no type to merge into; expected F64, F32, F16, BF16, F8_E4M3, "
          "F8_E5M2, or for a .gguf output Q8_0, Q5_1, Q5_0, Q4_1, Q4_0",
          command.dtype);
    }
  }
  return options;
}

void show_preview(const MergePreview& preview, const MergeCommand& command) {
  if (command.common.json) {
    Json outputs = Json::array();
    for (const auto& output : preview.outputs) outputs.push_back(output.string());
    print_json({{"outputs", outputs},
                {"bytes_read", preview.work.bytes_read},
                {"bytes_written", preview.work.bytes_written},
                {"disk_needed", preview.disk_needed},
                {"disk_free", preview.disk_free},
                {"stages", preview.plans}});
    return;
  }
  print(preview.description);
  for (const auto& output : preview.outputs)
    print(fmt::format("output      {}\n", output.string()));
  print(fmt::format("reads       {}\nwrites      {}\ndisk        {} needed, {} free\n",
                    format_bytes(preview.work.bytes_read), format_bytes(preview.work.bytes_written),
                    format_bytes(preview.disk_needed), format_bytes(preview.disk_free)));
}

void show_report(const MergeReport& report, const MergeCommand& command) {
  const MergeStatistics& done = report.statistics;
  if (command.common.json) {
    Json outputs = Json::array();
    for (const auto& output : report.outputs) outputs.push_back(output.string());
    print_json({{"outputs", outputs},
                {"seconds", report.seconds},
                {"bytes_read", done.bytes_read},
                {"bytes_written", done.bytes_written},
                {"tensors_merged", done.tensors_merged},
                {"tensors_copied", done.tensors_copied}});
  } else if (!command.common.quiet) {
    std::vector<std::string> outputs;
    for (const auto& output : report.outputs) outputs.push_back(output.string());
    const auto rate = static_cast<std::uint64_t>(
        static_cast<double>(done.bytes_read + done.bytes_written) / std::max(report.seconds, 1e-9));
    log::info("{}: {} tensors merged, {} copied; {} read, {} written in {:.1f}s ({}/s)",
              join(outputs, ", "), done.tensors_merged, done.tensors_copied,
              format_bytes(done.bytes_read), format_bytes(done.bytes_written), report.seconds,
              format_bytes(rate));
  }
}

void merge(const MergeCommand& command) {
  if (command.output.empty()) throw InputError("merge: no output; give one with -o");
  const std::vector<Recipe> recipe = recipe_of(command);
  const MergeOptions options = options_of(command);
  if (command.dry_run) {
    show_preview(preview_merge(recipe, options), command);
  } else {
    show_report(merge_checkpoints(recipe, options), command);
  }
}

}  // namespace

void register_merge(CLI::App& root) {
  CLI::App* app = root.add_subcommand("merge", "Merge many checkpoints into one.");
  app->footer(example(
      "amalgam merge recipe.yml -o merged\n"
      "amalgam merge --method linear A B C -p weight=1 -o soup.safetensors\n"
      "amalgam merge --method ties --base BASE A B -p density=0.5 -p weight=0.6,0.4 -o merged\n"
      "amalgam merge --method slerp --base A B -p 't=[0,0.5,1]' -o merged --dry-run\n"
      "amalgam merge methods ties"));
  auto command = std::make_shared<MergeCommand>();
  app->add_option("inputs", command->inputs,
                  "A recipe in mergekit's YAML; with --method the members: folders in Hugging Face "
                  "layout, .safetensors, .gguf, .pt/.pth/.bin");
  app->add_option(
      "-o,--output", command->output,
      "Where the result goes: a folder, or one file if it ends in .safetensors or .gguf");
  app->add_option("-m,--method", command->method, "Merge without a recipe by this method");
  app->add_option("-b,--base", command->base, "The base model (with --method)");
  app->add_option("-p,--parameter", command->parameters,
                  "name=value; name=v1,v2 one value per member; name=[v0,v1,...] a gradient over "
                  "layers; name:FILTER=value for tensors whose name contains FILTER")
      ->allow_extra_args(false);
  app->add_option("--dtype", command->dtype, "Type of the written floating-point tensors");
  app->add_option("--nan", command->non_finite,
                  "What to do about NaN and infinity in inputs: error or propagate")
      ->check(CLI::IsMember({"error", "propagate"}))
      ->capture_default_str();
  app->add_option("--shard-size", command->shard_size,
                  "Largest file of an output folder; a single file is never split")
      ->capture_default_str();
  app->add_flag("--overwrite", command->overwrite, "Replace an existing output, at the very end");
  app->add_flag("--keep-partial", command->keep_partial,
                "Keep the unfinished work when interrupted");
  app->add_flag("--allow-shape-mismatch", command->allow_shape_mismatch,
                "Leave a member out of a tensor in which its shape differs");
  app->add_flag("--dry-run", command->dry_run,
                "Print the plan, the bytes to read and write and the disk needed, and do nothing");
  add_common_options(*app, command->common,
                     {Common::json, Common::quiet, Common::threads, Common::memory, Common::seed});
  register_merge_methods(*app);
  app->callback([app, command] {
    if (app->get_subcommands().empty()) merge(*command);
  });
}

}  // namespace amalgam::cli
