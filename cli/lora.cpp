#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/conversion.hpp"
#include "amalgam/checkpoint/create.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/output_tensors.hpp"
#include "amalgam/checkpoint/output_type.hpp"
#include "amalgam/checkpoint/packed_formats.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/checkpoint/tokenizer_files.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/adapter_methods.hpp"
#include "amalgam/weights/recipe_vocabulary.hpp"
#include "cli/adapter_vocabulary.hpp"
#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/fp8_output.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

namespace fs = std::filesystem;

struct LoraOptions {
  std::string base;
  std::string model;
  std::vector<std::string> adapters;
  std::string output;
  std::string method = "cat";
  std::vector<double> weights;
  std::vector<std::string> parameters;
  std::size_t rank = 0;  // 0: not given
  double energy = 0;     // 0: not given
  std::string dtype;
  bool transposed = false;
  bool overwrite = false;
  CommonOptions common;

  CompressionOptions keep() const {
    CompressionOptions result;
    if (rank > 0) result.rank = rank;
    if (energy > 0) result.energy = energy;
    return result;
  }
};

DType dtype_of(const LoraOptions& options, DType otherwise) {
  if (options.dtype.empty()) return otherwise;
  const auto dtype = parse_dtype(options.dtype);
  if (!dtype || !dtype_is_floating(*dtype) || dtype_is_quantised(*dtype)) {
    throw InputError("--dtype: '{}' is no type for this; expected F64, F32, F16 or BF16",
                     options.dtype);
  }
  return *dtype;
}

void check_is_folder(const std::string& output) {
  if (output_is_file(output)) {
    throw InputError("{}: an adapter is a folder; expected a name without ending", output);
  }
}

// Embeddings are saved whole where tokens were added: their tokenizer goes with them.
bool saves_vocabulary(const AdapterResult& result) {
  return std::any_of(result.adapter.saved.begin(), result.adapter.saved.end(),
                     [](const MemoryTensor& tensor) { return is_vocabulary_tensor(tensor.info); });
}

void write_result(const LoraOptions& options, const AdapterResult& result) {
  OutputTransaction transaction(options.output, {.overwrite = options.overwrite});
  write_adapter(transaction.work_path(), result.adapter, dtype_of(options, DType::f32));
  if (!options.model.empty() && saves_vocabulary(result)) {
    replace_tokenizer_files(tokenizer_folder({options.model, {}}), transaction.work_path());
  }
  transaction.commit();
  if (options.common.json) {
    Json modules = Json::array();
    for (const CompressedModule& one : result.modules) {
      modules.push_back({{"name", one.name}, {"rank", one.rank}, {"energy", one.energy}});
    }
    Json saved = Json::array();
    for (const MemoryTensor& tensor : result.adapter.saved) saved.push_back(tensor.info.name);
    print_json({{"output", options.output}, {"modules", std::move(modules)}, {"saved", saved}});
    return;
  }
  Table table({{"module"}, {"rank", Table::Align::right}, {"energy kept", Table::Align::right}});
  for (const CompressedModule& one : result.modules) {
    table.add_row({one.name, std::to_string(one.rank), format_number(one.energy)});
  }
  if (!result.modules.empty()) print(table.text());
  for (const MemoryTensor& tensor : result.adapter.saved) {
    print(fmt::format("whole: {} {}\n", printable(tensor.info.name),
                      format_shape(tensor.info.shape)));
  }
}

void report_applied(const LoraOptions& options, std::size_t tensors, std::uint64_t bytes) {
  if (options.common.json) {
    print_json({{"output", options.output}, {"tensors", tensors}, {"bytes_written", bytes}});
  } else {
    log::info("{}: {} tensors, {} written", options.output, tensors, format_bytes(bytes));
  }
}

// FP8 weights of the base stay so.
void apply_to_fp8(const LoraOptions& options, std::shared_ptr<const TensorSource> source,
                  Fp8Choice choice) {
  OutputTransaction transaction(options.output, {.overwrite = options.overwrite});
  const MergeStatistics done = write_fp8({source, without_adapters(options.base), options.output,
                                          std::move(choice), kDefaultShardBytes},
                                         transaction, options.common);
  take_adapter_vocabulary(options.base, options.model, *source, transaction.work_path());
  transaction.commit();
  report_applied(options, source->tensors().size(), done.bytes_written);
}

void run_apply(const LoraOptions& options) {
  const fs::path output = options.output;
  check_output_is_no_input({options.base, options.model}, output);
  std::optional<DType> wanted;
  if (!options.dtype.empty()) {
    wanted = dtype_of(options, DType::f32);
    check_output_holds(*wanted, output);
  }
  auto stored = open_checkpoint(options.base);
  const fs::path base = without_adapters(options.base);
  refuse_packed_weights(*stored, base);
  auto source = apply_adapter(std::move(stored), open_adapter(options.model));
  if (!wanted) {
    if (std::optional<Fp8Choice> fp8 = fp8_as_in(base, output)) {
      return apply_to_fp8(options, std::move(source), std::move(*fp8));
    }
  }
  std::vector<TensorInfo> tensors = converted_tensors(
      *source, wanted, output.extension() == ".gguf" ? Container::gguf : Container::safetensors);
  check_output_tensors(output, tensors);
  std::uint64_t bytes = 0;
  for (const TensorInfo& info : source->tensors()) bytes += info.bytes;
  OutputTransaction transaction(output, {.overwrite = options.overwrite});
  transaction.place_parts({}, {base});
  ConversionStatistics statistics;
  {
    const auto sink =
        create_checkpoint(transaction.work_path(), std::move(tensors), {*source, base});
    Progress progress("apply", bytes, Progress::Unit::bytes, options.common.progress_mode());
    statistics = convert_tensors(*source, *sink, options.common.parallel(), &progress);
  }
  if (!output_is_file(output) && fs::is_directory(base)) {
    copy_side_files(base, transaction.work_path());
    if (wanted) set_config_dtype(transaction.work_path(), *wanted);
    // Weights with scales were read as what they mean.
    drop_quantisation_config(transaction.work_path());
    take_adapter_vocabulary(options.base, options.model, *source, transaction.work_path());
  }
  transaction.commit();
  report_applied(options, source->tensors().size(), statistics.bytes_written);
}

// A model whose tensors are numbers that can be subtracted.
std::unique_ptr<TensorSource> open_whole_model(const std::string& path) {
  refuse_lone_adapter(path, "write BASE+ADAPTER for the model that it makes of its base");
  auto model = open_checkpoint(path);
  refuse_packed_weights(*model, without_adapters(path));
  return model;
}

void run_extract(const LoraOptions& options) {
  check_is_folder(options.output);
  check_output_is_no_input({options.base, options.model}, options.output);
  const auto base = open_whole_model(options.base);
  const auto tuned = open_whole_model(options.model);
  Progress progress("extract", tuned->tensors().size(), Progress::Unit::items,
                    options.common.progress_mode());
  AdapterResult result = extract_adapter(*base, *tuned,
                                         {.keep = options.keep(),
                                          .transposed = options.transposed,
                                          .seed = options.common.seed,
                                          .progress = &progress});
  progress.finish();
  result.adapter.base_model = options.base;
  write_result(options, result);
}

void run_merge_adapters(const LoraOptions& options) {
  check_is_folder(options.output);
  check_output_is_no_input({options.adapters.begin(), options.adapters.end()}, options.output);
  std::vector<Adapter> adapters;
  std::size_t modules = 0;
  for (const std::string& path : options.adapters) {
    adapters.push_back(open_adapter(path));
    modules = std::max(modules, adapters.back().modules.size());
  }
  AdapterMergeOptions merge{.method = options.method,
                            .weights = options.weights,
                            .parameters = options.parameters,
                            .keep = options.keep(),
                            .engine = {}};
  merge.engine.parallel = options.common.parallel();
  merge.engine.seed = options.common.seed;
  Progress progress("merge adapters", modules, Progress::Unit::items,
                    options.common.progress_mode());
  merge.progress = &progress;
  const AdapterResult result = merge_adapters(std::move(adapters), merge);
  progress.finish();
  write_result(options, result);
}

void add_keep_options(CLI::App& command, LoraOptions& options) {
  command
      .add_option("--rank", options.rank, "Keep at most this many singular values of every change")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N");
  command
      .add_option("--energy", options.energy,
                  "Keep as few singular values as hold this share of the sum of their squares")
      ->check(CLI::Range(1e-6, 1.0))
      ->type_name("SHARE");
}

void add_output_options(CLI::App& command, LoraOptions& options) {
  command
      .add_option("--dtype", options.dtype, "Number type of what is written: F32, F16, BF16, F64")
      ->type_name("TYPE");
  command.add_flag("--overwrite", options.overwrite, "Replace OUT if it exists");
}

void register_apply(CLI::App& lora) {
  CLI::App* command =
      lora.add_subcommand("apply", "Write the model that a PEFT adapter makes of its base");
  command->footer(example("amalgam lora apply base-model/ adapter/ adapted-model/"));
  auto options = std::make_shared<LoraOptions>();
  command->add_option("base", options->base, "Checkpoint")->required()->type_name("BASE");
  command->add_option("adapter", options->model, "Folder of a PEFT adapter: LoRA, DoRA or IA3")
      ->required()
      ->type_name("ADAPTER");
  command->add_option("output", options->output, "What to make, as in 'amalgam convert'")
      ->required()
      ->type_name("OUT");
  add_output_options(*command, *options);
  add_common_options(*command, options->common, {Common::json, Common::threads, Common::quiet});
  command->callback([options] { run_apply(*options); });
}

void register_extract(CLI::App& lora) {
  CLI::App* command = lora.add_subcommand(
      "extract", "Make a LoRA of the difference between a tuned model and its base");
  command->footer(
      example("amalgam lora extract base-model/ tuned-model/ adapter/ --rank 32\n"
              "amalgam lora extract base-model/ tuned-model/ adapter/ --energy 0.9 --dtype bf16"));
  auto options = std::make_shared<LoraOptions>();
  command->add_option("base", options->base, "Checkpoint")->required()->type_name("BASE");
  command->add_option("tuned", options->model, "Checkpoint tuned from it")
      ->required()
      ->type_name("FINETUNED");
  command->add_option("output", options->output, "Folder to make")->required()->type_name("OUT");
  add_keep_options(*command, *options);
  command->get_option("--rank")->description(
      "Keep at most this many singular values of every change (default 16 without --energy)");
  command->add_flag("--fan-in-fan-out", options->transposed,
                    "The model stores matrices as [inputs, outputs], as GPT-2 does");
  add_output_options(*command, *options);
  add_common_options(*command, options->common, {Common::json, Common::quiet, Common::seed});
  command->callback([options] { run_extract(*options); });
}

void register_merge_adapters(CLI::App& lora) {
  CLI::App* command = lora.add_subcommand("merge", "Merge LoRA adapters of one base into one");
  command->footer(
      example("amalgam lora merge math/ code/ -o both/ --weight 0.7 0.3\n"
              "amalgam lora merge math/ code/ -o both/ --method svd --rank 16\n"
              "amalgam lora merge math/ code/ -o both/ --method ties -p density=0.5 -p weight=1 "
              "--rank 32"));
  auto options = std::make_shared<LoraOptions>();
  command->add_option("adapters", options->adapters, "Folders of PEFT LoRA adapters")
      ->required()
      ->expected(-2)  // or more
      ->type_name("ADAPTER");
  command->add_option("-o,--output", options->output, "Folder to make")
      ->required()
      ->type_name("OUT");
  command
      ->add_option("--method", options->method,
                   "cat (factors side by side), exact (the same sum with the fewest factors), svd "
                   "(its best approximation within --rank or --energy), or a merge rule (ties, "
                   "dare_ties, ...; see 'amalgam merge methods')")
      ->capture_default_str()
      ->type_name("METHOD");
  command
      ->add_option("--weight", options->weights, "cat, exact and svd: one per adapter (default 1)")
      ->expected(1, 1000)
      ->delimiter(',')
      ->type_name("W");
  command
      ->add_option("-p,--parameter", options->parameters,
                   "Parameter of a merge rule, as in 'amalgam merge'")
      ->allow_extra_args(false)
      ->type_name("NAME=VALUE");
  add_keep_options(*command, *options);
  add_output_options(*command, *options);
  add_common_options(*command, options->common,
                     {Common::json, Common::quiet, Common::seed, Common::threads});
  command->callback([options] { run_merge_adapters(*options); });
}

}  // namespace

void register_lora(CLI::App& root) {
  CLI::App* app = root.add_subcommand("lora", "Apply, extract and merge adapters.");
  app->require_subcommand(1);
  register_apply(*app);
  register_extract(*app);
  register_merge_adapters(*app);
}

}  // namespace amalgam::cli
