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
#include "amalgam/checkpoint/packed_formats.hpp"
#include "amalgam/checkpoint/quantised_types.hpp"
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

// What --dtype (or --quant) asks for: a plain type, FP8 weights with scales, or quantised matrices
// in GGUF.
struct Wanted {
  std::optional<DType> dtype;
  std::optional<Quantisation> quantisation;
  std::optional<Fp8Scaling> fp8;
};

Wanted wanted_types(const ConvertOptions& options) {
  const bool is_quant = !options.quant.empty();
  const std::string& name = is_quant ? options.quant : options.dtype;
  if (name.empty()) return {};
  const std::optional<Quantisation> quantisation = parse_quantisation(name);
  if (quantisation) {
    if (fs::path(options.output).extension() != ".gguf") {
      throw InputError("{}: only GGUF files hold {}; expected an output that ends in .gguf",
                       options.output, name);
    }
    return {.quantisation = quantisation};
  }
  if (const auto fp8 = parse_fp8_scaling(name); fp8 && !is_quant) {
    if (fs::path(options.output).extension() == ".gguf") {
      throw InputError("{}: GGUF has no {}; expected another output, or a type such as Q8_0",
                       options.output, name);
    }
    return {.fp8 = fp8};
  }
  const std::optional<DType> dtype = parse_dtype(name);
  if (is_quant || !dtype || !dtype_is_floating(*dtype) || dtype_is_quantised(*dtype)) {
    throw InputError("{}: '{}' is no type to convert to; expected {}for GGUF {}",
                     is_quant ? "--quant" : "--dtype", name,
                     is_quant ? ""
                              : "F64, F32, F16, BF16, F8_E4M3, F8_E5M2, fp8_block, fp8_channel or "
                                "fp8_tensor, or ",
                     writable_quantisations());
  }
  return {.dtype = dtype};
}

std::uint64_t shard_bytes(const ConvertOptions& options) {
  if (options.shard_size.empty()) return kDefaultShardBytes;
  const std::uint64_t bytes = parse_bytes(options.shard_size, "--shard-size");
  if (bytes == 0) throw InputError("--shard-size is 0; expected at least one byte");
  return bytes;
}

std::optional<ImportanceMatrix> importance_of(const ConvertOptions& options, const Wanted& wanted) {
  if (options.imatrix.empty()) return std::nullopt;
  if (!wanted.quantisation) {
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

void report(const ConvertOptions& options, const TensorSource& source,
            const ConversionStatistics& statistics) {
  if (options.common.json) {
    Json json = {{"output", options.output},
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
  log::info("{}: {} {} ({} converted), {} read, {} written{}{}", options.output,
            source.tensors().size(), source.tensors().size() == 1 ? "tensor" : "tensors",
            statistics.tensors_converted, format_bytes(statistics.bytes_read),
            format_bytes(statistics.bytes_written), summary.empty() ? "" : "; ", summary);
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

// A GGUF file is split if a size was asked for that it is larger than.
std::unique_ptr<TensorSink> make_sink(const ConvertOptions& options, OutputTransaction& transaction,
                                      std::vector<TensorInfo> tensors, const OutputOrigin& origin) {
  const fs::path& place = transaction.work_path();
  std::uint64_t bytes = 0;
  for (const TensorInfo& info : tensors) bytes += info.bytes;
  const bool is_split = fs::path(options.output).extension() == ".gguf" &&
                        !options.shard_size.empty() && bytes > shard_bytes(options);
  if (!is_split) return create_checkpoint(place, std::move(tensors), origin, shard_bytes(options));
  GgufParts parts =
      create_split_checkpoint(place, std::move(tensors), origin, shard_bytes(options));
  for (const fs::path& part : parts.files) {
    check_output_is_no_input({origin.path},
                             fs::path(options.output).parent_path() / part.filename());
  }
  transaction.place_parts(parts.files);
  return std::move(parts.sink);
}

// FP8 weights with scales: those that are asked for, or, where nothing is, those of the input.
std::optional<Fp8Choice> fp8_choice(const Wanted& wanted, const fs::path& model,
                                    const fs::path& output) {
  if (wanted.fp8) return Fp8Choice::with(*wanted.fp8, *open_checkpoint(model));
  return wanted.dtype || wanted.quantisation ? std::nullopt : fp8_as_in(model, output);
}

void convert_to_fp8(const ConvertOptions& options, std::shared_ptr<const TensorSource> source,
                    Fp8Choice choice) {
  const fs::path model = without_adapters(options.input);
  const std::uint64_t shards = shard_bytes(options);
  OutputTransaction transaction(options.output, {.overwrite = options.overwrite});
  const MergeStatistics done = write_fp8({source, model, options.output, std::move(choice), shards},
                                         transaction, options.common);
  transaction.commit();
  report(options, *source,
         {.bytes_read = done.bytes_read,
          .bytes_written = done.bytes_written,
          .tensors_converted = done.tensors_merged,
          .errors = done.errors});
}

void convert(const ConvertOptions& options) {
  if (options.csr) return convert_to_csr(options);
  const Wanted wanted = wanted_types(options);
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
  // Packed weights may go from container to container, but are no numbers to convert.
  if (wanted.dtype || is_gguf) refuse_packed_weights(*source, model);
  std::vector<TensorInfo> tensors =
      wanted.quantisation ? quantised_tensors(*source, *wanted.quantisation)
                          : converted_tensors(*source, wanted.dtype,
                                              is_gguf ? Container::gguf : Container::safetensors);

  OutputTransaction transaction(output, {.overwrite = options.overwrite});
  ConversionStatistics statistics;
  {
    const std::unique_ptr<TensorSink> sink =
        make_sink(options, transaction, std::move(tensors), {*source, model});
    statistics = run(*source, *sink, options, importance ? &*importance : nullptr);
  }
  if (!output_is_file(output) && fs::is_directory(model)) {
    copy_side_files(model, transaction.work_path());
    if (wanted.dtype) set_config_dtype(transaction.work_path(), *wanted.dtype);
    if (dynamic_cast<const ScaledFp8Source*>(source.get()) != nullptr) {
      drop_quantisation_config(transaction.work_path());
    }
  }
  transaction.commit();
  report(options, *source, statistics);
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
  command
      ->add_option("--shard-size", options->shard_size,
                   "Folders: begin a new file at this size (default 5GB). A .gguf output that is "
                   "larger is split: OUT-00001-of-00003.gguf and so on (default: never)")
      ->type_name("SIZE");
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
