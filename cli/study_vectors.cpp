// `amalgam study vectors`: how the task vectors of several checkpoints lie to each other.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/packed_formats.hpp"
#include "amalgam/checkpoint/statistics.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"
#include "cli/study_commands.hpp"

namespace amalgam::cli {
namespace {

struct VectorStudy {
  std::string base;
  std::vector<std::string> members;
  std::string merged;
  CommonOptions common;
};

using Source = std::unique_ptr<TensorSource>;

// All tensors of `a` with those of the same name in `b`.
std::vector<ComparedTensor> same_tensors(const TensorSource& a, const TensorSource& b,
                                         const TensorSource* base) {
  const auto find = [&](const TensorSource& in, const std::string& name) {
    const auto found = in.find(name);
    if (!found) {
      throw InputError("{}: tensor '{}' of {} is missing; expected the same tensors in all",
                       in.label(), name, a.label());
    }
    return *found;
  };
  std::vector<ComparedTensor> pairs;
  for (std::size_t i = 0; i < a.tensors().size(); ++i) {
    const std::string& name = a.tensors()[i].name;
    ComparedTensor pair{i, find(b, name), std::nullopt};
    if (base != nullptr) pair.base = find(*base, name);
    pairs.push_back(pair);
  }
  return pairs;
}

TensorComparison total(const std::vector<TensorComparison>& parts) {
  TensorComparison all;
  for (const TensorComparison& part : parts) all.combine(part);
  return all;
}

struct Model {
  std::string path;
  Source source;
  double length = 0;    // of its task vector
  double relative = 0;  // that by the base's norm
};

struct Pair {
  std::size_t first = 0;
  std::size_t second = 0;
  std::vector<TensorComparison> tensors;
  TensorComparison all;
};

struct Comparison {
  std::vector<Model> models;
  std::vector<Pair> pairs;

  // 1 on the diagonal; nothing where a task vector is zero.
  std::optional<double> cosine(std::size_t a, std::size_t b) const {
    for (const Pair& pair : pairs) {
      if (pair.first == std::min(a, b) && pair.second == std::max(a, b)) return pair.all.cosine();
    }
    return models[a].length > 0 ? std::optional(1.0) : std::nullopt;
  }
};

std::uint64_t bytes_of(const TensorSource& source) {
  std::uint64_t bytes = 0;
  for (const TensorInfo& tensor : source.tensors()) bytes += tensor.bytes;
  return bytes;
}

// FP8 weights whose scales are not applied are nothing to compare.
Source open_numbers(const std::string& path) {
  Source source = open_checkpoint(path);
  refuse_unscaled_fp8(*source, without_adapters(path));
  return source;
}

Comparison compare(const VectorStudy& study) {
  const Source base = open_numbers(study.base);
  Comparison result;
  std::vector<std::string> paths = study.members;
  if (!study.merged.empty()) paths.push_back(study.merged);
  for (const std::string& path : paths) result.models.push_back({path, open_numbers(path)});
  const std::size_t count = result.models.size();
  const std::uint64_t passes = 2 * count + 3 * (count * (count - 1) / 2);
  Progress progress("comparing", passes * bytes_of(*base), Progress::Unit::bytes,
                    study.common.progress_mode());
  const auto compared = [&](const TensorSource& a, const TensorSource& b,
                            const TensorSource* origin) {
    return compare_tensors(a, b, origin, same_tensors(a, b, origin), study.common.parallel(),
                           &progress);
  };
  for (Model& model : result.models) {
    const TensorComparison one = total(compared(*model.source, *base, nullptr));
    model.length = one.distance();
    model.relative = one.squares_b > 0 ? one.distance() / std::sqrt(one.squares_b) : 0;
  }
  for (std::size_t a = 0; a < count; ++a) {
    for (std::size_t b = a + 1; b < count; ++b) {
      Pair pair{a, b, compared(*result.models[a].source, *result.models[b].source, base.get()), {}};
      pair.all = total(pair.tensors);
      result.pairs.push_back(std::move(pair));
    }
  }
  progress.finish();
  return result;
}

// Task vectors that are as long as the weights and point the same way are mostly the base itself.
void warn_of_another_base(const Comparison& comparison, const VectorStudy& study) {
  for (const Pair& pair : comparison.pairs) {
    const Model& a = comparison.models[pair.first];
    const Model& b = comparison.models[pair.second];
    if (pair.all.cosine().value_or(0) < .9 || std::min(a.relative, b.relative) < .5) continue;
    log::warn(
        "{} and {}: task vectors of {:.2f} and {:.2f} times the norm of {} with cosine {:.2f}: they"
        " probably do not share this base",
        a.path, b.path, a.relative, b.relative, study.base, *pair.all.cosine());
  }
}

Json number(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

void print_result_json(const Comparison& comparison, const VectorStudy& study) {
  Json json{{"base", study.base},
            {"models", Json::array()},
            {"cosines", Json::array()},
            {"pairs", Json::array()}};
  for (std::size_t a = 0; a < comparison.models.size(); ++a) {
    const Model& model = comparison.models[a];
    json["models"].push_back({{"file", model.path},
                              {"merged", model.path == study.merged},
                              {"norm", model.length},
                              {"relative_norm", model.relative}});
    Json row = Json::array();
    for (std::size_t b = 0; b < comparison.models.size(); ++b) {
      row.push_back(number(comparison.cosine(a, b)));
    }
    json["cosines"].push_back(std::move(row));
  }
  for (const Pair& pair : comparison.pairs) {
    Json one{{"files", {comparison.models[pair.first].path, comparison.models[pair.second].path}},
             {"cosine", number(pair.all.cosine())},
             {"sign_conflict", number(pair.all.sign_conflict())},
             {"tensors", Json::array()}};
    const TensorSource& source = *comparison.models[pair.first].source;
    for (std::size_t i = 0; i < pair.tensors.size(); ++i) {
      one["tensors"].push_back({{"name", source.tensors()[i].name},
                                {"cosine", number(pair.tensors[i].cosine())},
                                {"sign_conflict", number(pair.tensors[i].sign_conflict())}});
    }
    json["pairs"].push_back(std::move(one));
  }
  print_json(json);
}

void print_tables(const Comparison& comparison) {
  using Align = Table::Align;
  std::vector<Table::Column> columns{
      {""}, {"task vector"}, {"norm", Align::right}, {"of the base's", Align::right}};
  for (std::size_t a = 0; a < comparison.models.size(); ++a) {
    columns.push_back({fmt::format("cosine {}", a + 1), Align::right});
  }
  Table table(columns);
  for (std::size_t a = 0; a < comparison.models.size(); ++a) {
    const Model& model = comparison.models[a];
    std::vector<std::string> row{std::to_string(a + 1), model.path, format_number(model.length),
                                 fmt::format("{:.4f}", model.relative)};
    for (std::size_t b = 0; b < comparison.models.size(); ++b) {
      const auto cosine = comparison.cosine(a, b);
      row.push_back(cosine ? fmt::format("{:.3f}", *cosine) : "-");
    }
    table.add_row(row);
  }
  print(table.text());
  if (comparison.pairs.empty()) return;
  Table conflicts({{"pair"}, {"opposite signs %", Align::right}});
  for (const Pair& pair : comparison.pairs) {
    const auto share = pair.all.sign_conflict();
    conflicts.add_row({fmt::format("{}, {}", pair.first + 1, pair.second + 1),
                       share ? fmt::format("{:.2f}", 100 * *share) : "-"});
  }
  print("\n" + conflicts.text());
}

void run(const VectorStudy& study) {
  const Comparison comparison = compare(study);
  warn_of_another_base(comparison, study);
  if (study.common.json) return print_result_json(comparison, study);
  if (!study.common.quiet) print_tables(comparison);
}

}  // namespace

void register_study_vectors(CLI::App& parent) {
  CLI::App* command = parent.add_subcommand(
      "vectors",
      "How the task vectors of checkpoints lie to each other: norms, cosines, opposite signs.");
  command->footer(
      example("amalgam study vectors base/ math/ code/ chat/\n"
              "amalgam study vectors base/ math/ code/ --merged merged/ --json"));
  auto study = std::make_shared<VectorStudy>();
  command->add_option("base", study->base, "What the checkpoints were fine-tuned from")
      ->required()
      ->type_name("BASE");
  command->add_option("members", study->members, "The fine-tuned checkpoints")
      ->required()
      ->type_name("MEMBER");
  command->add_option("--merged", study->merged, "A merge of them, listed beside them")
      ->type_name("MERGED");
  add_common_options(*command, study->common, {Common::json, Common::quiet, Common::threads});
  command->callback([study] { run(*study); });
}

}  // namespace amalgam::cli
