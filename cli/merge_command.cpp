#include "cli/merge_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <type_traits>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/core/cluster.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/data_methods.hpp"
#include "amalgam/weights/recipe_arguments.hpp"
#include "amalgam/weights/recipe_data.hpp"
#include "cli/quantisation_report.hpp"
#include "cli/shard_size.hpp"

namespace amalgam::cli {
namespace {

constexpr std::uint64_t kLargestRecipe = 4'000'000;

RecipeData data_of(const MergeCommand& command) {
  const MergeCommand::Data& given = command.data;
  RecipeData data;
  data.split = given.split;
  const auto add = [&](const char* key, const auto& value) {
    if (value != std::decay_t<decltype(value)>{}) data.keys[key] = value;
  };
  add("set", given.set);
  add("label", given.label);
  add("tokens", given.tokens);
  add("context", given.context);
  add("classes", given.classes);
  add("relabel", given.relabel);
  add("first", given.first);
  add("examples", given.examples);
  add("corrupt", given.corrupt);
  add("head", given.head);
  return data;
}

std::vector<Recipe> read_recipe(const MergeCommand& command) {
  if (command.inputs.size() != 1) {
    throw InputError(
        "merge: {} given without --method; expected one recipe (amalgam merge recipe.yml -o out) "
        "or "
        "--method and the members",
        command.inputs.empty() ? "nothing" : fmt::format("{} paths", command.inputs.size()));
  }
  if (!command.base.empty() || !command.parameters.empty() || !command.parts.empty()) {
    throw InputError("merge: --base, -p and --part go with --method; a recipe names them itself");
  }
  const bool names_data = !data_of(command).empty() || !command.tasks.empty() ||
                          !command.evaluate.empty() || !command.search.empty() ||
                          !command.search_by.empty();
  if (names_data) {
    throw InputError(
        "merge: options about data go with --method; a recipe names them itself ('data', 'search',"
        " 'evaluate')");
  }
  const std::string& path = command.inputs.front();
  if (std::filesystem::is_directory(path)) {
    throw InputError("{}: is a folder; expected a recipe, or --method with members", path);
  }
  return parse_recipe(read_text_file(path, kLargestRecipe), path);
}

RecipeSearch parse_search(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw InputError("--search {}: expected NAME=VALUES, for example weight=0:1:0.05", text);
  }
  return {text.substr(0, equals), text.substr(equals + 1), {}};
}

RecipePart parse_part(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw InputError(
        "--part {}: expected NAME=MODEL, for example vae=vae.safetensors, or NAME=none", text);
  }
  RecipePart part{.name = text.substr(0, equals), .model = {}, .line = {}};
  const std::string model = text.substr(equals + 1);
  if (model != "none") part.model = parse_model_reference(model, "--part");
  return part;
}

void add_data(const MergeCommand& command, Recipe& recipe) {
  RecipeData data = data_of(command);
  if (!data.empty() || !command.tasks.empty()) recipe.data = std::move(data);
  for (const std::string& task : command.tasks) {
    recipe.tasks.push_back(parse_data_words(task, "--task"));
  }
  for (const std::string& one : command.evaluate) {
    recipe.evaluate.push_back(parse_data_words(one, "--evaluate"));
  }
  for (const std::string& one : command.search) recipe.search.push_back(parse_search(one));
  recipe.search_by = command.search_by;
}

void add_data_options(CLI::App& app, MergeCommand& command) {
  const std::string group = "Data (methods and searches that look at it; see docs/training.md)";
  MergeCommand::Data& data = command.data;
  const auto add = [&](const char* name, auto& value, const char* meaning, const char* type) {
    return app.add_option(name, value, meaning)->type_name(type)->group(group);
  };
  add("--data", data.set,
      "'fashion-mnist' (the default), or where data are, as for 'amalgam evaluate'", "SET");
  add("--split", data.split,
      "train, validation, test, or all of a table or text (default validation)", "SPLIT")
      ->check(CLI::IsMember({"train", "validation", "test", "all"}));
  add("--first", data.first, "First example of the split (default 0)", "N")->check(whole_number());
  add("--examples", data.examples, "How many of them (0, the default: all)", "N")
      ->check(whole_number());
  add("--corrupt", data.corrupt, "Change every input first, as for 'amalgam evaluate'", "WHAT");
  add("--head", data.head, "The head of a network with several, which the labels are for", "NAME");
  add("--label", data.label, "Column of the class in a table", "COLUMN");
  add("--tokens", data.tokens, "What a text is made of: byte or character", "KIND")
      ->check(CLI::IsMember({"byte", "character"}));
  add("--context", data.context, "Tokens per example of a text", "N")->check(whole_number());
  add("--classes", data.classes, "Only the examples of these classes", "CLASS,...")->delimiter(',');
  app.add_flag("--relabel", data.relabel, "Number those classes anew, in the order given")
      ->group(group);
  add("--task", command.tasks,
      "One task among several: words between commas that differ from the options above (name=, "
      "set=, split=, first=, examples=, head=), and changes of the inputs",
      "WORDS")
      ->allow_extra_args(false);
  add("--search", command.search,
      "Choose a parameter by the data: NAME=first:last:step, NAME=v1,v2,... or NAME=shares (one "
      "of each member)",
      "NAME=VALUES")
      ->allow_extra_args(false);
  add("--search-by", command.search_by, "accuracy (the default) or nll", "FIGURE")
      ->check(CLI::IsMember({"accuracy", "nll"}));
  add("--evaluate", command.evaluate,
      "Evaluate the result on these data: words as for --task, split=test if they name none",
      "WORDS")
      ->allow_extra_args(false);
}

}  // namespace

std::string named_line(const std::string& name, const Json& value) {
  if (value.is_array()) {
    std::string lines;
    for (const Json& one : value) lines += named_line(lines.empty() ? name : "", one);
    return lines;
  }
  return fmt::format("{:<12}{}\n", name,
                     value.is_string() ? value.get<std::string>() : value.dump());
}

void add_unfinished_options(CLI::App& app, MergeCommand& command) {
  app.add_flag("--overwrite", command.overwrite, "Replace an existing output, at the very end");
  app.add_flag("--keep-partial", command.keep_partial, "Keep the unfinished work when interrupted");
  app.add_flag("--resume", command.resume,
               "Go on with what an unfinished run of the same merge left, and keep what this one "
               "leaves; nothing is to be done if the output's manifest proves that it is complete");
  app.add_flag("--manifest", command.manifest,
               "Write what others check the result by ('amalgam verify'): recipe, version, hashes");
}

void add_merge_options(CLI::App& app, MergeCommand& command) {
  app.footer(example(
      "amalgam merge recipe.yml -o merged\n"
      "amalgam merge --method linear A B C -p weight=1 -o soup.safetensors\n"
      "amalgam merge --method ties --base BASE A B -p density=0.5 -p weight=0.6,0.4 -o merged\n"
      "amalgam merge --method slerp --base A B -p 't=[0,0.5,1]' -o merged --dry-run\n"
      "amalgam merge --method linear a.gguf b.gguf -p weight=1 -o q.gguf --dtype q4_k_m --imatrix "
      "a.imatrix\n"
      "amalgam merge --method greedy_soup A B C --data fashion-mnist -o soup.safetensors\n"
      "amalgam merge --method ties --base BASE A B --search weight=0:1:0.05 --evaluate split=test"
      " -o merged.safetensors\n"
      "amalgam merge recipe.yml -o merged --resume\n"
      "mpirun -n 4 amalgam merge recipe.yml -o merged\n"
      "amalgam merge methods ties"));
  app.add_option("inputs", command.inputs,
                 "A recipe in mergekit's YAML; with --method the members: folders in Hugging Face "
                 "layout, .safetensors, .gguf, .pt/.pth/.bin");
  app.add_option(
      "-o,--output", command.output,
      "Where the result goes: a folder, or one file if it ends in .safetensors or .gguf");
  app.add_option("-m,--method", command.method, "Merge without a recipe by this method");
  app.add_option("-b,--base", command.base, "The base model (with --method)");
  app.add_option("-p,--parameter", command.parameters,
                 "name=value; name=v1,v2 one value per member; name=[v0,v1,...] a gradient over "
                 "layers; name:FILTER=value for tensors whose name contains FILTER; "
                 "name:blocks:sdxl=[...] a value per block of a diffusion model")
      ->allow_extra_args(false);
  app.add_option(
         "--part", command.parts,
         "Take a part of a diffusion checkpoint (vae, text_encoders, clip_l, ...) from this "
         "model as it is, or leave it out (NAME=none)")
      ->type_name("NAME=MODEL")
      ->allow_extra_args(false);
  app.add_option("--dtype", command.dtype,
                 "Type of the written floating-point tensors; fp8_block, fp8_channel or fp8_tensor "
                 "for FP8 with scales in the layers' matrices; for a .gguf output also a quantised "
                 "one for its matrices, such as Q4_K, or a mixture, such as Q4_K_M");
  app.add_option("--imatrix", command.imatrix,
                 "Quantised outputs: weigh errors by this importance matrix (of llama-imatrix, in "
                 "either form), whose names are those of a GGUF model")
      ->type_name("FILE");
  app.add_flag("--errors", command.errors,
               "Print what quantising changed in every tensor, as a table (--json always has it)");
  app.add_option("--nan", command.non_finite,
                 "What to do about NaN and infinity in inputs: error or propagate")
      ->check(CLI::IsMember({"error", "propagate"}))
      ->capture_default_str();
  app.add_option("--shard-size", command.shard_size, kShardSizeHelp)->type_name("SIZE");
  add_unfinished_options(app, command);
  app.add_flag("--allow-shape-mismatch", command.allow_shape_mismatch,
               "Leave a member out of a tensor in which its shape differs");
  app.add_flag("--dry-run", command.dry_run,
               "Print the plan, the bytes to read and write and the disk needed, and do nothing");
  add_data_options(app, command);
  add_common_options(app, command.common,
                     {Common::json, Common::quiet, Common::threads, Common::memory, Common::seed});
}

std::vector<Recipe> recipes_of(const MergeCommand& command) {
  if (command.output.empty()) throw InputError("merge: no output; give one with -o");
  if (command.method.empty()) return read_recipe(command);
  Recipe recipe = recipe_from_arguments(
      find_method(command.method),
      {.base = command.base, .members = command.inputs, .parameters = command.parameters});
  for (const std::string& part : command.parts) recipe.parts.push_back(parse_part(part));
  add_data(command, recipe);
  return {std::move(recipe)};
}

bool needs_networks(const std::vector<Recipe>& recipes) {
  return std::ranges::any_of(recipes, [](const Recipe& recipe) {
    return recipe.looks_at_data() || find_data_method(recipe.merge_method) != nullptr;
  });
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
  options.shard_bytes = parse_shard_size(command.shard_size);
  options.overwrite = command.overwrite;
  options.keep_partial = command.keep_partial;
  options.resume = command.resume;
  options.manifest = command.manifest;
  options.cluster = joined_cluster();
  options.allow_shape_mismatch = command.allow_shape_mismatch;
  options.importance = command.imatrix;
  if (!command.dtype.empty()) {
    options.type = parse_output_type(command.dtype);
    if (!options.type) {
      throw InputError("--dtype: '{}' is no type to merge into; expected {}", command.dtype,
                       output_type_names());
    }
  }
  return options;
}

void show_preview(const MergePreview& preview, const MergeCommand& command, const Json& more) {
  if (command.common.json) {
    Json outputs = Json::array();
    for (const auto& output : preview.outputs) outputs.push_back(output.string());
    Json json = {{"outputs", outputs},
                 {"bytes_read", preview.work.bytes_read},
                 {"bytes_written", preview.work.bytes_written},
                 {"disk_needed", preview.disk_needed},
                 {"disk_free", preview.disk_free},
                 {"stages", preview.plans}};
    json.update(more);
    print_json(json);
    return;
  }
  print(preview.description);
  for (const auto& output : preview.outputs)
    print(fmt::format("output      {}\n", output.string()));
  print(fmt::format("reads       {}\nwrites      {}\ndisk        {} needed, {} free\n",
                    format_bytes(preview.work.bytes_read), format_bytes(preview.work.bytes_written),
                    format_bytes(preview.disk_needed), format_bytes(preview.disk_free)));
  for (const auto& [key, value] : more.items()) print(named_line(key, value));
}

void show_report(const MergeReport& report, const MergeCommand& command, const Json& more) {
  const MergeStatistics& done = report.statistics;
  if (command.common.json) {
    Json outputs = Json::array();
    for (const auto& output : report.outputs) outputs.push_back(output.string());
    Json json = {{"outputs", outputs},
                 {"seconds", report.seconds},
                 {"bytes_read", done.bytes_read},
                 {"bytes_written", done.bytes_written},
                 {"bytes_kept", done.bytes_kept},
                 {"tensors_merged", done.tensors_merged},
                 {"tensors_copied", done.tensors_copied}};
    if (!done.errors.empty()) json["quantisation"] = quantisation_as_json(done.errors);
    if (report.was_finished) json["was_finished"] = true;
    json.update(more);
    print_json(json);
  } else if (!command.common.quiet && !report.was_finished) {
    std::vector<std::string> outputs;
    for (const auto& output : report.outputs) outputs.push_back(output.string());
    const auto rate = static_cast<std::uint64_t>(
        static_cast<double>(done.bytes_read + done.bytes_written) / std::max(report.seconds, 1e-9));
    if (command.errors) print(quantisation_table(done.errors));
    const std::string quantised = quantisation_summary(done.errors);
    log::info("{}: {} {} merged, {} copied; {} read, {} written in {:.1f}s ({}/s){}{}",
              join(outputs, ", "), done.tensors_merged,
              done.tensors_merged == 1 ? "tensor" : "tensors", done.tensors_copied,
              format_bytes(done.bytes_read), format_bytes(done.bytes_written), report.seconds,
              format_bytes(rate), quantised.empty() ? "" : "; ", quantised);
  }
}

}  // namespace amalgam::cli
