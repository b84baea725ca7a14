#include "amalgam/scores/studies/subpopulation_table.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::scores {
namespace {

double number_at(const TableRows& rows, std::size_t column) {
  const std::optional<double> value = cell_number(rows.cell(column));
  if (!value || !std::isfinite(*value)) {
    throw InputError("{}: '{}' in column '{}'; expected a number", rows.place(column),
                     rows.cell(column), rows.names()[column]);
  }
  return *value;
}

double count_at(const TableRows& rows, std::size_t column) {
  const double value = number_at(rows, column);
  if (value < 0) {
    throw InputError("{}: '{}' in column '{}'; expected 0 or more", rows.place(column),
                     rows.cell(column), rows.names()[column]);
  }
  return value;
}

// How many test examples there are of one subpopulation: a column, or one number for all.
class Total {
 public:
  Total(const TableRows& rows, const std::string& text) {
    if (text.empty()) return;
    if (std::ranges::find(rows.names(), text) != rows.names().end()) {
      column_ = rows.column(text);
      return;
    }
    const std::optional<double> number = cell_number(text);
    if (!number) {
      column_ = rows.column(text);  // raises the error with the nearest name
    } else if (!(*number >= 1) || !std::isfinite(*number)) {
      throw InputError("{} test examples of a subpopulation; expected 1 or more", text);
    } else {
      number_ = *number;
    }
  }
  double of(const TableRows& rows) const {
    if (!column_) return number_;
    const double value = count_at(rows, *column_);
    if (value == 0) {
      throw InputError("{}: the subpopulation is empty", rows.place(*column_));
    }
    return value;
  }

 private:
  std::optional<std::size_t> column_;
  double number_ = 0;
};

struct ConfusionColumns {
  std::size_t columns[4];
  ConfusionColumns(const TableRows& rows, const std::string& prefix)
      : columns{rows.column(prefix + "_tp"), rows.column(prefix + "_fn"),
                rows.column(prefix + "_tn"), rows.column(prefix + "_fp")} {}
  GroupConfusion of(const TableRows& rows) const {
    const GroupConfusion counts{count_at(rows, columns[0]), count_at(rows, columns[1]),
                                count_at(rows, columns[2]), count_at(rows, columns[3])};
    if (counts.count() == 0) {
      throw InputError("{}: the subpopulation is empty", rows.place(columns[0]));
    }
    return counts;
  }
};

double accuracy_at(const TableRows& rows, std::size_t column, const SubpopulationColumns& columns,
                   double total) {
  double value = count_at(rows, column);
  if (columns.counts) {
    if (value > total) {
      throw InputError("{}: {} right answers of {} examples", rows.place(column), value, total);
    }
    return value / total;
  }
  if (columns.percent) value /= 100;
  if (value > 1) {
    throw InputError("{}: '{}' in column '{}'; expected an accuracy from 0 to {}{}",
                     rows.place(column), rows.cell(column), rows.names()[column],
                     columns.percent ? "100" : "1",
                     columns.percent ? "" : " (in percent? --percent; counts? --counts)");
  }
  return value;
}

struct Rates {
  double right[2] = {0, 0};  // of the majority and of the others
  double all[2] = {0, 0};
  // By group, truth and prediction.
  std::map<std::string, std::map<std::string, double>> cells[2];
};

GroupConfusion confusion_of(const Rates& rates, std::size_t group, const std::string& negative,
                            const std::string& positive) {
  const auto cell = [&](const std::string& truth, const std::string& prediction) {
    const auto row = rates.cells[group].find(truth);
    if (row == rates.cells[group].end()) return 0.0;
    const auto found = row->second.find(prediction);
    return found == row->second.end() ? 0.0 : found->second;
  };
  return {cell(positive, positive), cell(positive, negative), cell(negative, negative),
          cell(negative, positive)};
}

}  // namespace

const std::vector<std::string>& SubpopulationTable::tag(const std::string& name) const {
  const auto found = std::ranges::find(tag_names, name);
  if (found == tag_names.end()) {
    throw InputError("{}: no tag '{}'{}", source, name, did_you_mean(name, tag_names));
  }
  return tags[static_cast<std::size_t>(found - tag_names.begin())];
}

SubpopulationTable read_subpopulation_table(const std::filesystem::path& path,
                                            const SubpopulationColumns& columns) {
  TableRows rows(path);
  if (columns.counts && (columns.majority_total.empty() || columns.minority_total.empty())) {
    throw InputError(
        "{}: counts of right answers need the numbers of examples (--majority-total,"
        " --minority-total)",
        path.string());
  }
  const bool confusion = !columns.majority_confusion.empty() || !columns.minority_confusion.empty();
  if (confusion && (columns.majority_confusion.empty() || columns.minority_confusion.empty())) {
    throw InputError("{}: confusion counts of one subpopulation only; expected those of both",
                     path.string());
  }
  SubpopulationTable table;
  table.source = path.string();
  const std::size_t model = columns.model.empty() ? 0 : rows.column(columns.model);
  std::vector<ConfusionColumns> confusions;
  std::vector<std::size_t> accuracies;
  if (confusion) {
    confusions.emplace_back(rows, columns.majority_confusion);
    confusions.emplace_back(rows, columns.minority_confusion);
  } else {
    accuracies = {rows.column(columns.majority), rows.column(columns.minority)};
  }
  const Total majority_total(rows, columns.majority_total);
  const Total minority_total(rows, columns.minority_total);
  std::vector<std::size_t> tags;
  for (const std::string& name : columns.tags) tags.push_back(rows.column(name));
  table.tag_names = columns.tags;
  table.tags.resize(tags.size());
  std::set<std::string, std::less<>> seen;
  while (rows.next()) {
    if (!seen.emplace(rows.cell(model)).second) {
      throw InputError("{}: model '{}' is there twice", rows.place(model), rows.cell(model));
    }
    table.models.emplace_back(rows.cell(model));
    if (confusion) {
      table.majority_confusion.push_back(confusions[0].of(rows));
      table.minority_confusion.push_back(confusions[1].of(rows));
      table.majority.push_back(table.majority_confusion.back().accuracy());
      table.minority.push_back(table.minority_confusion.back().accuracy());
      table.majority_size.push_back(table.majority_confusion.back().count());
      table.minority_size.push_back(table.minority_confusion.back().count());
    } else {
      table.majority_size.push_back(majority_total.of(rows));
      table.minority_size.push_back(minority_total.of(rows));
      table.majority.push_back(
          accuracy_at(rows, accuracies[0], columns, table.majority_size.back()));
      table.minority.push_back(
          accuracy_at(rows, accuracies[1], columns, table.minority_size.back()));
    }
    for (std::size_t t = 0; t < tags.size(); ++t) table.tags[t].emplace_back(rows.cell(tags[t]));
  }
  if (table.models.empty()) throw InputError("{}: there are no models", table.source);
  return table;
}

SubpopulationTable read_predictions(const std::filesystem::path& path,
                                    const PredictionColumns& columns) {
  TableRows rows(path);
  const std::size_t model = rows.column(columns.model);
  const std::size_t truth = rows.column(columns.truth);
  const std::size_t prediction = rows.column(columns.prediction);
  const std::size_t group = rows.column(columns.group);
  std::optional<std::size_t> weight;
  if (!columns.weight.empty()) weight = rows.column(columns.weight);
  std::map<std::string, Rates, std::less<>> by_model;
  std::vector<std::string> order;
  std::set<std::string, std::less<>> labels;
  constexpr std::size_t kMostLabels = 1000;
  while (rows.next()) {
    for (const std::size_t column : {model, truth, prediction, group}) {
      if (rows.cell(column).empty()) {
        throw InputError("{}: column '{}' is empty", rows.place(column), rows.names()[column]);
      }
    }
    const double counts = weight ? count_at(rows, *weight) : 1;
    const auto [found, added] = by_model.try_emplace(std::string(rows.cell(model)));
    if (added) order.push_back(found->first);
    const bool is_major =
        std::ranges::find(columns.majority, rows.cell(group)) != columns.majority.end();
    const std::size_t side = is_major ? 0 : 1;
    Rates& rates = found->second;
    rates.all[side] += counts;
    if (rows.cell(truth) == rows.cell(prediction)) rates.right[side] += counts;
    labels.emplace(rows.cell(truth));
    labels.emplace(rows.cell(prediction));
    if (labels.size() > kMostLabels) {
      throw InputError("{}: more than {} labels", rows.place(truth), kMostLabels);
    }
    if (labels.size() <= 2) {
      rates.cells[side][std::string(rows.cell(truth))][std::string(rows.cell(prediction))] +=
          counts;
    }
  }
  if (order.empty()) throw InputError("{}: there are no predictions", path.string());
  SubpopulationTable table;
  table.source = path.string();
  for (const std::string& name : order) {
    const Rates& rates = by_model.find(name)->second;
    for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
      if (rates.all[side] > 0) continue;
      throw InputError("{}: model '{}' has no examples {}; the majority is {} = {}", path.string(),
                       name, side == 0 ? "of the majority" : "outside the majority", columns.group,
                       join(columns.majority, ", "));
    }
    table.models.push_back(name);
    table.majority.push_back(rates.right[0] / rates.all[0]);
    table.minority.push_back(rates.right[1] / rates.all[1]);
    table.majority_size.push_back(rates.all[0]);
    table.minority_size.push_back(rates.all[1]);
    if (labels.size() == 2) {
      table.majority_confusion.push_back(confusion_of(rates, 0, *labels.begin(), *labels.rbegin()));
      table.minority_confusion.push_back(confusion_of(rates, 1, *labels.begin(), *labels.rbegin()));
    }
  }
  return table;
}

double mixture_accuracy(double majority, double minority, double share) {
  if (!(share >= 0) || !(share <= 1)) {
    throw InputError("a mixture with {} of the majority; expected a share from 0 to 1", share);
  }
  return share * majority + (1 - share) * minority;
}

}  // namespace amalgam::scores
