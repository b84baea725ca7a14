#include "amalgam/scores/studies/decision_files.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/data/line_reader.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::scores {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostAnswers = 100'000'000;
constexpr std::size_t kMostGroups = 1000;

// What a row or an object says besides its answers. Texts are empty where there are none.
struct Labels {
  std::vector<std::string> group;
  std::string temperature;
  std::string series;
  std::string asked;
};

double number_of(const std::string& text, std::string_view what, const std::string& place) {
  const std::optional<double> value = cell_number(trimmed_cell(text));
  if (!value || !std::isfinite(*value) || *value < 0) {
    throw InputError("{}: {} is '{}'; expected a number of at least 0", place, what,
                     printable(text));
  }
  return *value;
}

class Collector {
 public:
  explicit Collector(std::string file) : file_(std::move(file)) {}

  void start_file(const fs::path& path) { file_ = path.stem().string(); }

  // The group and series that answers with these labels belong to.
  void select(const Labels& labels, const std::string& place) {
    DecisionGroup& group = find_group(labels, place);
    const auto [found, is_new] = series_index_.try_emplace(
        {static_cast<std::size_t>(&group - data_.data()), labels.series}, group.series.size());
    if (is_new) group.series.push_back({.name = labels.series});
    group_ = &group;
    series_ = &group.series[found->second];
    if (!labels.asked.empty()) {
      series_->asked = static_cast<std::uint64_t>(number_of(labels.asked, "asked", place));
    }
  }

  void add(std::int8_t answer, const std::string& place) {
    if (++answers_ > kMostAnswers) {
      throw InputError("{}: more than {} answers", place, kMostAnswers);
    }
    series_->answers.push_back(answer);
  }
  void add_missing(const std::string& place) {
    ++group_->missing;
    add(kInvalid, place);
  }

  DecisionData finish(const std::vector<fs::path>& paths) {
    if (answers_ == 0) {
      throw InputError("{}: no answers", paths.empty() ? "no files" : paths.front().string());
    }
    return std::move(data_);
  }

 private:
  DecisionGroup& find_group(const Labels& labels, const std::string& place) {
    std::string setting = join(labels.group, ", ");
    if (setting.empty()) setting = file_;
    std::optional<double> temperature;
    std::string name = setting;
    if (!labels.temperature.empty()) {
      temperature = number_of(labels.temperature, "temperature", place);
      name += fmt::format(", T {}", *temperature);
    }
    if (!is_utf8(name)) throw InputError("{}: the group's name is not UTF-8", place);
    const auto [found, is_new] = group_index_.try_emplace(name, data_.size());
    if (is_new) {
      if (data_.size() == kMostGroups)
        throw InputError("{}: more than {} groups", place, kMostGroups);
      data_.push_back({.name = name, .setting = setting, .temperature = temperature});
    }
    return data_[found->second];
  }

  std::string file_;
  DecisionData data_;
  std::map<std::string, std::size_t> group_index_;
  std::map<std::pair<std::size_t, std::string>, std::size_t> series_index_;
  DecisionGroup* group_ = nullptr;
  DecisionSeries* series_ = nullptr;
  std::uint64_t answers_ = 0;
};

std::vector<std::string> group_names(const DecisionFormat& format,
                                     const std::function<bool(const std::string&)>& has) {
  if (!format.group.empty()) return format.group;
  std::vector<std::string> names;
  for (const char* name : {"model", "version", "prompt", "mode", "group"}) {
    if (has(name)) names.emplace_back(name);
  }
  return names;
}

void read_csv(const fs::path& path, const DecisionFormat& format, Collector& collector) {
  TableRows rows(path);
  const std::vector<std::string>& names = rows.names();
  const auto has = [&](const std::string& name) {
    return std::ranges::find(names, name) != names.end();
  };
  const bool many = !has(format.answer) && has(format.reply);
  const std::size_t answer = rows.column(many ? format.reply : format.answer);
  std::vector<std::size_t> group;
  for (const std::string& name : group_names(format, has)) group.push_back(rows.column(name));
  const auto optional_column = [&](const std::string& name) {
    return has(name) ? rows.column(name) : names.size();
  };
  const std::size_t temperature = optional_column("temperature");
  const std::size_t series = optional_column(format.series);
  const std::size_t asked = optional_column("asked");
  const auto text = [&](std::size_t column) {
    return column < names.size() ? std::string(rows.cell(column)) : std::string();
  };
  while (rows.next()) {
    Labels labels{{}, text(temperature), text(series), text(asked)};
    for (const std::size_t column : group) labels.group.emplace_back(rows.cell(column));
    if (many && labels.series.empty()) labels.series = fmt::format("{}", rows.row() + 1);
    const std::string place = rows.place(answer);
    collector.select(labels, place);
    const std::string_view cell = rows.cell(answer);
    if (cell.empty()) {
      collector.add_missing(place);
    } else if (many) {
      for (const std::int8_t one : parse_reply(cell, format.words)) collector.add(one, place);
    } else {
      collector.add(parse_answer(cell, format.words), place);
    }
  }
}

std::string text_of(const nlohmann::json& value, const std::string& key, const std::string& place) {
  if (value.is_null()) return {};
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  throw InputError("{}: '{}' is {}; expected a text or a number", place, key, value.type_name());
}

void add_array(const nlohmann::json& array, const DecisionFormat& format, Collector& collector,
               const std::string& place) {
  if (!array.is_array()) {
    throw InputError("{}: 'answers' is {}; expected an array", place, array.type_name());
  }
  for (const nlohmann::json& one : array) {
    if (one.is_null()) {
      collector.add_missing(place);
    } else if (one.is_number() && one != 0 && one != 1 && one != -1) {
      throw InputError("{}: the answer {}; expected 1, 0 or -1", place, one.dump());
    } else {
      collector.add(parse_answer(text_of(one, "answers", place), format.words), place);
    }
  }
}

void add_object(const nlohmann::json& object, const DecisionFormat& format, Collector& collector,
                std::uint64_t line, const std::string& place) {
  if (!object.is_object()) {
    throw InputError("{}: the line is {}; expected an object", place, object.type_name());
  }
  const auto text = [&](const std::string& key) {
    return object.contains(key) ? text_of(object[key], key, place) : std::string();
  };
  Labels labels{{}, text("temperature"), text(format.series), text("asked")};
  const auto has = [&](const std::string& key) { return object.contains(key); };
  for (const std::string& key : group_names(format, has)) {
    if (!has(key)) throw InputError("{}: the object has no key '{}'", place, key);
    labels.group.push_back(text(key));
  }
  const bool one = has(format.answer);
  if (!one && labels.series.empty()) labels.series = fmt::format("{}", line);
  collector.select(labels, place);
  if (one) {
    const std::string answer = text(format.answer);
    if (answer.empty()) {
      collector.add_missing(place);
    } else {
      collector.add(parse_answer(answer, format.words), place);
    }
  } else if (has("answers")) {
    add_array(object["answers"], format, collector, place);
  } else if (has(format.reply)) {
    for (const std::int8_t each : parse_reply(text(format.reply), format.words)) {
      collector.add(each, place);
    }
  } else {
    throw InputError("{}: the object has no key '{}', 'answers' or '{}'", place, format.answer,
                     format.reply);
  }
}

void read_json_lines(const fs::path& path, const DecisionFormat& format, Collector& collector) {
  LineReader reader(path);
  while (reader.next()) {
    if (trimmed_cell(reader.line()).empty()) continue;
    add_object(parse_json(reader.line(), reader.place()), format, collector, reader.number(),
               reader.place());
  }
}

void read_text(const fs::path& path, const DecisionFormat& format, Collector& collector) {
  LineReader reader(path);
  while (reader.next()) {
    const std::string_view line = trimmed_cell(reader.line());
    if (line.empty() || line.front() == '#') continue;
    Labels labels;
    labels.series = fmt::format("{}", reader.number());
    const std::string place = reader.place();
    collector.select(labels, place);
    for (const std::int8_t one : parse_reply(line, format.words)) collector.add(one, place);
  }
}

}  // namespace

DecisionData read_decisions(const std::vector<fs::path>& paths, const DecisionFormat& format) {
  Collector collector("answers");
  for (const fs::path& path : paths) {
    collector.start_file(path);
    const std::string extension = path.extension().string();
    if (extension == ".csv" || extension == ".tsv" || extension == ".tab") {
      read_csv(path, format, collector);
    } else if (extension == ".jsonl" || extension == ".ndjson" || extension == ".json") {
      read_json_lines(path, format, collector);
    } else {
      read_text(path, format, collector);
    }
  }
  return collector.finish(paths);
}

void write_decisions(const fs::path& path, const DecisionData& data) {
  CsvOutput output(path);
  output.field("group").field("temperature").field("series").field("answer").end();
  for (const DecisionGroup& group : data) {
    for (const DecisionSeries& series : group.series) {
      for (const std::int8_t answer : series.answers) {
        output.field(group.setting);
        if (group.temperature) {
          output.field(*group.temperature);
        } else {
          output.field("");
        }
        output.field(series.name).field(static_cast<double>(answer)).end();
      }
    }
  }
  output.commit();
}

}  // namespace amalgam::scores
