#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/zip_archive.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/scores/files/exports.hpp"
#include "amalgam/scores/files/json_parts.hpp"

// What Inspect writes: a log for each task and model, as one JSON object ("eval" says which,
// "results" has the metrics, "samples" the scores of each sample and epoch), or the same in the
// members of a zip archive (.eval).
namespace amalgam::scores {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::uint64_t kLargestMember = std::uint64_t{256} << 20U;
constexpr std::string_view kConvert = "'inspect log convert --to json' makes a file of it that is";

struct Log {
  std::string task;
  std::string model;
  std::string status;
  std::vector<std::string> scorers;  // in the order of the results
  MetricValues samples;
  MetricValues whole;  // by scorer, of the log's own metrics
};

// Grades are C(orrect), I(ncorrect), P(artial) and N(o answer); nothing for what is no number.
std::optional<double> value_of(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const std::string text = value.get<std::string>();
  if (text == "C" || text == "yes" || text == "true" || text == "True" || text == "Yes") return 1;
  if (text == "I" || text == "N" || text == "no" || text == "false" || text == "False" ||
      text == "No") {
    return 0;
  }
  if (text == "P") return 0.5;
  const std::optional<double> number = cell_number(trimmed_cell(text));
  if (number && std::isnan(*number)) return std::nullopt;
  return number;
}

void add_value(const Json& value, const std::string& instance, const std::string& metric,
               const std::string& place, MetricValues& values, Measurements& into) {
  const std::optional<double> number = value_of(value);
  if (!number) {
    ++into.notes().missing;
    return;
  }
  if (!std::isfinite(*number)) {
    throw InputError("{}: the score of '{}' is infinite; expected a finite number", place,
                     printable(metric));
  }
  values.add(instance, metric, *number);
}

// A score of a sample by one scorer: one value, or several by name.
void add_score(const Json& score, const std::string& instance, const std::string& scorer,
               const std::string& place, Log& log, Measurements& into) {
  const Json* value = member(score, "value");
  if (value == nullptr) {
    ++into.notes().missing;
  } else if (value->is_object()) {
    for (const auto& [name, part] : value->items()) {
      add_value(part, instance, fmt::format("{}/{}", scorer, name), place, log.samples, into);
    }
  } else {
    add_value(*value, instance, scorer, place, log.samples, into);
  }
}

// Only the parts that count: messages and events may be many.
void add_sample(std::string_view text, const std::string& place, Log& log, Measurements& into) {
  JsonParts parts = JsonParts::of_text(text, place, {.wanted = {"id", "scores", "score"}});
  std::string id;
  Json scores = Json::object();
  while (!parts.is_list() && parts.next()) {
    Json value = parts.value();
    if (parts.key() == "id") {
      if (value.is_string()) id = value.get<std::string>();
      if (value.is_number_integer()) id = value.dump();
    } else if (parts.key() == "scores") {
      scores = std::move(value);
    } else if (value.is_object()) {
      scores = {{"score", std::move(value)}};  // logs of the first version have one scorer
    }
  }
  if (id.empty()) throw InputError("{}: the sample has no id; expected a log of Inspect", place);
  if (!scores.is_object() || scores.empty()) ++into.notes().missing;
  if (!scores.is_object()) return;
  for (const auto& [scorer, score] : scores.items()) {
    add_score(score, id, scorer, place, log, into);
  }
}

void add_eval(const Json& eval, const std::string& place, Log& log) {
  log.task = text_member(eval, "task").value_or("");
  log.model = text_member(eval, "model").value_or("");
  if (log.task.empty() || log.model.empty()) {
    throw InputError("{}: it has no '{}'; expected a log of Inspect", place,
                     log.task.empty() ? "task" : "model");
  }
}

// A scorer's mean over the samples: its accuracy or mean, or the first metric that is no error bar.
void add_metrics(const Json& scorer, const std::string& name, const std::string& place, Log& log,
                 Measurements& into) {
  const Json* metrics = member(scorer, "metrics");
  if (metrics == nullptr || !metrics->is_object()) return;
  const Json* chosen = nullptr;
  for (const std::string_view usual : {"accuracy", "mean"}) {
    if (chosen == nullptr) chosen = member(*metrics, usual);
  }
  for (const auto& [metric, value] : metrics->items()) {
    const bool spread = metric.find("std") != std::string::npos || metric == "var";
    if (chosen == nullptr && !spread) chosen = &value;
  }
  if (chosen == nullptr) return;
  const Json* value = member(*chosen, "value");
  if (value == nullptr) {
    ++into.notes().missing;
  } else {
    add_value(*value, "", name, place, log.whole, into);
  }
}

void add_results(const Json& results, const std::string& place, Log& log, Measurements& into) {
  const Json* scores = member(results, "scores");
  if (scores == nullptr || !scores->is_array()) {
    const Json* scorer = member(results, "scorer");
    const std::string name =
        scorer != nullptr ? text_member(*scorer, "name").value_or("score") : "score";
    add_metrics(results, name, place, log, into);
    return;
  }
  for (const Json& scorer : *scores) {
    const std::string name = text_member(scorer, "name").value_or("score");
    log.scorers.push_back(name);
    add_metrics(scorer, name, place, log, into);
  }
}

// The members of a log but its samples, which `parts` must open.
void add_log(JsonParts& parts, Log& log, Measurements& into) {
  bool has_eval = false;
  while (!parts.is_list() && parts.next()) {
    if (parts.is_element()) {
      add_sample(parts.text(), parts.place(), log, into);
    } else if (parts.key() == "eval") {
      has_eval = true;
      add_eval(parts.value(), parts.place(), log);
    } else if (parts.key() == "status") {
      const Json status = parts.value();
      if (status.is_string()) log.status = status.get<std::string>();
    } else if (parts.key() == "results") {
      add_results(parts.value(), parts.place(), log, into);
    }
  }
  if (!has_eval) {
    throw InputError("{}: it has no 'eval' that names task and model; expected a log of Inspect",
                     parts.place());
  }
}

Log read_archive(const fs::path& path, Measurements& into) {
  Log log;
  const ZipArchive archive(path);
  if (archive.find("header.json") == nullptr) {
    throw InputError("{}: it has no header.json; expected a finished log of Inspect ({})",
                     path.string(), kConvert);
  }
  const auto read = [&](const std::string& name) {
    try {
      return archive.read_record(name, kLargestMember);
    } catch (const InputError& error) {
      throw InputError("{} (newer logs are compressed in a way that cannot be read here; {})",
                       error.what(), kConvert);
    }
  };
  const std::string header = read("header.json");
  JsonParts parts = JsonParts::of_text(header, path.string() + ": header.json",
                                       {.wanted = {"eval", "status", "results"}});
  add_log(parts, log, into);
  for (const auto& [name, entry] : archive.entries()) {
    if (!name.starts_with("samples/") || !name.ends_with(".json")) continue;
    add_sample(read(name), path.string() + ": " + printable(name), log, into);
  }
  if (into.format().on_bytes) into.format().on_bytes(archive.file().size());
  return log;
}

Log read_json(const fs::path& path, Measurements& into) {
  Log log;
  JsonParts parts = JsonParts::open(path, {.wanted = {"eval", "status", "results", "samples"},
                                           .opened = {"samples"},
                                           .on_bytes = into.format().on_bytes});
  add_log(parts, log, into);
  return log;
}

void read_log(const fs::path& path, MetricChooser& chooser, Measurements& into) {
  const Log log = path.extension() == ".eval" ? read_archive(path, into) : read_json(path, into);
  if (!log.status.empty() && log.status != "success") {
    into.warn(fmt::format("{}: its status is '{}', so samples may be missing", path.string(),
                          printable(log.status)));
  }
  const MetricValues& values = log.samples.empty() ? log.whole : log.samples;
  if (values.empty()) {
    into.warn(fmt::format("{}: it has no scores, so it is left out", path.string()));
    return;
  }
  // Parts of a score are called scorer/part; the first scorer of the results is the usual one.
  std::vector<std::string> usual = log.scorers;
  for (const std::string& scorer : log.scorers) {
    for (const std::string& metric : values.metrics()) {
      if (metric.starts_with(scorer + "/")) usual.push_back(metric);
    }
  }
  put_chosen(values, log.task, log.model, usual, path.string(), chooser, into);
}

}  // namespace

void read_inspect(const fs::path& path, MetricChooser& chooser, Measurements& into) {
  into.notes().form = ScoreForm::inspect;
  if (!names_folder(path)) {
    read_log(path, chooser, into);
    return;
  }
  std::size_t logs = 0;
  for (const fs::path& file : files_below(path)) {
    if (file.extension() != ".json" && file.extension() != ".eval") continue;
    if (file.filename() == "logs.json" || file.filename() == "eval-set.json") continue;
    read_log(file, chooser, into);
    ++logs;
  }
  if (logs == 0) {
    throw InputError("{}: it holds neither .json nor .eval files; expected logs of Inspect",
                     path.string());
  }
}

}  // namespace amalgam::scores
