#include "amalgam/scores/studies/accuracy_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <tuple>

#include "amalgam/core/error.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kMostCells = 1e7;

// Names in the order in which they came.
class Names {
 public:
  std::size_t add(std::string_view name) {
    const auto [found, is_new] = index_.try_emplace(std::string(name), names_.size());
    if (is_new) names_.emplace_back(name);
    return found->second;
  }
  const std::vector<std::string>& names() const { return names_; }
  std::size_t size() const { return names_.size(); }

 private:
  std::map<std::string, std::size_t> index_;
  std::vector<std::string> names_;
};

struct Cell {
  double value = kNaN;  // an accuracy, or correct ones
  double total = 0;     // of counts

  double accuracy() const { return total > 0 ? value / total : value; }
};

using Cells = std::map<std::tuple<std::size_t, std::size_t, std::size_t>, Cell>;

class Reader {
 public:
  Reader(const std::filesystem::path& path, const AccuracyFormat& format)
      : format_(format), rows_(path) {
    const auto has = [&](const std::string& name) {
      return std::ranges::find(rows_.names(), name) != rows_.names().end();
    };
    model_ = rows_.column(format.model);
    dataset_ = rows_.column(format.dataset);
    resolution_ = rows_.column(format.resolution);
    counts_ = !has(format.accuracy) && has(format.correct) && has(format.total);
    value_ = rows_.column(counts_ ? format.correct : format.accuracy);
    if (counts_) total_ = rows_.column(format.total);
    if (has(format.classes)) classes_ = rows_.column(format.classes);
  }

  AccuracyTable read() {
    while (rows_.next()) add_row();
    if (cells_.empty()) throw InputError("{}: no rows", rows_.where());
    const double size = static_cast<double>(models_.size()) *
                        static_cast<double>(datasets_.size()) *
                        static_cast<double>(resolutions_.size());
    if (size > kMostCells) {
      throw InputError("{}: {} models, {} data sets and {} resolutions; a table may have {} cells",
                       rows_.where(), models_.size(), datasets_.size(), resolutions_.size(),
                       kMostCells);
    }
    AccuracyTable table{.models = models_.names(), .datasets = datasets_.names()};
    fill(table);
    add_chance(table);
    return table;
  }

 private:
  std::string_view name_in(std::size_t column, std::string_view what) {
    const std::string_view cell = rows_.cell(column);
    if (cell.empty() || !is_utf8(cell)) {
      throw InputError("{}: {} '{}'; expected a name", rows_.place(column), what, printable(cell));
    }
    return cell;
  }

  std::optional<double> number_in(std::size_t column, std::string_view what) {
    const std::string_view cell = rows_.cell(column);
    if (is_missing_cell(cell)) return std::nullopt;
    const std::optional<double> number = cell_number(cell);
    if (!number || !std::isfinite(*number)) {
      throw InputError("{}: {} '{}'; expected a number", rows_.place(column), what,
                       printable(cell));
    }
    return number;
  }

  void add_row() {
    const std::size_t model = models_.add(name_in(model_, "model"));
    const std::size_t dataset = datasets_.add(name_in(dataset_, "data set"));
    const std::size_t resolution = resolutions_.add(name_in(resolution_, "resolution"));
    add_classes(dataset);
    const auto [found, is_new] = cells_.try_emplace({model, dataset, resolution});
    Cell& cell = found->second;
    if (counts_) {
      add_counts(cell);
      return;
    }
    if (!is_new) {
      throw InputError("{}: a second accuracy of model '{}' on '{}' at {}", rows_.place(value_),
                       models_.names()[model], datasets_.names()[dataset],
                       resolutions_.names()[resolution]);
    }
    const std::optional<double> value = number_in(value_, "accuracy");
    if (!value) return;
    const double most = format_.percent ? 100 : 1;
    if (*value < 0 || *value > most) {
      throw InputError("{}: the accuracy {}; expected one from 0 to {}{}", rows_.place(value_),
                       *value, most,
                       !format_.percent && *value <= 100 ? " (or are they in percent?)" : "");
    }
    cell.value = *value / most;
  }

  void add_counts(Cell& cell) {
    const std::optional<double> correct = number_in(value_, "correct");
    const std::optional<double> total = number_in(total_, "total");
    if (!correct && !total) return;
    if (!correct || !total || *correct < 0 || *total <= 0 || *correct > *total) {
      throw InputError("{}: {} correct of {}; expected counts, the first no larger",
                       rows_.place(value_), printable(rows_.cell(value_)),
                       printable(rows_.cell(total_)));
    }
    cell.value = (cell.total > 0 ? cell.value : 0) + *correct;
    cell.total += *total;
  }

  void add_classes(std::size_t dataset) {
    class_counts_.resize(datasets_.size(), kNaN);
    if (!classes_) return;
    const std::optional<double> count = number_in(*classes_, "classes");
    if (!count) return;
    double& known = class_counts_[dataset];
    if (known == known && known != *count) {
      throw InputError("{}: '{}' has {} classes here and {} before", rows_.place(*classes_),
                       datasets_.names()[dataset], *count, known);
    }
    known = *count;
  }

  double resolution_number(std::size_t resolution) const {
    return cell_number(resolutions_.names()[resolution]).value_or(kNaN);
  }

  // The resolution that is the native one of all models; nothing if it is each model's largest.
  std::optional<std::size_t> native_name() const {
    const std::vector<std::string>& names = resolutions_.names();
    for (std::size_t r = 0; r < names.size(); ++r) {
      const std::string name = lower_case(names[r]);
      const bool known = name == "hr" || name == "native" || name == "original" || name == "clean";
      if (format_.native.empty() ? known : names[r] == format_.native) return r;
    }
    if (!format_.native.empty()) {
      throw InputError("{}: no resolution '{}', which should be the native one", rows_.where(),
                       format_.native);
    }
    for (std::size_t r = 0; r < names.size(); ++r) {
      if (std::isnan(resolution_number(r))) {
        throw InputError(
            "{}: which resolution is the native one? None is called HR, native, original or clean,"
            " and '{}' is no number",
            rows_.where(), printable(names[r]));
      }
    }
    return std::nullopt;
  }

  // [models]: the native resolution of each.
  std::vector<std::size_t> native_resolutions() const {
    if (const auto name = native_name()) return std::vector<std::size_t>(models_.size(), *name);
    std::vector<std::size_t> native(models_.size(), resolutions_.size());
    for (const auto& [key, cell] : cells_) {
      const auto& [model, dataset, resolution] = key;
      if (native[model] == resolutions_.size() ||
          resolution_number(resolution) > resolution_number(native[model])) {
        native[model] = resolution;
      }
    }
    return native;
  }

  void fill(AccuracyTable& table) const {
    const std::vector<std::size_t> native = native_resolutions();
    std::vector<std::size_t> others;
    for (std::size_t r = 0; r < resolutions_.size(); ++r) {
      if (std::ranges::find(native, r) == native.end()) others.push_back(r);
    }
    if (others.empty()) {
      throw InputError("{}: no resolution but the native one", rows_.where());
    }
    // Numbers from the largest, then names as they came.
    std::ranges::stable_sort(others, std::greater<>(), [&](std::size_t r) {
      const double number = resolution_number(r);
      return std::isnan(number) ? -std::numeric_limits<double>::infinity() : number;
    });
    for (const std::size_t r : others) table.resolutions.push_back(resolutions_.names()[r]);
    const auto value = [&](std::size_t model, std::size_t dataset, std::size_t resolution) {
      const auto found = cells_.find({model, dataset, resolution});
      return found == cells_.end() ? kNaN : found->second.accuracy();
    };
    for (std::size_t m = 0; m < models_.size(); ++m) {
      for (std::size_t d = 0; d < datasets_.size(); ++d) {
        table.native.push_back(value(m, d, native[m]));
        for (const std::size_t r : others) table.accuracies.push_back(value(m, d, r));
      }
    }
  }

  void add_chance(AccuracyTable& table) const {
    for (const auto* given : {&format_.class_counts, &format_.chance}) {
      for (const auto& [name, value] : *given) {
        if (std::ranges::find(table.datasets, name) == table.datasets.end()) {
          throw InputError("{}: no data set '{}'", rows_.where(), printable(name));
        }
      }
    }
    for (std::size_t d = 0; d < table.datasets.size(); ++d) {
      const std::string& name = table.datasets[d];
      const auto level = format_.chance.find(name);
      if (level != format_.chance.end()) {
        if (!(level->second > 0 && level->second < 1)) {
          throw InputError("a chance level of {} for '{}'; expected a share between 0 and 1",
                           level->second, name);
        }
        table.chance.push_back(level->second);
        continue;
      }
      const auto given = format_.class_counts.find(name);
      const double classes = given != format_.class_counts.end() ? given->second : class_counts_[d];
      if (std::isnan(classes)) {
        throw InputError("{}: how many classes has '{}'? Give a column '{}' or its count",
                         rows_.where(), name, format_.classes);
      }
      if (classes < 2 || classes != std::floor(classes)) {
        throw InputError("{}: '{}' has {} classes; expected 2 or more", rows_.where(), name,
                         classes);
      }
      table.chance.push_back(1 / classes);
    }
  }

  const AccuracyFormat& format_;
  TableRows rows_;
  std::size_t model_ = 0;
  std::size_t dataset_ = 0;
  std::size_t resolution_ = 0;
  std::size_t value_ = 0;
  std::size_t total_ = 0;
  std::optional<std::size_t> classes_;
  bool counts_ = false;
  Names models_;
  Names datasets_;
  Names resolutions_;
  std::vector<double> class_counts_;
  Cells cells_;
};

}  // namespace

void check_accuracies(const AccuracyTable& table) {
  const std::size_t pairs = table.models.size() * table.datasets.size();
  if (pairs == 0 || table.resolutions.empty() || table.native.size() != pairs ||
      table.accuracies.size() != pairs * table.resolutions.size() ||
      table.chance.size() != table.datasets.size()) {
    throw InputError("an accuracy table whose sizes do not fit each other");
  }
  for (const auto* values : {&table.native, &table.accuracies}) {
    for (const double value : *values) {
      if (value < 0 || value > 1) {
        throw InputError("an accuracy of {}; expected a share from 0 to 1", value);
      }
    }
  }
  for (const double chance : table.chance) {
    if (!(chance > 0 && chance < 1)) {
      throw InputError("a chance level of {}; expected one between 0 and 1", chance);
    }
  }
}

AccuracyTable read_accuracies(const std::filesystem::path& path, const AccuracyFormat& format) {
  return Reader(path, format).read();
}

}  // namespace amalgam::scores
