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
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/packed_formats.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

namespace fs = std::filesystem;

struct ConvertOptions {
  std::string input;
  std::string output;
  std::string dtype;
  std::string quant;
  std::string shard_size;
  bool csr = false;
  std::string mask;
  bool overwrite = false;
  CommonOptions common;
};

std::optional<DType> wanted_dtype(const ConvertOptions& options) {
  const bool is_quantised = !options.quant.empty();
  const std::string& name = is_quantised ? options.quant : options.dtype;
  if (name.empty()) return std::nullopt;
  const std::optional<DType> dtype = parse_dtype(name);
  const bool fits =
      dtype && dtype_is_floating(*dtype) && dtype_is_quantised(*dtype) == is_quantised;
  if (!fits && is_quantised) {
    throw InputError(
        "--quant: '{}' is no type to convert to; expected Q8_0, Q5_1, Q5_0, Q4_1 or Q4_0", name);
  }
  if (!fits) {
    throw InputError(
        "--dtype: '{}' is no type to convert to; expected F64, F32, F16, BF16, F8_E4M3 or F8_E5M2 "
        "(quantised types: --quant)",
        name);
  }
  return dtype;
}

std::uint64_t shard_bytes(const ConvertOptions& options) {
  if (options.shard_size.empty()) return kDefaultShardBytes;
  const std::uint64_t bytes = parse_bytes(options.shard_size, "--shard-size");
  if (bytes == 0) throw InputError("--shard-size is 0; expected at least one byte");
  return bytes;
}

ConversionStatistics run(const TensorSource& source, TensorSink& sink,
                         const ConvertOptions& options) {
  std::uint64_t bytes = 0;
  for (const TensorInfo& info : source.tensors()) bytes += info.bytes;
  Progress progress("convert", bytes, Progress::Unit::bytes, options.common.progress_mode());
  return convert_tensors(source, sink, options.common.parallel(), &progress);
}

void report(const ConvertOptions& options, const TensorSource& source,
            const ConversionStatistics& statistics) {
  if (options.common.json) {
    print_json({{"output", options.output},
                {"tensors", source.tensors().size()},
                {"tensors_converted", statistics.tensors_converted},
                {"bytes_read", statistics.bytes_read},
                {"bytes_written", statistics.bytes_written},
                {"overflows", statistics.overflows}});
  } else {
    log::info("{}: {} {} ({} converted), {} read, {} written", options.output,
              source.tensors().size(), source.tensors().size() == 1 ? "tensor" : "tensors",
              statistics.tensors_converted, format_bytes(statistics.bytes_read),
              format_bytes(statistics.bytes_written));
  }
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

void convert(const ConvertOptions& options) {
  if (options.csr) return convert_to_csr(options);
  const std::optional<DType> wanted = wanted_dtype(options);
  const fs::path output = options.output;
  const fs::path model = without_adapters(options.input);
  check_output_is_no_input({model}, output);
  const std::unique_ptr<TensorSource> source = open_checkpoint(options.input);
  // Packed weights may go from container to container, but are no numbers to convert.
  if (wanted || output.extension() == ".gguf") refuse_packed_weights(*source, model);
  std::vector<TensorInfo> tensors = converted_tensors(
      *source, wanted, output.extension() == ".gguf" ? Container::gguf : Container::safetensors);

  OutputTransaction transaction(output, {.overwrite = options.overwrite});
  ConversionStatistics statistics;
  {
    const std::unique_ptr<TensorSink> sink = create_checkpoint(
        transaction.work_path(), std::move(tensors), {*source, model}, shard_bytes(options));
    statistics = run(*source, *sink, options);
  }
  if (!output_is_file(output) && fs::is_directory(model)) {
    copy_side_files(model, transaction.work_path());
    if (wanted) set_config_dtype(transaction.work_path(), *wanted);
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
  command->footer(
      example("amalgam convert model/ model-bf16/ --dtype bf16\n"
              "amalgam convert model.safetensors model.gguf --quant q8_0"));
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
                       "F8_E5M2; by default each keeps its own (what the format has not: F32 for "
                       "quantised tensors in safetensors, F16 for F8 in GGUF)")
          ->type_name("TYPE");
  command
      ->add_option("--quant", options->quant,
                   "GGUF only: Q8_0, Q5_1, Q5_0, Q4_1 or Q4_0 for 2-d tensors whose rows are "
                   "multiples of 32; the others stay F32, F16 or BF16")
      ->type_name("TYPE")
      ->excludes(dtype);
  command
      ->add_option("--shard-size", options->shard_size,
                   "Folders: begin a new file at this size (default 5GB)")
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
