#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/packed_formats.hpp"
#include "amalgam/checkpoint/statistics.hpp"
#include "amalgam/core/log.hpp"
#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct DiffOptions {
  std::string a;
  std::string b;
  std::string base;
  CommonOptions common;
};

struct Pairing {
  std::vector<ComparedTensor> pairs;
  std::vector<std::string> only_in_a;
  std::vector<std::string> only_in_b;
};

Pairing pair_tensors(const TensorSource& a, const TensorSource& b, const TensorSource* base) {
  Pairing result;
  for (std::size_t i = 0; i < a.tensors().size(); ++i) {
    const std::string& name = a.tensors()[i].name;
    const auto other = b.find(name);
    if (!other) {
      result.only_in_a.push_back(name);
      continue;
    }
    ComparedTensor pair{i, *other, std::nullopt};
    if (base != nullptr) {
      pair.base = base->find(name);
      if (!pair.base) {
        log::warn("{} has no tensor '{}': no cosine and sign conflict for it", base->label(), name);
      }
    }
    result.pairs.push_back(pair);
  }
  for (const TensorInfo& info : b.tensors()) {
    if (!a.find(info.name)) result.only_in_b.push_back(info.name);
  }
  return result;
}

std::uint64_t bytes_to_read(const Pairing& pairing, const TensorSource& a, const TensorSource& b,
                            const TensorSource* base) {
  std::uint64_t bytes = 0;
  for (const ComparedTensor& pair : pairing.pairs) {
    bytes += a.tensors()[pair.a].bytes + b.tensors()[pair.b].bytes;
    if (pair.base) bytes += base->tensors()[*pair.base].bytes;
  }
  return bytes;
}

Json number(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

std::string cell(const std::optional<double>& value) {
  return value ? format_number(*value) : std::string("-");
}

void print_result_json(const TensorSource& a, const Pairing& pairing,
                       const std::vector<TensorComparison>& compared) {
  Json tensors = Json::array();
  for (std::size_t i = 0; i < compared.size(); ++i) {
    const TensorComparison& one = compared[i];
    tensors.push_back({{"name", a.tensors()[pairing.pairs[i].a].name},
                       {"distance", one.distance()},
                       {"relative_distance", number(one.relative_distance())},
                       {"cosine", number(one.cosine())},
                       {"sign_conflict", number(one.sign_conflict())}});
  }
  print_json({{"tensors", std::move(tensors)},
              {"only_in_a", pairing.only_in_a},
              {"only_in_b", pairing.only_in_b}});
}

void print_human(const TensorSource& a, const TensorSource& b, bool with_base,
                 const Pairing& pairing, const std::vector<TensorComparison>& compared) {
  using Align = Table::Align;
  std::vector<Table::Column> columns = {
      {"name"}, {"distance", Align::right}, {"relative", Align::right}};
  if (with_base) {
    columns.push_back({"cosine", Align::right});
    columns.push_back({"sign conflict", Align::right});
  }
  Table table(std::move(columns));
  const auto add = [&](const std::string& name, const TensorComparison& one) {
    std::vector<std::string> cells = {name, format_number(one.distance()),
                                      cell(one.relative_distance())};
    if (with_base) {
      cells.push_back(cell(one.cosine()));
      cells.push_back(cell(one.sign_conflict()));
    }
    table.add_row(std::move(cells));
  };
  TensorComparison all;
  for (std::size_t i = 0; i < compared.size(); ++i) {
    add(a.tensors()[pairing.pairs[i].a].name, compared[i]);
    // Tensors that the base lacks would only blur the shares of the others.
    if (!with_base || compared[i].has_base) all.combine(compared[i]);
  }
  add("all", all);
  print(table.text());
  for (const std::string& name : pairing.only_in_a) {
    print(fmt::format("only in {}: {}\n", printable(a.label()), printable(name)));
  }
  for (const std::string& name : pairing.only_in_b) {
    print(fmt::format("only in {}: {}\n", printable(b.label()), printable(name)));
  }
}

// FP8 weights whose scales are not applied are nothing to compare.
std::unique_ptr<TensorSource> open_numbers(const std::string& path) {
  std::unique_ptr<TensorSource> source = open_checkpoint(path);
  refuse_unscaled_fp8(*source, without_adapters(path));
  return source;
}

void diff(const DiffOptions& options) {
  const std::unique_ptr<TensorSource> a = open_numbers(options.a);
  const std::unique_ptr<TensorSource> b = open_numbers(options.b);
  const bool with_base = !options.base.empty();
  const std::unique_ptr<TensorSource> base =
      with_base ? open_numbers(options.base) : std::unique_ptr<TensorSource>();
  const Pairing pairing = pair_tensors(*a, *b, base.get());
  std::vector<TensorComparison> compared;
  {
    Progress progress("diff", bytes_to_read(pairing, *a, *b, base.get()), Progress::Unit::bytes,
                      options.common.progress_mode());
    compared =
        compare_tensors(*a, *b, base.get(), pairing.pairs, options.common.parallel(), &progress);
  }
  if (options.common.json) {
    print_result_json(*a, pairing, compared);
  } else {
    print_human(*a, *b, with_base, pairing, compared);
  }
}

}  // namespace

void register_diff(CLI::App& root) {
  CLI::App* command = root.add_subcommand(
      "diff", "Compare two checkpoints tensor by tensor: the figures one chooses a method by");
  command->footer(example("amalgam diff math-model/ code-model/ --base base-model/"));
  auto options = std::make_shared<DiffOptions>();
  command->add_option("a", options->a, "Checkpoint")->required()->type_name("A");
  command->add_option("b", options->b, "Checkpoint")->required()->type_name("B");
  command
      ->add_option(
          "--base", options->base,
          "Common ancestor C: adds the cosine of the task vectors A - C and B - C, and the "
          "share of elements where both are nonzero and of opposite sign")
      ->type_name("C");
  add_common_options(*command, options->common, {Common::json, Common::threads, Common::quiet});
  command->callback([options] { diff(*options); });
}

}  // namespace amalgam::cli
