#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/folder_entries.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/line_reader.hpp"
#include "amalgam/scores/files/exports.hpp"
#include "amalgam/scores/files/json_parts.hpp"

// What lm-evaluation-harness writes: results_<time>.json with "results" by task and metric, and
// samples_<task>_<time>.jsonl with one line for each document (and filter), in one folder per
// model.
namespace amalgam::scores {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kLongestLine = std::size_t{64} << 20U;

const std::vector<std::string> kUsualMetrics{
    "acc_norm", "exact_match",     "acc", "f1",     "em",   "mc2",  "pass@1", "pass_at_1",
    "bleu",     "word_perplexity", "mcc", "rouge1", "chrf", "score"};

// A results file without its tasks' configurations.
struct Results {
  fs::path path;
  std::string model;
  Json results = Json::object();
  Json subtasks = Json::object();
  Json directions = Json::object();
};

// "pretrained=org/model,dtype=float16", or an object of these.
std::string model_of_arguments(const Json& arguments) {
  for (const std::string_view key : {"pretrained", "model", "path", "engine"}) {
    if (const auto value = text_member(arguments, key)) return *value;
    if (!arguments.is_string()) continue;
    const std::string text = "," + arguments.get<std::string>();
    const std::size_t at = text.find("," + std::string(key) + "=");
    if (at == std::string::npos) continue;
    const std::size_t begin = at + key.size() + 2;
    std::string value = text.substr(begin, text.find(',', begin) - begin);
    if (!value.empty()) return value;
  }
  return "";
}

// Folders are named after models, with two underscores for a slash.
std::string model_of_folder(const fs::path& file) {
  std::error_code ignored;
  std::string name = fs::absolute(file, ignored).parent_path().filename().string();
  const std::size_t slash = name.find("__");
  if (slash != std::string::npos) name.replace(slash, 2, "/");
  return name;
}

Results read_results(const fs::path& path, const std::function<void(std::uint64_t)>& on_bytes) {
  Results found{.path = path, .model = {}};
  JsonParts parts = JsonParts::open(
      path, {.wanted = {"results", "group_subtasks", "higher_is_better", "config", "model_name"},
             .on_bytes = on_bytes});
  bool has_results = false;
  Json config;
  while (!parts.is_list() && parts.next()) {
    Json value = parts.value();
    if (parts.key() == "results") {
      has_results = value.is_object();
      found.results = std::move(value);
    } else if (parts.key() == "group_subtasks") {
      found.subtasks = std::move(value);
    } else if (parts.key() == "higher_is_better") {
      found.directions = std::move(value);
    } else if (parts.key() == "config") {
      config = std::move(value);
    } else if (value.is_string()) {
      found.model = value.get<std::string>();
    }
  }
  if (!has_results) {
    throw InputError("{}: it has no 'results' by task; expected what lm-evaluation-harness writes",
                     path.string());
  }
  if (found.model.empty()) {
    if (const Json* arguments = member(config, "model_args")) {
      found.model = model_of_arguments(*arguments);
    }
  }
  if (found.model.empty()) found.model = model_of_folder(path);
  return found;
}

// A group of tasks, whose values are means of theirs.
bool is_group(const Results& file, const std::string& task) {
  const Json* subtasks = member(file.subtasks, task);
  if (subtasks == nullptr || !subtasks->is_array()) return false;
  return std::ranges::any_of(*subtasks, [&](const Json& name) {
    return name.is_string() && name != task && file.results.contains(name.get<std::string>());
  });
}

bool is_metric_key(std::string_view key) {
  const std::string_view metric = key.substr(0, key.find(','));
  return !metric.empty() && metric.find("_stderr") == std::string_view::npos && metric != "alias" &&
         metric != "name" && metric != "sample_len" && metric != "sample_count" &&
         metric != "samples";
}

// What a results file says of the direction of a metric, for the task that it became.
void say_direction(const Results& file, const std::string& task,
                   const MetricChooser::Choice& choice, Measurements& into) {
  const Json* metrics = member(file.directions, task);
  if (metrics == nullptr) return;
  const std::string metric = choice.metric.substr(0, choice.metric.find(','));
  const Json* higher = member(*metrics, metric);
  if (higher == nullptr || !higher->is_boolean()) return;
  const auto place = [&] { return file.path.string(); };
  into.say_direction(into.task(choice.task, place), higher->get<bool>(), place());
}

void put(const MetricValues& values, const std::string& task, const std::string& model,
         const std::vector<Results>& directions, const std::string& where, MetricChooser& chooser,
         Measurements& into) {
  for (const MetricChooser::Choice& choice :
       put_chosen(values, task, model, kUsualMetrics, where, chooser, into)) {
    for (const Results& file : directions) say_direction(file, task, choice, into);
  }
}

std::optional<double> finite_value(const Json& value, const std::string& place,
                                   std::string_view metric) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (!value.is_number()) return std::nullopt;
  const double number = value.get<double>();
  if (!std::isfinite(number)) {
    throw InputError("{}: '{}' is infinite; expected a finite number", place, printable(metric));
  }
  return number;
}

// The values of a file for all tasks but those in `elsewhere`.
void put_results(const Results& file, const std::set<std::string>& elsewhere,
                 MetricChooser& chooser, Measurements& into) {
  std::size_t tasks = 0;
  for (const auto& [task, metrics] : file.results.items()) {
    if (!metrics.is_object() || elsewhere.contains(task)) continue;
    if (is_group(file, task)) {
      into.leave_out(task);
      continue;
    }
    const std::string where = fmt::format("{}: task '{}'", file.path.string(), printable(task));
    MetricValues values;
    for (const auto& [key, value] : metrics.items()) {
      if (!is_metric_key(key)) continue;
      if (const auto number = finite_value(value, where, key)) {
        values.add_whole(key, *number);
      } else {
        ++into.notes().missing;
      }
    }
    if (values.empty()) continue;
    ++tasks;
    put(values, task, file.model, {file}, file.path.string(), chooser, into);
  }
  if (tasks == 0 && elsewhere.empty()) {
    throw InputError("{}: it has no values of tasks", file.path.string());
  }
}

// samples_<task>_2025-01-31T12-00-00.123.jsonl
struct SampleName {
  std::string task;
  std::string time;
};

SampleName sample_name(const fs::path& path) {
  const std::string stem = path.stem().string();
  std::string_view name = stem;
  constexpr std::string_view kPrefix = "samples_";
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  const std::size_t bar = name.rfind('_');
  const auto is_time = [](std::string_view text) {
    constexpr std::string_view kDigits = "0123456789";
    return text.size() > 11 && text[4] == '-' && text[7] == '-' && text[10] == 'T' &&
           text.substr(0, 4).find_first_not_of(kDigits) == std::string_view::npos;
  };
  if (bar != std::string_view::npos && is_time(name.substr(bar + 1))) {
    return {std::string(name.substr(0, bar)), std::string(name.substr(bar + 1))};
  }
  return {std::string(name), ""};
}

// One line's values of metrics, by "metric,filter".
void add_sample(const Json& sample, const std::string& place, MetricValues& values,
                Measurements& into) {
  const Json* id = member(sample, "doc_id");
  if (id == nullptr || !(id->is_number_integer() || id->is_string())) {
    throw InputError("{}: it has no 'doc_id'; expected a sample of lm-evaluation-harness", place);
  }
  const std::string document = id->is_string() ? id->get<std::string>() : id->dump();
  const std::string filter = text_member(sample, "filter").value_or("none");
  const auto add = [&](const std::string& metric, const Json& value) {
    if (const auto number = finite_value(value, place, metric)) {
      values.add(document.empty() ? "?" : document, metric + "," + filter, *number);
    } else {
      ++into.notes().missing;
    }
  };
  const Json* metrics = member(sample, "metrics");
  if (metrics != nullptr && metrics->is_array()) {
    for (const Json& metric : *metrics) {
      if (!metric.is_string()) continue;
      const Json* value = member(sample, metric.get<std::string>());
      if (value != nullptr) add(metric.get<std::string>(), *value);
    }
    return;
  }
  for (const auto& [key, value] : sample.items()) {
    if (key != "doc_id" && (value.is_number() || value.is_boolean())) add(key, value);
  }
}

void read_samples(const fs::path& path, const std::string& task, const std::string& model,
                  const std::vector<Results>& directions, MetricChooser& chooser,
                  Measurements& into) {
  LineReader reader(path, kLongestLine);
  MetricValues values;
  while (reader.next()) {
    if (into.format().on_bytes) into.format().on_bytes(reader.line().size() + 1);
    if (reader.line().find_first_not_of(" \t") == std::string_view::npos) continue;
    add_sample(parse_written_json(reader.line(), reader.place()), reader.place(), values, into);
  }
  if (values.empty()) {
    into.warn(fmt::format("{}: its samples have no numbers, so it is left out", path.string()));
    return;
  }
  put(values, task, model, directions, path.string(), chooser, into);
}

bool is_results_file(const fs::path& path) {
  return path.extension() == ".json" && path.filename().string().starts_with("results");
}

bool is_samples_file(const fs::path& path) {
  return path.extension() == ".jsonl" && path.filename().string().starts_with("samples_");
}

// The results beside a sample file: of the same run, else any.
const Results* beside(const fs::path& samples, const std::vector<Results>& all) {
  const std::string time = sample_name(samples).time;
  const Results* found = nullptr;
  for (const Results& file : all) {
    if (file.path.parent_path() != samples.parent_path()) continue;
    if (!time.empty() && file.path.filename().string().find(time) != std::string::npos) {
      return &file;
    }
    found = &file;
  }
  return found;
}

void read_files(const std::vector<fs::path>& result_files,
                const std::vector<fs::path>& sample_files,
                const std::function<void(std::uint64_t)>& on_bytes, MetricChooser& chooser,
                Measurements& into) {
  std::vector<Results> results;
  results.reserve(result_files.size());
  for (const fs::path& path : result_files) results.push_back(read_results(path, on_bytes));
  std::set<std::string> sampled;
  for (const fs::path& path : sample_files) {
    const std::string task = sample_name(path).task;
    const Results* file = beside(path, results);
    const std::string model = file != nullptr ? file->model : model_of_folder(path);
    sampled.insert(task);
    read_samples(path, task, model, results, chooser, into);
  }
  for (const Results& file : results) put_results(file, sampled, chooser, into);
}

}  // namespace

void read_lm_eval(const fs::path& path, MetricChooser& chooser, Measurements& into) {
  into.notes().form = ScoreForm::lm_eval;
  if (names_folder(path)) {
    std::vector<fs::path> results;
    std::vector<fs::path> samples;
    for (const fs::path& file : files_below(path)) {
      if (is_results_file(file)) results.push_back(file);
      if (is_samples_file(file)) samples.push_back(file);
    }
    if (results.empty() && samples.empty()) {
      throw InputError(
          "{}: it holds neither results*.json nor samples_*.jsonl; expected a folder that "
          "lm-evaluation-harness wrote",
          path.string());
    }
    read_files(results, samples, into.format().on_bytes, chooser, into);
    return;
  }
  if (path.extension() == ".json") {
    read_files({path}, {}, into.format().on_bytes, chooser, into);
    return;
  }
  // A sample file alone: only what the results beside it say of model and directions counts.
  std::vector<Results> known;
  for (const fs::directory_entry& entry :
       folder_entries(path.has_parent_path() ? path.parent_path() : ".")) {
    if (is_results_file(entry.path())) known.push_back(read_results(entry.path(), {}));
  }
  std::ranges::sort(known, {}, &Results::path);
  const Results* file = nullptr;
  for (const Results& one : known) {
    if (file == nullptr ||
        one.path.filename().string().find(sample_name(path).time) != std::string::npos) {
      file = &one;
    }
  }
  read_samples(path, sample_name(path).task, file != nullptr ? file->model : model_of_folder(path),
               known, chooser, into);
}

}  // namespace amalgam::scores
