#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/conversion.hpp"
#include "amalgam/checkpoint/create.hpp"
#include "amalgam/checkpoint/csr.hpp"
#include "amalgam/checkpoint/importance.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/output_tensors.hpp"
#include "amalgam/checkpoint/output_type.hpp"
#include "amalgam/checkpoint/packed_formats.hpp"
#include "amalgam/checkpoint/scaled_fp8.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/fp8_output.hpp"
#include "cli/output.hpp"
#include "cli/quantisation_report.hpp"
#include "cli/shard_size.hpp"

namespace amalgam::cli {
namespace {

namespace fs = std::filesystem;

struct ConvertOptions {
  std::string input;
  std::string output;
  std::string dtype;
  std::string quant;
  std::string imatrix;
  bool errors = false;
  std::string shard_size;
  bool csr = false;
  std::string mask;
  bool overwrite = false;
  CommonOptions common;
};

// What --dtype (or --quant) asks for.
std::optional<OutputType> wanted_type(const ConvertOptions& options) {
  const bool is_quant = !options.quant.empty();
  const std::string& name = is_quant ? options.quant : options.dtype;
  if (name.empty()) return std::nullopt;
  const std::optional<OutputType> type = parse_output_type(name);
  if (!type || (is_quant && !std::holds_alternative<Quantisation>(*type))) {
    throw InputError("{}: '{}' is no type to convert to; expected {}",
                     is_quant ? "--quant" : "--dtype", name,
                     is_quant ? std::string(writable_quantisations()) : output_type_names());
  }
  check_output_holds(*type, options.output);
  return type;
}

template <class T>
std::optional<T> if_it_is(const std::optional<OutputType>& type) {
  const T* found = type ? std::get_if<T>(&*type) : nullptr;
  return found != nullptr ? std::optional(*found) : std::nullopt;
}

std::optional<ImportanceMatrix> importance_of(const ConvertOptions& options,
                                              const std::optional<OutputType>& wanted) {
  if (options.imatrix.empty()) return std::nullopt;
  if (!if_it_is<Quantisation>(wanted)) {
    throw InputError(
        "--imatrix: weighs the errors of quantising; expected --dtype Q4_K or the like");
  }
  return ImportanceMatrix::read(options.imatrix);
}

ConversionStatistics run(const TensorSource& source, TensorSink& sink,
                         const ConvertOptions& options, const ImportanceMatrix* importance) {
  std::uint64_t bytes = 0;
  for (const TensorInfo& info : source.tensors()) bytes += info.bytes;
  Progress progress("convert", bytes, Progress::Unit::bytes, options.common.progress_mode());
  return convert_tensors(source, sink, options.common.parallel(), &progress, importance);
}

// `output`: the file or folder to open.
void report(const ConvertOptions& options, const std::string& output, const TensorSource& source,
            const ConversionStatistics& statistics) {
  if (options.common.json) {
    Json json = {{"output", output},
                 {"tensors", source.tensors().size()},
                 {"tensors_converted", statistics.tensors_converted},
                 {"bytes_read", statistics.bytes_read},
                 {"bytes_written", statistics.bytes_written},
                 {"overflows", statistics.overflows}};
    if (!statistics.errors.empty()) json["quantisation"] = quantisation_as_json(statistics.errors);
    return print_json(json);
  }
  if (options.errors) print(quantisation_table(statistics.errors));
  const std::string summary = quantisation_summary(statistics.errors);
  log::info("{}: {} {} ({} converted), {} read, {} written{}{}", output, source.tensors().size(),
            source.tensors().size() == 1 ? "tensor" : "tensors", statistics.tensors_converted,
            format_bytes(statistics.bytes_read), format_bytes(statistics.bytes_written),
            summary.empty() ? "" : "; ", summary);
}

// Writes sparse tensors as compressed sparse rows.
void convert_to_csr(const ConvertOptions& options) {
  const fs::path output = options.output;
  if (output.extension() != ".safetensors") {
    throw InputError("{}: --csr writes a file; expected a name that ends in .safetensors",
                     options.output);
  }
  check_output_is_no_input({options.input}, output);
  const std::unique_ptr<TensorSource> source = open_checkpoint(options.input);
  // The file has no config beside it that would still speak of scales.
  refuse_unscaled_fp8(*source, without_adapters(options.input));
  const std::unique_ptr<TensorSource> mask =
      options.mask.empty() ? nullptr : open_checkpoint_file(options.mask);
  OutputTransaction transaction(output, {.overwrite = options.overwrite});
  const CsrStatistics made = write_csr(*source, mask.get(), transaction.work_path());
  transaction.commit();
  if (options.common.json) {
    return print_json({{"output", options.output},
                       {"tensors", source->tensors().size()},
                       {"sparse_tensors", made.tensors},
                       {"stored", made.stored},
                       {"elements", made.elements},
                       {"bytes_written", made.bytes}});
  }
  log::info("{}: {} of {} tensors as sparse rows, {} of their {} elements, {} written",
            options.output, made.tensors, source->tensors().size(), made.stored, made.elements,
            format_bytes(made.bytes));
}

// FP8 weights with scales: those that are asked for, or, where nothing is, those of the input.
std::optional<Fp8Choice> fp8_choice(const std::optional<OutputType>& wanted, const fs::path& model,
                                    const fs::path& output) {
  if (!wanted) return fp8_as_in(model, output);
  const auto scaling = if_it_is<Fp8Scaling>(wanted);
  return scaling ? std::optional(Fp8Choice::with(*scaling, *open_checkpoint(model))) : std::nullopt;
}

void convert_to_fp8(const ConvertOptions& options, std::shared_ptr<const TensorSource> source,
                    Fp8Choice choice) {
  const fs::path model = without_adapters(options.input);
  const std::uint64_t shards = parse_shard_size(options.shard_size).value_or(kDefaultShardBytes);
  OutputTransaction transaction(options.output, {.overwrite = options.overwrite});
  const MergeStatistics done = write_fp8({source, model, options.output, std::move(choice), shards},
                                         transaction, options.common);
  transaction.commit();
  report(options, options.output, *source,
         {.bytes_read = done.bytes_read,
          .bytes_written = done.bytes_written,
          .tensors_converted = done.tensors_merged,
          .errors = done.errors});
}

bool has_scaled_fp8(const TensorSource& source) {
  return dynamic_cast<const ScaledFp8Source*>(&source) != nullptr;
}

void convert(const ConvertOptions& options) {
  if (options.csr) return convert_to_csr(options);
  const std::optional<OutputType> wanted = wanted_type(options);
  const auto dtype = if_it_is<DType>(wanted);
  const auto quantisation = if_it_is<Quantisation>(wanted);
  const std::optional<std::uint64_t> shards = parse_shard_size(options.shard_size);
  const std::optional<ImportanceMatrix> importance = importance_of(options, wanted);
  const fs::path output = options.output;
  const bool is_gguf = output.extension() == ".gguf";
  const fs::path model = without_adapters(options.input);
  check_output_is_no_input({model}, output);
  std::unique_ptr<TensorSource> source = open_checkpoint(options.input);
  if (std::optional<Fp8Choice> fp8 = fp8_choice(wanted, model, output)) {
    refuse_packed_weights(*source, model);
    return convert_to_fp8(options, std::move(source), std::move(*fp8));
  }
  const bool is_adapted = model != options.input;
  const bool is_scaled = has_scaled_fp8(is_adapted ? *open_checkpoint(model) : *source);
  // Packed weights, and FP8 ones in a layout that is only read, may go from container to container,
  // but are no numbers to convert.
  const bool computes = dtype || is_gguf || is_adapted;
  if (computes) {
    refuse_packed_weights(*source, model);
  } else if (is_scaled) {
    source = open_stored_checkpoint(model);
  }
  std::vector<TensorInfo> tensors =
      quantisation
          ? quantised_tensors(*source, *quantisation)
          : converted_tensors(*source, dtype, is_gguf ? Container::gguf : Container::safetensors);
  check_output_tensors(output, tensors);

  OutputTransaction transaction(output, {.overwrite = options.overwrite});
  transaction.place_parts(output_parts(transaction.work_path(), tensors, shards), {model});
  ConversionStatistics statistics;
  std::string place;
  {
    const CreatedOutput made =
        create_output(transaction.work_path(), std::move(tensors), {*source, model}, shards);
    place = path_to_open(output, made.parts).string();
    statistics = run(*source, *made.sink, options, importance ? &*importance : nullptr);
  }
  if (!output_is_file(output) && fs::is_directory(model)) {
    copy_side_files(model, transaction.work_path());
    if (dtype) set_config_dtype(transaction.work_path(), *dtype);
    if (computes && is_scaled) drop_quantisation_config(transaction.work_path());
  }
  transaction.commit();
  report(options, place, *source, statistics);
}

}  // namespace

void register_convert(CLI::App& root) {
  CLI::App* command = root.add_subcommand(
      "convert", "Convert a checkpoint to another format or number type, in bounded memory");
  command->footer(example(
      "amalgam convert model/ model-bf16/ --dtype bf16\n"
      "amalgam convert model/ model-fp8/ --dtype fp8_block\n"
      "amalgam convert model-f16.gguf model-q4_k_m.gguf --dtype q4_k_m --errors\n"
      "amalgam convert model-f16.gguf model-q3_k.gguf --dtype q3_k --imatrix model.imatrix"));
  auto options = std::make_shared<ConvertOptions>();
  command
      ->add_option("input", options->input,
                   "Hugging Face folder, safetensors, GGUF or PyTorch file")
      ->required()
      ->type_name("IN");
  command
      ->add_option("output", options->output,
                   "What to make: a file if it ends in .safetensors or .gguf, else a folder of "
                   "safetensors with the config and tokenizer of the input folder")
      ->required()
      ->type_name("OUT");
  CLI::Option* dtype =
      command
          ->add_option("--dtype", options->dtype,
                       "Number type of all floating-point tensors: F64, F32, F16, BF16, F8_E4M3 or "
                       "F8_E5M2; or fp8_block, fp8_channel, fp8_tensor: the matrices of layers "
                       "become FP8 with scales per 128 x 128 block, per row or per tensor. By "
                       "default each tensor keeps its own type, FP8 with scales too (what the "
                       "format has not: F32 for "
                       "quantised tensors in safetensors, F16 for F8 in GGUF). For GGUF also Q8_0, "
                       "Q6_K, Q5_K, Q5_1, Q5_0, Q4_K, Q4_1, Q4_0, IQ4_NL, IQ4_XS, Q3_K, Q2_K, and "
                       "the mixtures Q5_K_M, Q4_K_M and Q3_K_M: matrices are quantised, the other "
                       "tensors stay F32, F16 or BF16")
          ->type_name("TYPE");
  command->add_option("--quant", options->quant, "The same as --dtype, for quantised types only")
      ->type_name("TYPE")
      ->excludes(dtype);
  command
      ->add_option("--imatrix", options->imatrix,
                   "Quantised types: weigh errors by this importance matrix (of llama-imatrix, in "
                   "either form), whose names are those of a GGUF model")
      ->type_name("FILE");
  command->add_flag("--errors", options->errors,
                    "Quantised types: print the error of every tensor, as a table (--json always "
                    "has it)");
  command->add_option("--shard-size", options->shard_size, kShardSizeHelp)->type_name("SIZE");
  CLI::Option* csr = command
                         ->add_flag("--csr", options->csr,
                                    "Store sparse tensors as compressed sparse rows, in one "
                                    ".safetensors file, which every command reads as before")
                         ->excludes(dtype);
  command
      ->add_option("--mask", options->mask,
                   "--csr: what a pruned network's mask keeps (NAME.mask.safetensors), zeros "
                   "included; by default what is not 0, where that is smaller")
      ->type_name("FILE")
      ->needs(csr);
  command->add_flag("--overwrite", options->overwrite, "Replace OUT if it exists");
  add_common_options(*command, options->common, {Common::json, Common::threads, Common::quiet});
  command->callback([options] { convert(*options); });
}

}  // namespace amalgam::cli
