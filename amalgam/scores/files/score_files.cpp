#include "amalgam/scores/files/score_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/scores/files/exports.hpp"
#include "amalgam/scores/files/json_parts.hpp"
#include "amalgam/scores/files/measurements.hpp"
#include "amalgam/scores/files/readers.hpp"

namespace amalgam::scores {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::pair<std::string_view, ScoreForm>, 8> kForms{
    {{"automatic", ScoreForm::automatic},
     {"wide", ScoreForm::wide},
     {"long", ScoreForm::long_form},
     {"battles", ScoreForm::battles},
     {"arena", ScoreForm::arena},
     {"lm-eval", ScoreForm::lm_eval},
     {"helm", ScoreForm::helm},
     {"inspect", ScoreForm::inspect}}};

constexpr std::array<std::pair<std::string_view, Repeats>, 4> kRepeats{{{"error", Repeats::error},
                                                                        {"mean", Repeats::mean},
                                                                        {"first", Repeats::first},
                                                                        {"last", Repeats::last}}};

constexpr std::array<std::pair<std::string_view, ScoreKind>, 3> kKinds{
    {{"cardinal", ScoreKind::cardinal},
     {"binary", ScoreKind::binary},
     {"ordinal", ScoreKind::ordinal}}};

template <class Value>
Value value_of_name(std::span<const std::pair<std::string_view, Value>> table,
                    std::string_view name, std::string_view what) {
  std::vector<std::string> names;
  for (const auto& [known, value] : table) {
    if (known == name) return value;
    names.emplace_back(known);
  }
  throw InputError("{} '{}' is not known; expected one of {}{}", what, name, join(names, ", "),
                   did_you_mean(name, names));
}

bool is_tabular_text(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension != ".json" && extension != ".jsonl" && extension != ".ndjson";
}

// Which evaluation tool wrote a file that is one JSON object; nothing if it is none of these, or a
// list or lines of objects.
std::optional<ScoreForm> form_of_object(const fs::path& path) {
  if (path.extension() != ".json") return std::nullopt;
  bool has_results = false;
  bool has_setup = false;
  try {
    JsonParts parts =
        JsonParts::open(path, {.wanted = {"results", "eval", "configs", "config", "versions"}});
    while (!parts.is_list() && parts.next()) {
      if (parts.key() == "eval") return ScoreForm::inspect;
      (parts.key() == "results" ? has_results : has_setup) = true;
      if (has_results && has_setup) break;
    }
  } catch (const InputError&) {
    return std::nullopt;  // more than one object; the reader of lines says what else may be wrong
  }
  if (has_results) return ScoreForm::lm_eval;
  return std::nullopt;
}

ScoreForm form_of_folder(const fs::path& folder) {
  const std::vector<fs::path> files = files_below(folder);
  const auto any = [&](const auto& fits) { return std::ranges::any_of(files, fits); };
  if (any([](const fs::path& file) { return file.filename() == "run_spec.json"; })) {
    return ScoreForm::helm;
  }
  const bool lm_eval = any([](const fs::path& file) {
    const std::string name = file.filename().string();
    return (name.starts_with("results") && file.extension() == ".json") ||
           (name.starts_with("samples_") && file.extension() == ".jsonl");
  });
  if (lm_eval) return ScoreForm::lm_eval;
  if (any([](const fs::path& file) { return file.extension() == ".eval"; })) {
    return ScoreForm::inspect;
  }
  for (const fs::path& file : files) {
    if (const std::optional<ScoreForm> form = form_of_object(file)) return *form;
  }
  throw InputError(
      "{}: it holds neither results of lm-evaluation-harness nor runs of HELM nor logs of Inspect; "
      "expected one of these folders, or files of measurements",
      folder.string());
}

ScoreForm form_of_records(Records& records, const fs::path& path, const ScoreFormat& format) {
  const auto named = [&](const std::string& name) {
    return std::ranges::find(records.names(), name) != records.names().end();
  };
  const auto has = [&](const std::string& given, const std::vector<std::string>& usual) {
    return given.empty() ? records.usual_name(usual).has_value()
                         : records.find(given) != Records::npos;
  };
  if (has(format.first, {"model_a"}) && has(format.second, {"model_b"})) {
    const bool arena = !is_tabular_text(path) && named("anony");
    return arena ? ScoreForm::arena : ScoreForm::battles;
  }
  if (!is_tabular_text(path) && named("doc_id") && named("resps")) {
    return ScoreForm::lm_eval;
  }
  const bool is_long = has(format.system, kSystemNames) && has(format.task, kTaskNames) &&
                       has(format.score, kScoreNames);
  if (is_long) return ScoreForm::long_form;
  if (is_tabular_text(path)) return ScoreForm::wide;
  throw InputError(
      "{}: its objects have neither system, task and score nor model_a, model_b and winner (their "
      "keys are {}), and it is not what lm-evaluation-harness or Inspect write",
      path.string(), printable(join(records.names(), ", "), 300));
}

void read_records(const fs::path& path, const ScoreFormat& format, MetricChooser& chooser,
                  Measurements& into) {
  const std::unique_ptr<Records> records = open_records(path, format);
  ScoreForm form = format.form;
  if (form == ScoreForm::automatic) form = form_of_records(*records, path, format);
  into.notes().form = form;
  if (form == ScoreForm::lm_eval) {
    read_lm_eval(path, chooser, into);
  } else if (form == ScoreForm::battles || form == ScoreForm::arena) {
    read_battles(*records, form == ScoreForm::arena, into);
  } else if (form == ScoreForm::long_form) {
    read_long(*records, into);
  } else if (is_tabular_text(path)) {
    read_wide(*records, into);
  } else {
    throw InputError("{}: wide tables are read from separated values alone; expected such a file",
                     path.string());
  }
}

void read_path(const fs::path& path, const ScoreFormat& format, MetricChooser& chooser,
               Measurements& into) {
  ScoreForm form = format.form;
  const bool folder = names_folder(path);
  if (form == ScoreForm::automatic) {
    if (folder) {
      form = form_of_folder(path);
    } else if (path.extension() == ".eval") {
      form = ScoreForm::inspect;
    } else {
      form = form_of_object(path).value_or(form);
    }
  }
  switch (form) {
    case ScoreForm::lm_eval:
      read_lm_eval(path, chooser, into);
      return;
    case ScoreForm::helm:
      read_helm(path, chooser, into);
      return;
    case ScoreForm::inspect:
      read_inspect(path, chooser, into);
      return;
    default:
      break;
  }
  if (folder) {
    throw InputError("{}: it is a folder; expected a file of the form '{}'", path.string(),
                     score_form_name(form));
  }
  read_records(path, format, chooser, into);
}

}  // namespace

std::string_view score_form_name(ScoreForm form) {
  for (const auto& [name, value] : kForms) {
    if (value == form) return name;
  }
  return "";
}

ScoreForm score_form_of_name(std::string_view name) {
  return value_of_name<ScoreForm>(kForms, name, "format");
}

Repeats repeats_of_name(std::string_view name) {
  return value_of_name<Repeats>(kRepeats, name, "what becomes of repeats,");
}

ScoreKind score_kind_of_name(std::string_view name) {
  return value_of_name<ScoreKind>(kKinds, name, "kind");
}

ScoreTable read_scores(const std::vector<fs::path>& paths, const ScoreFormat& format,
                       ScoreNotes* notes) {
  total_size(paths);
  ScoreNotes own;
  Measurements measurements(format, notes == nullptr ? own : *notes);
  MetricChooser chooser(measurements);
  for (const fs::path& path : paths) read_path(path, format, chooser, measurements);
  chooser.check_all_used();
  return measurements.finish(paths.empty() ? "scores" : paths.front().string());
}

std::uint64_t total_size(const std::vector<fs::path>& paths) {
  std::uint64_t total = 0;
  const auto add = [&total](const fs::path& file) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(file, error);
    if (!error) total += size;
  };
  for (const fs::path& path : paths) {
    if (!path_exists(path)) {
      throw InputError("{}: there is no such file or folder", path.string());
    }
    if (names_folder(path)) {
      for (const fs::path& file : files_below(path)) add(file);
    } else if (names_file(path)) {
      add(path);  // pipes have no size
    }
  }
  return total;
}

}  // namespace amalgam::scores
