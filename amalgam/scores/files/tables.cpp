#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "amalgam/core/error.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/scores/files/readers.hpp"

namespace amalgam::scores {
namespace {

// What summarises the other columns, or numbers the rows.
bool is_summary_column(std::string_view name) {
  constexpr std::array<std::string_view, 7> kSummaries{"score",   "average", "avg", "mean",
                                                       "overall", "rank",    ""};
  const std::string lower = lower_case(name);
  return std::ranges::find(kSummaries, std::string_view(lower)) != kSummaries.end() ||
         lower.starts_with("unnamed: ");
}

// A column that may be a task, until all its cells are known.
struct WideColumn {
  std::size_t at = 0;
  bool named = false;  // by the format
  std::vector<double> values;
  std::size_t numbers = 0;
  std::string odd_place;  // of the first cell that is no number
  std::string odd_text;
};

// Reads rows and decides at the end which columns are tasks.
class WideReader {
 public:
  WideReader(Records& records, Measurements& into) : records_(records), into_(into) {
    const ScoreFormat& format = into.format();
    system_ = format.system.empty() ? 0 : records.need(format.system);
    if (!format.instance.empty()) instance_ = records.need(format.instance);
    if (format.columns.empty()) {
      choose_columns();
    } else {
      for (const std::string& name : format.columns) add_named_column(name);
    }
  }

  void read() {
    while (records_.next()) read_row();
    add_tasks();
    if (rows_.empty()) throw InputError("{}: it has a header but no rows", records_.where());
    if (into_.format().system.empty() && systems_are_numbers_ && has_text_column_) {
      into_.warn(
          fmt::format("{}: systems are the whole numbers in column '{}'; name another one "
                      "with --system",
                      records_.where(), printable(records_.names()[system_])));
    }
  }

 private:
  struct Row {
    System system;
    Instance instance;
  };

  void choose_columns() {
    for (std::size_t i = 0; i < records_.names().size(); ++i) {
      if (i == system_ || i == instance_) continue;
      if (is_summary_column(records_.names()[i])) {
        into_.warn(
            fmt::format("{}: column '{}' is left out; name it with --columns if it is a task",
                        records_.where(), printable(records_.names()[i])));
        into_.leave_out(records_.names()[i]);
        continue;
      }
      columns_.push_back({.at = i});
    }
  }

  void add_named_column(const std::string& name) {
    const std::size_t at = records_.need(name);
    if (at == system_ || at == instance_) {
      throw InputError("{}: column '{}' is a task and the {} at once", records_.where(),
                       printable(name), at == system_ ? "system" : "instance");
    }
    if (std::ranges::any_of(columns_, [at](const WideColumn& c) { return c.at == at; })) {
      throw InputError("{}: column '{}' is named twice as a task", records_.where(),
                       printable(name));
    }
    columns_.push_back({.at = at, .named = true});
  }

  void read_row() {
    const std::string_view name = records_.text(system_);
    const System system = into_.system(name, [&] { return records_.place(system_); });
    std::int64_t ignored = 0;
    systems_are_numbers_ = systems_are_numbers_ && is_whole_number(name, ignored);
    Instance instance = 0;
    if (instance_ != Records::npos) {
      instance =
          into_.instance(records_.text(instance_), [&] { return records_.place(instance_); });
    } else {
      instance = into_.whole();
      const auto [before, is_new] = seen_.try_emplace(system, records_.place(system_));
      if (!is_new && into_.format().repeats == Repeats::error) {
        throw InputError(
            "{}: system '{}' is there a second time (first at {}); expected one row per system "
            "(--instance names the column of what was measured if there are more; --repeats says "
            "what "
            "becomes of repeated values)",
            records_.place(system_), printable(name), before->second);
      }
    }
    rows_.push_back({system, instance});
    for (WideColumn& column : columns_) read_cell(column);
  }

  void read_cell(WideColumn& column) {
    const std::string_view text = records_.text(column.at);
    double value = NAN;
    if (!is_no_value(text)) {
      const std::optional<double> number = cell_number(text);
      if (number && !std::isnan(*number)) {
        if (std::isinf(*number)) {
          throw InputError("{}: column '{}' has '{}'; expected a finite number",
                           records_.place(column.at), printable(records_.names()[column.at]),
                           printable(text));
        }
        value = *number;
        ++column.numbers;
      } else if (column.named) {
        throw InputError("{}: column '{}' has '{}'; expected a number", records_.place(column.at),
                         printable(records_.names()[column.at]), printable(text));
      } else if (column.odd_place.empty()) {
        column.odd_place = records_.place(column.at);
        column.odd_text = printable(text, 40);
      }
    }
    column.values.push_back(value);
  }

  void add_tasks() {
    std::size_t tasks = 0;
    for (const WideColumn& column : columns_) {
      const std::string& name = records_.names()[column.at];
      if (!column.odd_place.empty()) {
        has_text_column_ = true;
        if (column.numbers == 0) continue;
        into_.warn(fmt::format("{}: column '{}' is left out: '{}' is not a number",
                               column.odd_place, printable(name), column.odd_text));
        into_.leave_out(name);
        continue;
      }
      if (column.numbers == 0 && !column.named) {
        into_.warn(fmt::format("{}: column '{}' is left out: it has no value", records_.where(),
                               printable(name)));
        continue;
      }
      ++tasks;
      if (!column.named && sounds_like_no_task(name)) {
        into_.warn(
            fmt::format("{}: column '{}' counts as a task; if it is none, name the tasks "
                        "with --columns",
                        records_.where(), printable(name)));
      }
      const Task task = into_.task(name, [&] { return records_.where(); });
      for (std::size_t row = 0; row < rows_.size(); ++row) {
        if (std::isnan(column.values[row])) {
          ++into_.notes().missing;
        } else {
          into_.add(rows_[row].system, task, rows_[row].instance, column.values[row]);
        }
      }
    }
    if (tasks == 0 && !rows_.empty()) {
      throw InputError(
          "{}: it has no column of numbers beside '{}'; expected one row per system and "
          "one column per task{}",
          records_.where(), printable(records_.names()[system_]),
          records_.names().size() == 1 ? " (is the separator another one?)" : "");
    }
  }

  Records& records_;
  Measurements& into_;
  std::size_t system_ = 0;
  std::size_t instance_ = Records::npos;
  std::vector<WideColumn> columns_;
  std::vector<Row> rows_;
  std::unordered_map<System, std::string> seen_;
  bool systems_are_numbers_ = true;
  bool has_text_column_ = false;
};

std::optional<bool> truth_of(std::string_view text) {
  const std::string lower = lower_case(text);
  if (lower == "true" || lower == "yes" || lower == "1") return true;
  if (lower == "false" || lower == "no" || lower == "0") return false;
  return std::nullopt;
}

// A number, or whether something was right.
std::optional<double> score_of(const Records& records, std::size_t column) {
  const std::string_view text = records.text(column);
  if (text.size() == 4 || text.size() == 5) {
    const std::string lower = lower_case(text);
    if (lower == "true") return 1;
    if (lower == "false") return 0;
  }
  return number_of(records, column, "score");
}

// What long rows may say of their task.
class TaskStatements {
 public:
  TaskStatements(Records& records, Measurements& into) : records_(records), into_(into) {
    const ScoreFormat& format = into.format();
    kind_ = records.choose(format.kind, {"kind"}, false);
    weight_ = records.choose(format.weight, {"weight"}, false);
    direction_ = records.choose(format.direction, {"higher_is_better"}, false);
  }

  void say(Task task) {
    if (kind_ != Records::npos && !records_.text(kind_).empty()) {
      into_.say_kind(task, kind(), records_.place(kind_));
    }
    if (weight_ != Records::npos && !records_.text(weight_).empty()) {
      const std::string place = records_.place(weight_);
      into_.say_weight(task, weight_of_text(records_.text(weight_), place), place);
    }
    if (direction_ != Records::npos && !records_.text(direction_).empty()) {
      const std::optional<bool> higher = truth_of(records_.text(direction_));
      if (!higher) {
        throw InputError("{}: whether higher is better is '{}'; expected true or false",
                         records_.place(direction_), printable(records_.text(direction_)));
      }
      into_.say_direction(task, *higher, records_.place(direction_));
    }
  }

 private:
  ScoreKind kind() const {
    const std::string text = lower_case(records_.text(kind_));
    for (const ScoreKind kind : {ScoreKind::cardinal, ScoreKind::binary, ScoreKind::ordinal}) {
      if (text == score_kind_name(kind)) return kind;
    }
    throw InputError("{}: the kind is '{}'; expected cardinal, binary or ordinal",
                     records_.place(kind_), printable(records_.text(kind_)));
  }

  Records& records_;
  Measurements& into_;
  std::size_t kind_;
  std::size_t weight_;
  std::size_t direction_;
};

}  // namespace

void read_wide(Records& records, Measurements& into) { WideReader(records, into).read(); }

void read_long(Records& records, Measurements& into) {
  const ScoreFormat& format = into.format();
  const std::size_t system_column = records.choose(format.system, kSystemNames, true);
  const std::size_t task_column = records.choose(format.task, kTaskNames, true);
  const std::size_t score_column = records.choose(format.score, kScoreNames, true);
  const std::size_t instance_column = records.choose(format.instance, kInstanceNames, false);
  const std::size_t metric_column = records.choose(format.metric, {"metric"}, false);
  TaskStatements statements(records, into);
  std::string name;
  bool any = false;
  while (records.next()) {
    any = true;
    const System system =
        into.system(records.text(system_column), [&] { return records.place(system_column); });
    name = records.text(task_column);
    if (metric_column != Records::npos && !name.empty() && !records.text(metric_column).empty()) {
      name += ':';
      name += records.text(metric_column);
    }
    const Task task = into.task(name, [&] { return records.place(task_column); });
    statements.say(task);
    const Instance instance = instance_column == Records::npos
                                  ? into.whole()
                                  : into.instance(records.text(instance_column),
                                                  [&] { return records.place(instance_column); });
    const std::optional<double> value = score_of(records, score_column);
    if (value) {
      into.add(system, task, instance, *value);
    } else {
      ++into.notes().missing;
    }
  }
  if (!any) throw InputError("{}: it has a header but no rows", records.where());
}

}  // namespace amalgam::scores
