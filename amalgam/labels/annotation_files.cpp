#include "amalgam/labels/annotation_files.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/csv.hpp"
#include "amalgam/data/line_reader.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::labels {
namespace {

namespace fs = std::filesystem;

bool is_json_lines(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".jsonl" || extension == ".ndjson" || extension == ".json";
}

CsvReader open_csv(const fs::path& path, const AnnotationFormat& format) {
  CsvOptions options;
  options.separator = format.separator;
  return CsvReader::open(path, options, format.on_bytes);
}

// "; it has 'a', 'b'", and what a header of one column may be about.
std::string seen_columns(const std::vector<std::string>& names, char separator) {
  std::vector<std::string> quoted;
  for (const std::string& name : names) quoted.push_back("'" + printable(name) + "'");
  std::string text = "; it has " + join(quoted, ", ");
  if (names.size() > 1) return text;
  for (const auto& [other, word] :
       {std::pair{';', "semicolon"}, {'\t', "tab"}, {'|', "bar"}, {',', "comma"}}) {
    if (other == separator || names.front().find(other) == std::string::npos) continue;
    text += fmt::format(" (is the separator a {}? --separator '{}')", word,
                        other == '\t' ? "\\t" : std::string(1, other));
    break;
  }
  return text;
}

void check_name(std::string_view text, const std::string& place, std::string_view what) {
  if (text.empty()) throw InputError("{}: the {} is empty", place, what);
  if (!is_utf8(text)) {
    throw InputError("{}: the {} '{}' is not UTF-8", place, what, printable(text));
  }
  if (what == "label" && (text == "nan" || text == "NaN")) {
    throw InputError(
        "{}: the label is '{}', which is how missing ones are written; leave such "
        "rows out",
        place, text);
  }
}

float weight_of(std::string_view text, const std::string& place) {
  const std::optional<double> weight = cell_number(trimmed_cell(text));
  const bool fits = weight && *weight >= 0 && *weight <= 1e30;
  if (!fits) {
    throw InputError("{}: the weight is '{}'; expected a finite number of at least 0", place,
                     printable(text));
  }
  return static_cast<float>(*weight);
}

std::int64_t time_of(std::string_view text, const std::string& place) {
  const std::optional<std::int64_t> time = parse_time(trimmed_cell(text));
  if (!time) {
    throw InputError(
        "{}: the time is '{}'; expected seconds since 1970 or something like "
        "2024-05-01T12:00:00Z",
        place, printable(text));
  }
  return *time;
}

// One annotation as texts; `place` is only asked where something is wrong or new.
struct Cells {
  std::string_view task;
  std::string_view worker;
  std::string_view label;
  std::optional<std::string_view> weight;
  std::optional<std::string_view> time;
};
enum Part : std::size_t { kTask, kWorker, kLabel, kWeight, kTime };

// Puts annotations into a builder. Names are checked when they are new; rows of one task often
// follow each other.
class Rows {
 public:
  explicit Rows(bool empty_labels) : empty_labels_(empty_labels) {}

  template <class Place>
  void add(const Cells& cells, const Place& place) {
    if (cells.task != last_task_ || builder_.rows() == 0) {
      last_task_number_ = builder_.task(cells.task);
      last_task_ = cells.task;
      if (last_task_number_ == tasks_) {
        check_name(cells.task, place(kTask), "task");
        ++tasks_;
      }
    }
    const Worker worker = builder_.worker(cells.worker);
    if (worker == workers_) {
      check_name(cells.worker, place(kWorker), "worker");
      ++workers_;
    }
    const Label label = builder_.label(cells.label);
    if (label == labels_) {
      if (!cells.label.empty() || !empty_labels_) check_name(cells.label, place(kLabel), "label");
      ++labels_;
    }
    builder_.add(last_task_number_, worker, label);
    if (cells.weight) builder_.add_weight(weight_of(*cells.weight, place(kWeight)));
    if (cells.time) builder_.add_time(time_of(*cells.time, place(kTime)));
  }

  AnnotationBuilder& builder() { return builder_; }

 private:
  const bool empty_labels_;
  AnnotationBuilder builder_;
  std::string last_task_;
  Task last_task_number_ = 0;
  std::size_t tasks_ = 0;
  std::size_t workers_ = 0;
  std::size_t labels_ = 0;
};

// Whether all files have a column, or none: the first one decides.
class Presence {
 public:
  // `where`: a file, or a line or item of one.
  void check(bool present, std::string_view where, std::string_view column) {
    if (first_ && present != *first_) {
      throw InputError("{}: it has {} '{}', but what was read before has {}", where,
                       present ? "a" : "no", column, present ? "none" : "one");
    }
    first_ = present;
  }

 private:
  std::optional<bool> first_;
};

std::vector<std::string> trimmed_header(CsvReader& reader) {
  std::vector<std::string> names = read_csv_header(reader);
  for (std::string& name : names) name = std::string(trimmed_cell(name));
  return names;
}

class FileReader {
 public:
  FileReader(const AnnotationFormat& format, Rows& rows) : format_(format), rows_(rows) {}

  void read(const fs::path& path) {
    if (format_.exported) {
      read_export(path);
    } else if (is_json_lines(path)) {
      read_json_lines(path);
    } else {
      read_csv(path);
    }
  }

 private:
  void read_csv(const fs::path& path) {
    CsvReader reader = open_csv(path, format_);
    const std::vector<std::string> names = trimmed_header(reader);
    const auto column = [&](const std::string& name) { return find_column(names, name); };
    std::array<std::size_t, 5> at{};
    for (const auto& [part, name] :
         {std::pair{kTask, &format_.task}, {kWorker, &format_.worker}, {kLabel, &format_.label}}) {
      at[part] = need_column(path, names, *name);
    }
    at[kWeight] =
        format_.needs_weight ? need_column(path, names, format_.weight) : column(format_.weight);
    at[kTime] = format_.needs_time ? need_column(path, names, format_.time) : column(format_.time);
    const bool weighs = at[kWeight] < names.size();
    const bool has_time = at[kTime] < names.size();
    weights_.check(weighs, path.string(), format_.weight);
    times_.check(has_time, path.string(), format_.time);
    const auto place = [&](Part part) { return reader.place(at[part]); };
    while (reader.next()) {
      const auto fields = reader.fields();
      if (fields.size() != names.size()) {
        throw InputError(
            "{}:{}: the row has {} {}; expected {}, as the header has (is the file "
            "cut off?)",
            path.string(), reader.line(), fields.size(), fields.size() == 1 ? "cell" : "cells",
            names.size());
      }
      Cells cells{fields[at[kTask]], fields[at[kWorker]], fields[at[kLabel]], {}, {}};
      if (weighs) cells.weight = fields[at[kWeight]];
      if (has_time) cells.time = fields[at[kTime]];
      rows_.add(cells, place);
    }
  }

  void read_json_lines(const fs::path& path) {
    LineReader reader(path);
    while (reader.next()) {
      if (format_.on_bytes) format_.on_bytes(reader.line().size() + 1);
      if (reader.line().find_first_not_of(" \t") == std::string_view::npos) continue;
      add_object(parse_json(reader.line(), reader.place()), reader.place());
    }
  }

  void read_export(const fs::path& path) {
    each_exported_annotation(
        *format_.exported, path, format_.question,
        [&](const ExportedAnnotation& one) {
          times_.check(one.time.has_value(), one.place, "time");
          rows_.add({one.task, one.worker, one.label, {}, one.time},
                    [&](Part) { return one.place; });
        },
        format_.several_labels, format_.empty_labels);
    if (format_.on_bytes) format_.on_bytes(total_size({path}));
  }

  void add_object(const nlohmann::json& object, const std::string& where) {
    if (!object.is_object()) {
      throw InputError("{}: the line is no JSON object; expected one annotation per line", where);
    }
    const std::string task = need_text(object, format_.task, where);
    const std::string worker = need_text(object, format_.worker, where);
    const auto said = object.find(format_.label);
    const bool is_empty = format_.empty_labels && said != object.end() && said->is_null();
    const std::string label = is_empty ? "" : need_text(object, format_.label, where);
    const auto weight = find_text(object, format_.weight, format_.needs_weight, where);
    const auto time = find_text(object, format_.time, format_.needs_time, where);
    weights_.check(weight.has_value(), where, format_.weight);
    times_.check(time.has_value(), where, format_.time);
    rows_.add({task, worker, label, weight, time}, [&](Part) { return where; });
  }

  static std::size_t find_column(const std::vector<std::string>& names, const std::string& name) {
    return name.empty() ? names.size()
                        : static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
  }

  std::size_t need_column(const fs::path& path, const std::vector<std::string>& names,
                          const std::string& name) const {
    const std::size_t found = find_column(names, name);
    if (found == names.size()) {
      throw InputError("{}: it has no column '{}'{}", path.string(), name,
                       did_you_mean(name, names) + seen_columns(names, format_.separator));
    }
    return found;
  }

  static std::optional<std::string> find_text(const nlohmann::json& object, const std::string& key,
                                              bool needed, const std::string& where) {
    if (!needed && (key.empty() || !object.contains(key))) return std::nullopt;
    return need_text(object, key, where);
  }

  static std::string need_text(const nlohmann::json& object, const std::string& key,
                               const std::string& where) {
    const auto found = object.find(key);
    if (found == object.end()) {
      std::vector<std::string> keys;
      for (const auto& [name, value] : object.items()) keys.push_back("'" + printable(name) + "'");
      throw InputError("{}: the object has no key '{}'; it has {}", where, key, join(keys, ", "));
    }
    if (found->is_string()) return found->get<std::string>();
    if (found->is_number() || found->is_boolean()) return found->dump();
    throw InputError("{}: '{}' is {}; expected a text or a number", where, key, found->type_name());
  }

  const AnnotationFormat& format_;
  Rows& rows_;
  Presence weights_;
  Presence times_;
};

}  // namespace

std::uint64_t total_size(const std::vector<fs::path>& paths) {
  std::uint64_t total = 0;
  for (const fs::path& path : paths) {
    std::error_code error;
    const bool regular = names_file(path);
    if (!path_exists(path)) throw InputError("{}: there is no such file", path.string());
    // Pipes have no size.
    if (names_folder(path)) {
      throw InputError("{}: it is a folder; expected a file of annotations", path.string());
    }
    if (regular) total += fs::file_size(path, error);
  }
  return total;
}

AnnotationTable read_annotations(const std::vector<fs::path>& paths, const AnnotationFormat& format,
                                 TableNotes* notes) {
  total_size(paths);
  Rows rows(format.empty_labels);
  FileReader reader(format, rows);
  for (const fs::path& path : paths) reader.read(path);
  return rows.builder().finish(paths.empty() ? "annotations" : paths.front().string(),
                               format.duplicates, notes);
}

GoldFile read_gold(const fs::path& path, const AnnotationTable& table,
                   const AnnotationFormat& format, bool allow_new) {
  total_size({path});
  CsvReader reader = open_csv(path, {.separator = format.separator});
  const std::vector<std::string> names = trimmed_header(reader);
  const auto column = [&](const std::string& name) {
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) {
      throw InputError("{}: it has no column '{}'{}", path.string(), name,
                       did_you_mean(name, names) + seen_columns(names, format.separator));
    }
    return static_cast<std::size_t>(found - names.begin());
  };
  const std::size_t task_column = column(format.task);
  const std::size_t label_column = column(format.label);

  GoldFile file;
  file.gold.labels.assign(table.task_count(), kNoLabel);
  StringPool new_labels;
  StringPool elsewhere;  // tasks without annotations
  while (reader.next()) {
    const auto fields = reader.fields();
    if (fields.size() != names.size()) {
      throw InputError("{}:{}: the row has {} cells; expected {}, as the header has", path.string(),
                       reader.line(), fields.size(), names.size());
    }
    const std::string_view task_name = fields[task_column];
    const std::string_view label_name = fields[label_column];
    check_name(task_name, reader.place(task_column), "task");
    check_name(label_name, reader.place(label_column), "label");
    const std::uint32_t task = table.task_names.find(task_name);
    if (task == StringPool::npos) {
      elsewhere.add(task_name);
      continue;
    }
    std::uint32_t label = table.label_names.find(label_name);
    if (label == StringPool::npos) {
      if (!allow_new) {
        std::vector<std::string> known;
        for (std::size_t k = 0; k < std::min<std::size_t>(20, table.label_count()); ++k) {
          known.emplace_back(table.label_names[k]);
        }
        throw InputError("{}: the label '{}' is none that the annotations have{}; they have {}{}",
                         reader.place(label_column), printable(label_name),
                         did_you_mean(label_name, known), printable(join(known, ", "), 400),
                         table.label_count() > known.size() ? ", ..." : "");
      }
      label = static_cast<std::uint32_t>(table.label_count()) + new_labels.add(label_name);
      ++file.new_labels;
      if (label >= kNoLabel) throw InputError("{}: too many labels", path.string());
    }
    Label& gold = file.gold.labels[task];
    if (gold != kNoLabel && gold != label) {
      throw InputError("{}: task '{}' has another label further up", reader.place(label_column),
                       printable(task_name));
    }
    if (gold == kNoLabel) ++file.tasks;
    gold = static_cast<Label>(label);
  }
  file.uncovered = elsewhere.size();
  for (std::size_t task = 0; task < table.task_count(); ++task) {
    if (file.gold.labels[task] == kNoLabel) continue;
    const auto [begin, end] = table.rows_of(static_cast<Task>(task));
    if (begin == end) ++file.uncovered;
  }
  file.tasks += elsewhere.size();
  if (file.tasks == 0) throw InputError("{}: it has no label", path.string());
  return file;
}

}  // namespace amalgam::labels
