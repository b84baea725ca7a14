#include "amalgam/labels/confusion_file.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/csv.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"

namespace amalgam::labels {
namespace {

// The table's cells, [workers, true label, observed label], and which of them the file has.
class Cells {
 public:
  explicit Cells(const AnnotationTable& table)
      : table_(table),
        classes_(table.label_count()),
        values_(table.worker_count() * classes_ * classes_, 0),
        has_(values_.size(), false) {}

  // The place of a cell; nothing if the table has no such worker or label.
  std::optional<std::size_t> find(std::string_view worker, std::string_view truth,
                                  std::string_view observed) const {
    const std::uint32_t w = table_.worker_names.find(worker);
    const std::uint32_t k = table_.label_names.find(truth);
    const std::uint32_t l = table_.label_names.find(observed);
    if (w == StringPool::npos || k == StringPool::npos || l == StringPool::npos) return {};
    return (std::size_t{w} * classes_ + k) * classes_ + l;
  }

  // False if the cell was set before.
  bool set(std::size_t cell, double value) {
    if (has_[cell]) return false;
    has_[cell] = true;
    values_[cell] = value;
    return true;
  }

  void check_complete(const std::string& where) const {
    const auto missing = std::ranges::find(has_, false);
    if (missing == has_.end()) return;
    const auto cell = static_cast<std::size_t>(missing - has_.begin());
    throw InputError(
        "{}: it says nothing of worker '{}' with true label '{}' and observed label '{}'; "
        "expected all of them, or a weight with which the matrices are added to the first counts "
        "(--initial-weight)",
        where, printable(table_.worker_names[cell / classes_ / classes_]),
        printable(table_.label_names[cell / classes_ % classes_]),
        printable(table_.label_names[cell % classes_]));
  }

  std::vector<double> take() { return std::move(values_); }

 private:
  const AnnotationTable& table_;
  std::size_t classes_;
  std::vector<double> values_;
  std::vector<bool> has_;
};

// The rows of the file: names as they are, spaces included, as in annotations.
class ConfusionRows {
 public:
  explicit ConfusionRows(const std::filesystem::path& path)
      : reader_(CsvReader::open(path)), names_(read_csv_header(reader_)) {
    worker_ = column("worker");
    truth_ = column("true");
    observed_ = column("observed");
    const bool counts = std::ranges::find(names_, "count") != names_.end();
    value_ = column(counts ? "count" : "probability");
  }

  bool next() {
    if (!reader_.next()) return false;
    if (reader_.fields().size() == names_.size()) return true;
    throw InputError("{}:{}: the row has {} cells; expected {}, as the header has", reader_.where(),
                     reader_.line(), reader_.fields().size(), names_.size());
  }
  std::string_view worker() const { return reader_.fields()[worker_]; }
  std::string_view truth() const { return reader_.fields()[truth_]; }
  std::string_view observed() const { return reader_.fields()[observed_]; }
  std::string place() const { return reader_.place(worker_); }

  double value() const {
    const std::string_view cell = trimmed_cell(reader_.fields()[value_]);
    const std::optional<double> value = cell_number(cell);
    if (value && *value >= 0 && std::isfinite(*value)) return *value;
    throw InputError("{}: '{}'; expected a finite number of at least 0", reader_.place(value_),
                     printable(cell));
  }

 private:
  std::size_t column(const std::string& name) const {
    const auto found = std::ranges::find(names_, name);
    if (found != names_.end()) return static_cast<std::size_t>(found - names_.begin());
    throw InputError(
        "{}: it has no column '{}'{}; expected worker, true, observed and probability (or count)",
        reader_.where(), name, did_you_mean(name, names_));
  }

  CsvReader reader_;
  std::vector<std::string> names_;
  std::size_t worker_ = 0;
  std::size_t truth_ = 0;
  std::size_t observed_ = 0;
  std::size_t value_ = 0;
};

}  // namespace

ConfusionFile read_confusion(const std::filesystem::path& path, const AnnotationTable& table,
                             double weight) {
  if (!(weight >= 0) || !std::isfinite(weight)) {
    throw InputError("initial confusion matrices weigh {}; expected a finite number of at least 0",
                     weight);
  }
  models::check_confusion_size(table);
  ConfusionRows rows(path);
  Cells cells(table);
  ConfusionFile file;
  while (rows.next()) {
    const double value = rows.value() * (weight > 0 ? weight : 1);
    const auto cell = cells.find(rows.worker(), rows.truth(), rows.observed());
    if (!cell) {
      ++file.elsewhere;
      continue;
    }
    ++file.used;
    if (!cells.set(*cell, value)) {
      throw InputError("{}: a second row of worker '{}' with true label '{}' and observed '{}'",
                       rows.place(), printable(rows.worker()), printable(rows.truth()),
                       printable(rows.observed()));
    }
  }
  if (file.used == 0) {
    throw InputError("{}: no row is of a worker and labels that the annotations have",
                     path.string());
  }
  if (weight == 0) cells.check_complete(path.string());
  file.confusion = {.counts = cells.take(), .adds = weight > 0};
  return file;
}

}  // namespace amalgam::labels
