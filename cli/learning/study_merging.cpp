// `amalgam study merging`: what matters when one's own experts are merged.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/description/options.hpp"
#include "amalgam/learning/load_dataset.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/recipe.hpp"
#include "amalgam/learning/trainer.hpp"
#include "amalgam/weights/learned/merge_study.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/learning/evaluation_output.hpp"
#include "cli/learning/study.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using learned::StudyFinding;
using learned::StudyOptions;
using learned::StudyRow;
using learned::StudySetting;
using learning::Dataset;
using learning::Options;

constexpr std::size_t kMostSettings = 10'000;
constexpr std::size_t kMostExperts = 100;

struct MergingStudy {
  std::string recipe;
  CommonOptions common;
};

// One task, to choose parameters by and to judge by.
struct Task {
  std::string name;
  learning::DataRecipe data;
};

struct SettingFiles {
  std::string base;
  double size = 1;
  std::uint64_t seed = 0;
  std::string model;
  std::vector<std::string> experts;
};

struct StudyRecipe {
  std::vector<Task> tasks;
  std::vector<Task> held_out;
  std::vector<SettingFiles> settings;
  StudyOptions options;
};

std::vector<Task> parse_tasks(const Json& json, const std::string& where) {
  std::vector<Task> tasks;
  if (!json.is_array() || json.size() > kMostExperts) {
    throw InputError("{}: expected a list of at most {} data sets", where, kMostExperts);
  }
  for (const Json& one : json) {
    const std::string place = fmt::format("{}[{}]", where, tasks.size());
    Json keys = one;
    if (!keys.is_object()) throw InputError("{}: expected keys and values", place);
    Task task;
    if (keys.contains("name")) {
      task.name = Options(one, place).text("name", "");
      keys.erase("name");
    }
    task.data = learning::parse_data_recipe(keys, place);
    if (task.name.empty()) task.name = task.data.describe("");
    tasks.push_back(std::move(task));
  }
  return tasks;
}

SettingFiles parse_setting(const Json& json, const std::string& where) {
  Options options(json, where);
  SettingFiles files;
  files.base = options.text("base", "base");
  files.size = options.number("size", 1, 1e-12, 1e18);
  files.seed = options.count("seed", 0, 0, 1ULL << 53);
  files.model = options.text("model", "");
  files.experts = options.texts("experts", kMostExperts);
  options.finish();
  if (files.model.empty()) options.refuse("model", "the base's checkpoint");
  return files;
}

StudyRecipe parse_study(const std::string& path) {
  constexpr std::uint64_t kMostBytes = 10'000'000;
  const Json json = learning::yaml_to_json(read_text_file(path, kMostBytes), path);
  Options options(json, path);
  StudyRecipe study;
  for (const char* key : {"tasks", "settings", "held_out"}) {
    if (!options.has(key) && key != std::string_view("held_out")) {
      options.refuse(key, "a list");
    }
  }
  study.tasks = parse_tasks(json["tasks"], path + ": tasks");
  if (json.contains("held_out")) {
    study.held_out = parse_tasks(json["held_out"], path + ": held_out");
  }
  if (!json["settings"].is_array() || json["settings"].empty() ||
      json["settings"].size() > kMostSettings) {
    options.refuse("settings", "a list of base, size, seed, model and experts");
  }
  for (const Json& one : json["settings"]) {
    const std::string where = fmt::format("{}: settings[{}]", path, study.settings.size());
    study.settings.push_back(parse_setting(one, where));
    if (study.settings.back().experts.size() != study.tasks.size()) {
      throw InputError("{}: {} experts for {} tasks; expected one per task, in their order", where,
                       study.settings.back().experts.size(), study.tasks.size());
    }
  }
  study.options.counts.clear();
  const auto all = static_cast<std::int64_t>(study.tasks.size());
  for (const std::int64_t count : options.counts("counts", {all}, 1, all, kMostExperts)) {
    study.options.counts.push_back(static_cast<std::size_t>(count));
  }
  study.options.subsets = options.count("subsets", 1, 1, 1000);
  options.finish();
  return study;
}

StudySetting load(const SettingFiles& files, const StudyRecipe& study, std::uint64_t seed) {
  StudySetting setting{.base = files.base, .size = files.size, .seed = files.seed};
  setting.network = learning::load_network(*open_checkpoint(files.model));
  const learning::NetworkDescription& network = setting.network->description();
  const auto load_task = [&](const Task& task, Split split) {
    learning::Dataset data = learning::load_dataset(task.data, split, seed, &network);
    learning::check_classes(data, "study merging");
    return data;
  };
  for (std::size_t i = 0; i < files.experts.size(); ++i) {
    setting.experts.push_back(
        learning::state_of(*learning::load_network(*open_checkpoint(files.experts[i]), network)));
    setting.validation.push_back(load_task(study.tasks[i], Split::validation));
    setting.test.push_back(load_task(study.tasks[i], Split::test));
  }
  for (const Task& task : study.held_out) {
    setting.held_out.push_back(load_task(task, Split::test));
  }
  return setting;
}

Json to_json(const StudyRow& row, const StudyRecipe& study) {
  Json json{{"base", row.base}, {"size", row.size}, {"seed", row.seed}, {"method", row.method}};
  json["experts"] = Json::array();
  for (const std::size_t expert : row.experts) json["experts"].push_back(study.tasks[expert].name);
  json["lambda"] = row.chosen;
  json["held_in"] = row.held_in;
  json["held_out"] = row.held_out;
  json["held_in_accuracy"] = row.held_in_raw;
  json["held_out_accuracy"] = row.held_out_raw;
  return json;
}

void print_study(const std::vector<StudyRow>& rows, const std::vector<StudyFinding>& findings) {
  using Align = Table::Align;
  Table table({{"base"},
               {"size", Align::right},
               {"seed", Align::right},
               {"experts", Align::right},
               {"method"},
               {"lambda", Align::right},
               {"held in", Align::right},
               {"held out", Align::right}});
  const auto text = [](double value, const char* nothing) {
    return std::isfinite(value) ? fmt::format("{:.3f}", value) : nothing;
  };
  for (const StudyRow& row : rows) {
    table.add_row({row.base, fmt::format("{}", row.size), std::to_string(row.seed),
                   std::to_string(row.experts.size()), row.method, text(row.chosen, ""),
                   text(row.held_in, "-"), text(row.held_out, "-")});
  }
  print(table.text());
  if (findings.empty()) return;
  Table found({{"finding"}, {"mean", Align::right}, {"95 % interval", Align::right}});
  for (const StudyFinding& one : findings) {
    found.add_row({one.text, fmt::format("{:+.3f}", one.estimate),
                   fmt::format("{:+.3f} to {:+.3f}", one.interval.low, one.interval.high)});
  }
  print("\n" + found.text());
}

void run(const MergingStudy& command) {
  learning::set_threads(command.common.threads);
  StudyRecipe study = parse_study(command.recipe);
  Progress progress("merging", study.settings.size(), Progress::Unit::items,
                    command.common.progress_mode());
  study.options.after_merge = check_interrupt;
  std::vector<StudyRow> rows;
  for (const SettingFiles& files : study.settings) {
    progress.describe(files.model);
    const auto more = learned::study_merges(load(files, study, command.common.seed), study.options);
    rows.insert(rows.end(), more.begin(), more.end());
    progress.advance(1);
  }
  progress.finish();
  const auto findings = learned::study_findings(rows);
  if (!command.common.json) {
    if (!command.common.quiet) print_study(rows, findings);
    return;
  }
  Json json{{"rows", Json::array()}, {"findings", Json::array()}};
  for (const StudyRow& row : rows) json["rows"].push_back(to_json(row, study));
  for (const StudyFinding& one : findings) {
    json["findings"].push_back({{"text", one.text},
                                {"estimate", one.estimate},
                                {"low", one.interval.low},
                                {"high", one.interval.high}});
  }
  print_json(json);
}

}  // namespace

void register_study_merging(CLI::App& parent) {
  CLI::App* command = parent.add_subcommand(
      "merging",
      "Merges experts by four methods, in different numbers, from different bases and sizes, and"
      " says what each of these does to held-in and held-out tasks.");
  command->footer(
      "Example of a study:\n"
      "  tasks: [{name: rotated, corrupt: rotate=90}, {name: inverted, corrupt: invert}]\n"
      "  held_out: [{name: upright}]\n"
      "  counts: [2]\n"
      "  settings:\n"
      "    - {base: strong, size: 64, seed: 1, model: base.safetensors,\n"
      "       experts: [rotated.safetensors, inverted.safetensors]}");
  auto study = std::make_shared<MergingStudy>();
  command
      ->add_option("study", study->recipe,
                   "A YAML file: tasks, held_out, counts, subsets, settings")
      ->required()
      ->type_name("STUDY.yml");
  add_learning_options(*command, study->common);
  command->callback([study] { run(*study); });
}

}  // namespace amalgam::cli
