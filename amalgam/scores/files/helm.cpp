#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/scores/files/exports.hpp"
#include "amalgam/scores/files/json_parts.hpp"

// What HELM writes: a folder for each run with run_spec.json (which model, which scenario),
// stats.json (means of metrics) and per_instance_stats.json (each instance, by trial and
// perturbation).
namespace amalgam::scores {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// The main metrics of HELM's scenarios.
const std::vector<std::string> kUsualMetrics{"quasi_exact_match",
                                             "exact_match",
                                             "quasi_prefix_exact_match",
                                             "f1_score",
                                             "rouge_2",
                                             "NDCG@10",
                                             "RR@10",
                                             "math_equiv_chain_of_thought",
                                             "math_equiv",
                                             "final_number_exact_match",
                                             "chain_of_thought_correctness",
                                             "ifeval_strict_accuracy",
                                             "wildbench_score_rescaled",
                                             "omni_math_accuracy",
                                             "bleu_4",
                                             "classification_macro_f1",
                                             "annotated_accuracy",
                                             "safety_score"};

struct Run {
  std::string model;
  std::string task;
};

// "mmlu:subject=anatomy,model=openai_gpt-4" without the model.
std::string task_of_run(const std::string& name) {
  const std::size_t colon = name.find(':');
  if (colon == std::string::npos) return name;
  std::vector<std::string> kept;
  for (const std::string& part : split(std::string_view(name).substr(colon + 1), ',')) {
    if (!part.starts_with("model=") && !part.starts_with("model_deployment=")) {
      kept.push_back(part);
    }
  }
  std::string task = name.substr(0, colon);
  return kept.empty() ? task : task + ":" + join(kept, ",");
}

Run read_run_spec(const fs::path& path) {
  JsonParts parts = JsonParts::open(path, {.wanted = {"name", "adapter_spec"}});
  Run run;
  while (!parts.is_list() && parts.next()) {
    const Json value = parts.value();
    if (parts.key() == "name") {
      if (value.is_string()) run.task = task_of_run(value.get<std::string>());
    } else {
      run.model = text_member(value, "model").value_or("");
    }
  }
  if (run.task.empty() || run.model.empty()) {
    throw InputError("{}: it has no {}; expected the specification of a run of HELM", path.string(),
                     run.task.empty() ? "'name'" : "'adapter_spec' with a 'model'");
  }
  return run;
}

// Statistics by the split of their instances; those of test instances count if there are any.
class SplitValues {
 public:
  MetricValues& of(const std::string& split) { return values_[split]; }
  const MetricValues* counting() const {
    for (const std::string_view split : {"test", "valid", ""}) {
      const auto found = values_.find(split);
      if (found != values_.end()) return &found->second;
    }
    return nullptr;
  }

 private:
  std::map<std::string, MetricValues, std::less<>> values_;
};

// Adds a statistic of undisturbed inputs; `instance` is empty for one of the whole run.
void add_stat(const Json& stat, const std::string& instance, const std::string& place,
              SplitValues& values, Measurements& into) {
  const Json* name = member(stat, "name");
  const std::optional<std::string> metric =
      name != nullptr ? text_member(*name, "name") : std::nullopt;
  if (!metric) {
    throw InputError("{}: a statistic has no name; expected what HELM writes", place);
  }
  if (member(*name, "perturbation") != nullptr || member(*name, "sub_split") != nullptr) return;
  const Json* mean = member(stat, "mean");
  if (mean == nullptr || !mean->is_number()) {
    ++into.notes().missing;
    return;
  }
  const double value = mean->get<double>();
  if (!std::isfinite(value)) {
    throw InputError("{}: the mean of '{}' is infinite; expected a finite number", place,
                     printable(*metric));
  }
  values.of(text_member(*name, "split").value_or("")).add(instance, *metric, value);
}

JsonParts open_list(const fs::path& path, const Measurements& into) {
  JsonParts parts = JsonParts::open(path, {.on_bytes = into.format().on_bytes});
  if (!parts.is_list()) {
    throw InputError("{}: it is an object; expected a list of statistics, as HELM writes them",
                     path.string());
  }
  return parts;
}

SplitValues read_per_instance(const fs::path& path, Measurements& into) {
  SplitValues values;
  JsonParts parts = open_list(path, into);
  while (parts.next()) {
    const Json one = parts.value();
    const std::optional<std::string> instance = text_member(one, "instance_id");
    const Json* stats = member(one, "stats");
    if (!instance || stats == nullptr || !stats->is_array()) {
      throw InputError("{}: it has no 'instance_id' and 'stats'; expected what HELM writes",
                       parts.place());
    }
    if (member(one, "perturbation") != nullptr) continue;
    for (const Json& stat : *stats) add_stat(stat, *instance, parts.place(), values, into);
  }
  return values;
}

SplitValues read_stats(const fs::path& path, Measurements& into) {
  SplitValues values;
  JsonParts parts = open_list(path, into);
  while (parts.next()) add_stat(parts.value(), "", parts.place(), values, into);
  return values;
}

void read_run(const fs::path& folder, MetricChooser& chooser, Measurements& into) {
  const fs::path spec = folder / "run_spec.json";
  if (!names_file(spec)) {
    throw InputError("{}: there is no run_spec.json; expected a folder of a run of HELM",
                     folder.string());
  }
  const Run run = read_run_spec(spec);
  fs::path source = folder / "per_instance_stats.json";
  const bool by_instance = names_file(source);
  if (!by_instance) source = folder / "stats.json";
  if (!by_instance && !names_file(source)) {
    throw InputError("{}: there is neither per_instance_stats.json nor stats.json",
                     folder.string());
  }
  const SplitValues values =
      by_instance ? read_per_instance(source, into) : read_stats(source, into);
  const MetricValues* counting = values.counting();
  if (counting == nullptr) {
    into.warn(fmt::format("{}: it has no statistics of test instances, so it is left out",
                          source.string()));
    return;
  }
  put_chosen(*counting, run.task, run.model, kUsualMetrics, source.string(), chooser, into);
}

}  // namespace

void read_helm(const fs::path& path, MetricChooser& chooser, Measurements& into) {
  into.notes().form = ScoreForm::helm;
  if (!names_folder(path)) {
    read_run(path.parent_path(), chooser, into);
    return;
  }
  std::size_t runs = 0;
  for (const fs::path& file : files_below(path)) {
    if (file.filename() != "run_spec.json") continue;
    read_run(file.parent_path(), chooser, into);
    ++runs;
  }
  if (runs == 0) {
    throw InputError("{}: no folder in it has a run_spec.json; expected runs of HELM",
                     path.string());
  }
}

}  // namespace amalgam::scores
