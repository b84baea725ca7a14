#include <fmt/format.h>

#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/diffusion_parts.hpp"
#include "amalgam/checkpoint/packed_formats.hpp"
#include "amalgam/checkpoint/statistics.hpp"
#include "amalgam/core/text.hpp"
#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct InspectOptions {
  std::string path;
  bool statistics = false;
  CommonOptions common;
};

Json tensor_json(const TensorInfo& info) {
  return {{"name", info.name},
          {"dtype", dtype_name(info.dtype)},
          {"shape", info.shape},
          {"bytes", info.bytes}};
}

void add_statistics(Json& tensor, const ElementStatistics& statistics) {
  const auto number = [&](double value) { return statistics.count > 0 ? Json(value) : Json(); };
  tensor["min"] = number(statistics.min);
  tensor["max"] = number(statistics.max);
  tensor["mean"] = number(statistics.mean);
  tensor["std"] = number(statistics.standard_deviation());
  tensor["norm"] = number(statistics.norm());
  tensor["nan_count"] = statistics.nan_count;
  tensor["inf_count"] = statistics.inf_count;
}

std::vector<std::string> statistics_cells(const ElementStatistics& statistics) {
  const auto number = [&](double value) {
    return statistics.count > 0 ? format_number(value) : std::string("-");
  };
  return {number(statistics.min),
          number(statistics.max),
          number(statistics.mean),
          number(statistics.standard_deviation()),
          number(statistics.norm()),
          fmt::format("{}", statistics.nan_count),
          fmt::format("{}", statistics.inf_count)};
}

std::string totals(const TensorSource& source) {
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
  std::map<std::string_view, std::size_t> tensors_by_dtype;
  for (const TensorInfo& info : source.tensors()) {
    elements += info.elements;
    bytes += info.bytes;
    ++tensors_by_dtype[dtype_name(info.dtype)];
  }
  std::vector<std::string> parts;
  parts.reserve(tensors_by_dtype.size());
  for (const auto& [dtype, count] : tensors_by_dtype) {
    parts.push_back(fmt::format("{} {}", count, dtype));
  }
  return fmt::format("{} {} ({}), {} {}, {}\n", source.tensors().size(),
                     source.tensors().size() == 1 ? "tensor" : "tensors", join(parts, ", "),
                     elements, elements == 1 ? "element" : "elements", format_bytes(bytes));
}

// Long values (a recipe, a chat template) are cut: this is an overview.
std::string metadata_text(const TensorSource& source) {
  constexpr std::size_t kLongest = 80;
  std::string text;
  for (const auto& [key, value] : source.metadata()) {
    std::string shown = value.size() > kLongest ? value.substr(0, kLongest) + "..." : value;
    text += "  " + printable(key) + " = " + printable(std::move(shown)) + "\n";
  }
  return text.empty() ? text : "metadata:\n" + text;
}

std::string dtypes_of(const TensorSource& source, const DiffusionPart& part) {
  std::set<std::string> names;
  for (const std::size_t i : part.tensors) names.emplace(dtype_name(source.tensors()[i].dtype));
  return join(std::vector<std::string>(names.begin(), names.end()), ", ");
}

// Of a diffusion checkpoint: what is in it, and how large.
std::string parts_text(const TensorSource& source, const DiffusionLayout& layout) {
  Table table({{"part"},
               {"prefix"},
               {"dtype"},
               {"tensors", Table::Align::right},
               {"size", Table::Align::right}});
  for (const DiffusionPart& part : layout.parts) {
    table.add_row({part.name, part.prefix, dtypes_of(source, part),
                   std::to_string(part.tensors.size()), format_bytes(part.bytes)});
  }
  return "architecture: " + layout.architecture + "\n" + table.text();
}

Json parts_json(const TensorSource& source, const DiffusionLayout& layout) {
  Json parts = Json::array();
  for (const DiffusionPart& part : layout.parts) {
    parts.push_back({{"name", part.name},
                     {"prefix", part.prefix},
                     {"dtype", dtypes_of(source, part)},
                     {"tensors", part.tensors.size()},
                     {"bytes", part.bytes}});
  }
  return {{"architecture", layout.architecture}, {"parts", std::move(parts)}};
}

void print_human(const TensorSource& source, const std::string& format,
                 const std::vector<ElementStatistics>& statistics) {
  using Align = Table::Align;
  std::vector<Table::Column> columns = {{"name"}, {"dtype"}, {"shape"}, {"size", Align::right}};
  if (!statistics.empty()) {
    for (const char* title : {"min", "max", "mean", "std", "norm", "nan", "inf"}) {
      columns.push_back({title, Align::right});
    }
  }
  Table table(std::move(columns));
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const TensorInfo& info = source.tensors()[i];
    std::vector<std::string> cells = {info.name, std::string(dtype_name(info.dtype)),
                                      format_shape(info.shape), format_bytes(info.bytes)};
    if (!statistics.empty()) {
      for (std::string& cell : statistics_cells(statistics[i])) cells.push_back(std::move(cell));
    }
    table.add_row(std::move(cells));
  }
  print(fmt::format("{}: {}\n", printable(source.label()), format));
  print(metadata_text(source));
  print(table.text());
  if (const auto layout = find_diffusion_parts(source)) print(parts_text(source, *layout));
  print(totals(source));
}

void inspect(const InspectOptions& options) {
  const std::unique_ptr<TensorSource> source = open_checkpoint(options.path);
  std::vector<ElementStatistics> statistics;
  if (options.statistics) {
    refuse_unscaled_fp8(*source, without_adapters(options.path));
    std::uint64_t bytes = 0;
    for (const TensorInfo& info : source->tensors()) bytes += info.bytes;
    Progress progress("inspect", bytes, Progress::Unit::bytes, options.common.progress_mode());
    statistics = tensor_statistics(*source, options.common.parallel(), &progress);
  }
  if (!options.common.json) {
    print_human(*source, std::string(format_name(detect_format(options.path))), statistics);
    return;
  }
  Json tensors = Json::array();
  for (std::size_t i = 0; i < source->tensors().size(); ++i) {
    Json tensor = tensor_json(source->tensors()[i]);
    if (options.statistics) add_statistics(tensor, statistics[i]);
    tensors.push_back(std::move(tensor));
  }
  Json json = {{"tensors", std::move(tensors)}};
  if (!source->metadata().empty()) json["metadata"] = source->metadata();
  if (const auto layout = find_diffusion_parts(*source)) {
    json["diffusion"] = parts_json(*source, *layout);
  }
  print_json(json);
}

}  // namespace

void register_inspect(CLI::App& root) {
  CLI::App* command = root.add_subcommand(
      "inspect", "Show the tensors of a checkpoint: names, types, shapes, sizes, statistics");
  command->footer(
      example("amalgam inspect model/ --stats\n"
              "amalgam inspect model.gguf --json"));
  auto options = std::make_shared<InspectOptions>();
  command
      ->add_option("path", options->path, "Hugging Face folder, safetensors, GGUF or PyTorch file")
      ->required()
      ->type_name("PATH");
  command->add_flag("--stats", options->statistics,
                    "Also minimum, maximum, mean, standard deviation (divisor n) and norm of the "
                    "finite elements, and counts of NaN and infinity; reads everything");
  add_common_options(*command, options->common, {Common::json, Common::threads, Common::quiet});
  command->callback([options] { inspect(*options); });
}

}  // namespace amalgam::cli
