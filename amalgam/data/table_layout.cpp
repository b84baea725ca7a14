#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// Numbers to predict whose mean and deviation float32 holds.
constexpr double kLargestTarget = 1e38;

// What the first pass over the file finds out.
struct Survey {
  std::size_t rows = 0;
  std::optional<std::size_t> label;  // its column
  bool label_is_number = false;
  std::vector<bool> used;               // columns that become inputs
  std::vector<std::string> first_text;  // the first cell that is no number; empty: none
  std::vector<std::string> first_text_place;
  std::set<std::string, std::less<>> classes;
};

void note_label(Survey& survey, const TableRows& rows) {
  if (!survey.label) return;
  const std::size_t label = *survey.label;
  const std::string_view cell = rows.cell(label);
  const std::string& name = rows.names()[label];
  if (is_missing_cell(cell)) {
    throw InputError("{}: the label '{}' is missing ('{}'); every row needs one", rows.place(label),
                     printable(name), cell);
  }
  if (survey.label_is_number) {
    const auto number = cell_number(cell);
    if (number && std::abs(*number) <= kLargestTarget) return;
    throw InputError("{}: '{}' in column '{}'; expected a number to predict{}", rows.place(label),
                     printable(cell), printable(name),
                     number ? fmt::format(", of at most {:g}", kLargestTarget) : "");
  }
  if (survey.classes.contains(cell)) return;
  if (!is_utf8(cell)) {
    throw InputError("{}: '{}' is not UTF-8", rows.place(label), printable(cell));
  }
  survey.classes.emplace(cell);
  if (survey.classes.size() > kMostTableClasses) {
    throw InputError(
        "{}: column '{}' has more than {} different values; expected the column of the class",
        rows.where(), printable(name), kMostTableClasses);
  }
}

Survey survey_table(const fs::path& path, const TableOptions& options) {
  TableRows rows(path);
  const std::size_t columns = rows.names().size();
  Survey survey;
  survey.used.assign(columns, true);
  if (!options.label.empty()) {
    survey.label = rows.column(options.label);
    survey.label_is_number = options.label_is_number;
    survey.used[*survey.label] = false;
  }
  for (const std::string& name : options.ignore) survey.used[rows.column(name)] = false;
  survey.first_text.resize(columns);
  survey.first_text_place.resize(columns);
  for (const std::string& name : options.categorical) {
    const std::size_t column = rows.column(name);
    if (!survey.used[column]) {
      throw InputError("{}: column '{}' cannot be categorical: it is {}", rows.where(), name,
                       column == survey.label ? "the label" : "to be ignored");
    }
    survey.first_text[column] = "categorical";
  }
  while (rows.next()) {
    ++survey.rows;
    note_label(survey, rows);
    for (std::size_t i = 0; i < columns; ++i) {
      if (!survey.used[i] || !survey.first_text[i].empty()) continue;
      const std::string_view cell = rows.cell(i);
      if (is_missing_cell(cell) || cell_number(cell)) continue;
      survey.first_text[i] = printable(cell);
      survey.first_text_place[i] = rows.place(i);
    }
  }
  return survey;
}

std::vector<std::string> ordered_classes(const Survey& survey) {
  std::vector<std::string> names(survey.classes.begin(), survey.classes.end());
  const bool numbers = std::all_of(names.begin(), names.end(), [](const std::string& name) {
    return cell_number(name).has_value();
  });
  if (numbers) {
    std::stable_sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
      return *cell_number(a) < *cell_number(b);
    });
  }
  return names;
}

// What the training rows say about one column.
struct Learned {
  double sum = 0;
  std::size_t numbers = 0;
  std::size_t missing = 0;
  std::set<std::string, std::less<>> categories;
};

void learn_cell(Learned& learned, const Survey& survey, const TableRows& rows, std::size_t i) {
  const std::string_view cell = rows.cell(i);
  if (is_missing_cell(cell)) {
    ++learned.missing;
    return;
  }
  if (survey.first_text[i].empty()) {
    learned.sum += *cell_number(cell);
    ++learned.numbers;
    return;
  }
  if (learned.categories.contains(cell)) return;
  if (!is_utf8(cell)) throw InputError("{}: '{}' is not UTF-8", rows.place(i), printable(cell));
  learned.categories.emplace(cell);
  if (learned.categories.size() <= kMostCategories) return;
  const std::string name = printable(rows.names()[i]);
  throw InputError(
      "{}: column '{}' has more than {} different values{}; leave it out with data.ignore: ['{}']",
      rows.where(), name, kMostCategories,
      survey.first_text_place[i].empty()
          ? ""
          : fmt::format(" and is not a column of numbers ('{}' at {})", survey.first_text[i],
                        survey.first_text_place[i]),
      name);
}

TableColumn column_of(const std::string& name, bool number, Learned& learned) {
  TableColumn column;
  column.name = name;
  if (!number) {
    column.categories.assign(learned.categories.begin(), learned.categories.end());
    return column;
  }
  if (learned.numbers > 0) column.fill = learned.sum / static_cast<double>(learned.numbers);
  column.flags_missing = learned.missing > 0;
  return column;
}

// By their mean and standard deviation.
TargetScale scale_of(const std::vector<double>& numbers) {
  const auto count = static_cast<double>(std::max<std::size_t>(numbers.size(), 1));
  TargetScale scale;
  // From the first one on, so that numbers that are all equal do not vary by rounding.
  const double first = numbers.empty() ? 0 : numbers.front();
  for (const double number : numbers) scale.mean += (number - first) / count;
  scale.mean += first;
  double variance = 0;
  for (const double number : numbers) {
    variance += (number - scale.mean) * (number - scale.mean) / count;
  }
  if (variance > 0) scale.deviation = std::sqrt(variance);
  return scale;
}

}  // namespace

std::size_t TableLayout::width() const {
  std::size_t sum = 0;
  for (const TableColumn& column : columns) sum += column.width();
  return sum;
}

TableLayout learn_table_layout(const fs::path& path, const TableOptions& options) {
  const Survey survey = survey_table(path, options);
  std::vector<bool> in_training(survey.rows, false);
  for (const std::size_t row : split_rows(survey.rows, Split::train, path.string())) {
    in_training[row] = true;
  }
  TableRows rows(path);
  const std::size_t columns = rows.names().size();
  std::vector<Learned> learned(columns);
  std::vector<double> targets;
  while (rows.next()) {
    if (rows.row() >= in_training.size() || !in_training[rows.row()]) continue;
    if (survey.label && survey.label_is_number) {
      targets.push_back(cell_number(rows.cell(*survey.label)).value_or(0));
    }
    for (std::size_t i = 0; i < columns; ++i) {
      if (survey.used[i]) learn_cell(learned[i], survey, rows, i);
    }
  }
  TableLayout layout;
  layout.label = options.label;
  layout.class_names = ordered_classes(survey);
  if (survey.label_is_number) {
    layout.class_names = {options.label};
    layout.target = scale_of(targets);
  }
  for (std::size_t i = 0; i < columns; ++i) {
    if (!survey.used[i]) continue;
    const bool number = survey.first_text[i].empty();
    // A column without any value in the training rows says nothing.
    if (!number && learned[i].categories.empty()) continue;
    if (number && learned[i].numbers == 0) continue;
    layout.columns.push_back(column_of(rows.names()[i], number, learned[i]));
    if (!std::isfinite(layout.columns.back().fill)) {
      throw InputError("{}: column '{}' has numbers that are too large", rows.where(),
                       printable(rows.names()[i]));
    }
  }
  if (layout.columns.empty()) {
    throw InputError(
        "{}: no column to learn from{}", rows.where(),
        options.label.empty() ? "" : fmt::format(" besides the label '{}'", options.label));
  }
  if (layout.width() > kWidestTable) {
    throw InputError("{}: {} numbers per row; expected at most {}", rows.where(), layout.width(),
                     kWidestTable);
  }
  return layout;
}

}  // namespace amalgam
