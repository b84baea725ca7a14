#include "amalgam/scores/files/records.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/csv.hpp"
#include "amalgam/data/line_reader.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/scores/files/json_parts.hpp"

namespace amalgam::scores {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

CsvReader open_csv(const fs::path& path, const ScoreFormat& format) {
  CsvOptions options;
  options.separator = format.separator;
  return CsvReader::open(path, options, format.on_bytes);
}

class CsvRecords final : public Records {
 public:
  CsvRecords(const fs::path& path, const ScoreFormat& format) : reader_(open_csv(path, format)) {
    where_ = path.string();
    read_header();
  }

  std::size_t find(const std::string& name) override {
    const auto found = std::ranges::find(names_, name);
    return found == names_.end() ? npos : static_cast<std::size_t>(found - names_.begin());
  }

  bool next() override {
    if (!reader_.next()) return false;
    if (reader_.fields().size() != names_.size()) {
      throw InputError(
          "{}:{}: the row has {} {}; expected {}, as the header has (is the file cut off?)", where_,
          reader_.line(), reader_.fields().size(), reader_.fields().size() == 1 ? "cell" : "cells",
          names_.size());
    }
    return true;
  }

  std::string_view text(std::size_t column) const override {
    return trimmed_cell(reader_.fields()[column]);
  }
  bool is_absent(std::size_t) const override { return false; }
  std::string place(std::size_t column) const override { return reader_.place(column); }

 private:
  // As read_csv_header, but data frames leave the name above their index empty.
  void read_header() {
    if (!reader_.next()) {
      throw InputError("{}: empty; expected a first line with the names of the columns", where_);
    }
    std::unordered_set<std::string> known;
    for (std::size_t i = 0; i < reader_.fields().size(); ++i) {
      std::string name(text(i));
      if (!is_utf8(name)) {
        throw InputError("{}: the name of column {} is not UTF-8", reader_.place(i), i + 1);
      }
      if (name.empty() && i > 0) {
        throw InputError("{}: column {} has no name", reader_.place(i), i + 1);
      }
      if (!known.insert(name).second) {
        throw InputError("{}: a second column '{}'; expected different names", reader_.place(i),
                         printable(name));
      }
      names_.push_back(std::move(name));
    }
  }

  CsvReader reader_;
};

// Objects one after the other, from lines or from a list.
class ObjectSource {
 public:
  virtual ~ObjectSource() = default;
  virtual bool next() = 0;
  virtual Json value() const = 0;
  virtual std::string place() const = 0;
};

class ObjectLines final : public ObjectSource {
 public:
  ObjectLines(const fs::path& path, const ScoreFormat& format)
      : reader_(path), on_bytes_(format.on_bytes) {}
  bool next() override {
    while (reader_.next()) {
      if (on_bytes_) on_bytes_(reader_.line().size() + 1);
      if (reader_.line().find_first_not_of(" \t") != std::string_view::npos) return true;
    }
    return false;
  }
  Json value() const override { return parse_written_json(reader_.line(), reader_.place()); }
  std::string place() const override { return reader_.place(); }

 private:
  LineReader reader_;
  std::function<void(std::uint64_t)> on_bytes_;
};

class ObjectList final : public ObjectSource {
 public:
  ObjectList(const fs::path& path, const ScoreFormat& format)
      : parts_(JsonParts::open(path, {.on_bytes = format.on_bytes})) {}
  bool next() override { return parts_.next(); }
  Json value() const override { return parts_.value(); }
  std::string place() const override { return parts_.place(); }

 private:
  JsonParts parts_;
};

class JsonRecords final : public Records {
 public:
  JsonRecords(const fs::path& path, std::unique_ptr<ObjectSource> source)
      : source_(std::move(source)) {
    where_ = path.string();
    if (!source_->next()) throw InputError("{}: it has no objects", where_);
    read_object();
    for (const auto& [key, value] : object_.items()) names_.push_back(key);
  }

  std::size_t find(const std::string& name) override {
    const std::vector<std::string> path = split(name, '.');
    if (lookup(name, path) == nullptr) return npos;
    columns_.push_back({name, path});
    cells_.emplace_back();
    read_cell(columns_.size() - 1);
    return columns_.size() - 1;
  }

  bool next() override {
    // The first object was read to know the keys.
    if (std::exchange(first_, false)) return true;
    if (!source_->next()) return false;
    read_object();
    for (std::size_t i = 0; i < columns_.size(); ++i) read_cell(i);
    return true;
  }

  std::string_view text(std::size_t column) const override { return cells_[column].text; }
  bool is_absent(std::size_t column) const override { return cells_[column].absent; }
  std::string place(std::size_t column) const override {
    return fmt::format("{}: '{}'", source_->place(), printable(columns_[column].name));
  }

 private:
  struct Column {
    std::string name;
    std::vector<std::string> path;
  };
  struct Cell {
    std::string text;
    bool absent = false;
  };

  void read_object() {
    object_ = source_->value();
    if (!object_.is_object()) {
      throw InputError("{}: it is {}; expected an object", source_->place(), object_.type_name());
    }
  }

  const Json* lookup(const std::string& name, const std::vector<std::string>& path) const {
    const auto whole = object_.find(name);
    if (whole != object_.end()) return &*whole;
    const Json* value = &object_;
    for (const std::string& key : path) {
      if (!value->is_object()) return nullptr;
      const auto found = value->find(key);
      if (found == value->end()) return nullptr;
      value = &*found;
    }
    return value;
  }

  void read_cell(std::size_t column) {
    Cell& cell = cells_[column];
    const Json* value = lookup(columns_[column].name, columns_[column].path);
    cell.absent = value == nullptr || value->is_null();
    cell.text.clear();
    if (cell.absent) return;
    if (value->is_string()) {
      cell.text = trimmed_cell(value->get_ref<const std::string&>());
    } else if (value->is_number() || value->is_boolean()) {
      cell.text = value->dump();
    } else if (value->is_object()) {
      cell.text = fmt::to_string(sum_of(*value, column));
    } else {
      throw InputError("{}: it is {}; expected a text or a number", place(column),
                       value->type_name());
    }
  }

  // Counts by kind, such as headers by level, are one count.
  double sum_of(const Json& counts, std::size_t column) const {
    double sum = 0;
    for (const auto& [key, count] : counts.items()) {
      if (!count.is_number()) {
        throw InputError("{}: it is an object; expected a text or a number", place(column));
      }
      sum += count.get<double>();
    }
    return sum;
  }

  std::unique_ptr<ObjectSource> source_;
  Json object_;
  std::vector<Column> columns_;
  std::vector<Cell> cells_;
  bool first_ = true;
};

bool begins_with_list(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  char c = 0;
  for (int i = 0; i < 4096 && file.get(c); ++i) {
    if (c == '[') return true;
    if (c == '{') return false;
  }
  return false;
}

// "; it has 'a', 'b'", and what a header of one column may be about.
std::string seen_columns(const std::vector<std::string>& names) {
  std::vector<std::string> quoted;
  for (const std::string& name : names) quoted.push_back("'" + printable(name, 60) + "'");
  constexpr std::size_t kMostShown = 30;
  if (quoted.size() > kMostShown) {
    const std::size_t more = quoted.size() - kMostShown;
    quoted.resize(kMostShown);
    quoted.push_back(fmt::format("and {} more", more));
  }
  return "; it has " + join(quoted, ", ");
}

}  // namespace

std::optional<std::string> Records::usual_name(const std::vector<std::string>& usual) const {
  for (const std::string& name : usual) {
    if (std::ranges::find(names_, name) != names_.end()) return name;
  }
  for (const std::string& wanted : usual) {
    const auto found =
        std::ranges::find(names_, wanted, [](const std::string& name) { return lower_case(name); });
    if (found != names_.end()) return *found;
  }
  return std::nullopt;
}

std::size_t Records::need(const std::string& name) {
  const std::size_t found = find(name);
  if (found == npos) {
    throw InputError("{}: it has no column '{}'{}", where_, printable(name),
                     did_you_mean(name, names_) + seen_columns(names_));
  }
  return found;
}

std::size_t Records::choose(const std::string& given, const std::vector<std::string>& usual,
                            bool required) {
  if (!given.empty()) return need(given);
  if (const std::optional<std::string> name = usual_name(usual)) return find(*name);
  return required ? need(usual.front()) : npos;
}

std::unique_ptr<Records> open_records(const fs::path& path, const ScoreFormat& format) {
  const std::string extension = path.extension().string();
  if (extension == ".jsonl" || extension == ".ndjson") {
    return std::make_unique<JsonRecords>(path, std::make_unique<ObjectLines>(path, format));
  }
  if (extension == ".json") {
    if (begins_with_list(path)) {
      return std::make_unique<JsonRecords>(path, std::make_unique<ObjectList>(path, format));
    }
    return std::make_unique<JsonRecords>(path, std::make_unique<ObjectLines>(path, format));
  }
  return std::make_unique<CsvRecords>(path, format);
}

bool is_no_value(std::string_view text) {
  if (text.size() > 4) return false;
  if (is_missing_cell(text)) return true;
  const std::string lower = lower_case(text);
  return lower == "na" || lower == "n/a" || lower == "nan" || lower == "null" || lower == "none" ||
         lower == "-" || lower == "--" || lower == "\u2013" || lower == "\u2014";
}

std::optional<double> number_of(const Records& records, std::size_t column, std::string_view what) {
  const std::string_view text = records.text(column);
  if (is_no_value(text)) return std::nullopt;
  const std::optional<double> value = cell_number(text);
  if (!value || std::isnan(*value)) {
    throw InputError("{}: the {} is '{}'; expected a number", records.place(column), what,
                     printable(text));
  }
  if (std::isinf(*value)) {
    throw InputError("{}: the {} is '{}'; expected a finite number", records.place(column), what,
                     printable(text));
  }
  return value;
}

}  // namespace amalgam::scores
