#include "amalgam/learning/soft_targets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::learning {
namespace {

// The names of the tasks of all rows of a table, in the order of the file.
std::vector<std::string> tasks_of_table(const DataRecipe& recipe) {
  std::vector<std::string> names;
  TableRows rows(recipe.set);
  const bool named = !recipe.soft->task.empty();
  const std::size_t column = named ? rows.column(recipe.soft->task) : 0;
  while (rows.next()) {
    names.push_back(named ? std::string(rows.cell(column)) : fmt::to_string(names.size()));
  }
  return names;
}

std::vector<std::string> tasks_of_images(const Dataset& data) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < data.count(); ++i) names.push_back(fmt::to_string(i));
  return names;
}

// For each of the data's classes the column that has its probability.
std::vector<std::optional<std::size_t>> columns_of_classes(const Dataset& data,
                                                           const SoftTable& soft) {
  std::vector<std::optional<std::size_t>> columns(data.class_names.size());
  for (std::size_t k = 0; k < soft.class_names.size(); ++k) {
    const auto found = std::ranges::find(data.class_names, soft.class_names[k]);
    if (found == data.class_names.end()) {
      throw InputError("{}: column '{}' is no class of {}{}; it has {}", soft.source,
                       printable(soft.class_names[k]), data.source,
                       did_you_mean(soft.class_names[k], data.class_names),
                       join(data.class_names, ", "));
    }
    columns[static_cast<std::size_t>(found - data.class_names.begin())] = k;
  }
  return columns;
}

void warn_of_tasks_without_rows(const SoftTable& soft, const std::vector<std::string>& names,
                                const std::string& data) {
  std::vector<bool> seen(soft.tasks.size(), false);
  for (const std::string& name : names) {
    const auto found = soft.tasks.find(name);
    if (found != soft.tasks.end()) seen[found->second] = true;
  }
  const auto strangers = std::ranges::count(seen, false);
  if (strangers > 0) {
    log::warn("{}: {} of its {} tasks are none of {}", soft.source, strangers, seen.size(), data);
  }
}

}  // namespace

Dataset with_soft_targets(const Dataset& data, const SoftTable& soft, const DataRecipe& recipe,
                          Split split, bool table) {
  const std::vector<std::string> names = table ? tasks_of_table(recipe) : tasks_of_images(data);
  std::vector<std::size_t> places(names.size());
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = i;
  if (table) places = split_rows(names.size(), split, recipe.set);
  if (places.size() != static_cast<std::size_t>(data.count())) {
    throw Error("{}: changed while it was read", recipe.set);
  }
  std::vector<std::size_t> kept;
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto found = soft.tasks.find(names[places[i]]);
    if (found == soft.tasks.end()) continue;
    kept.push_back(i);
    rows.push_back(found->second);
  }
  if (kept.empty()) {
    throw InputError(
        "{}: none of its tasks is one of the {} {} examples of {}, of which the first is '{}'; {}",
        soft.source, places.size(), split_name(split), data.source,
        printable(names[places.front()]),
        split == Split::validation
            ? "a share of the training examples can be held out instead (validation: 0.1)"
            : "say which column names them with data.soft.task");
  }
  warn_of_tasks_without_rows(soft, names, data.source);
  if (kept.size() < places.size()) {
    log::warn("{}: {} of {} {} examples have no soft label and are left out", data.source,
              places.size() - kept.size(), places.size(), split_name(split));
  }
  Dataset result = data.select(kept);
  const std::vector<std::optional<std::size_t>> columns = columns_of_classes(data, soft);
  result.soft_labels = torch::zeros(
      {static_cast<std::int64_t>(kept.size()), static_cast<std::int64_t>(columns.size())});
  auto* out = result.soft_labels.data_ptr<float>();
  for (const std::size_t row : rows) {
    for (const std::optional<std::size_t>& column : columns) {
      *out++ = column ? soft.values[row * soft.class_names.size() + *column] : 0.0F;
    }
  }
  if (recipe.label.empty() && table) result.labels = result.soft_labels.argmax(1);
  return result;
}

torch::Tensor sampled_labels(const torch::Tensor& soft, const torch::Tensor& places,
                             std::uint64_t seed, std::uint64_t epoch) {
  const torch::Tensor labels = torch::empty({soft.size(0)}, torch::kLong);
  const auto shares = soft.accessor<float, 2>();
  const auto place = places.accessor<std::int64_t, 1>();
  auto drawn = labels.accessor<std::int64_t, 1>();
  for (std::int64_t i = 0; i < soft.size(0); ++i) {
    RandomStream random(seed, fmt::format("sampled label {} {}", epoch, place[i]));
    double left = random.uniform();
    std::int64_t last = 0;  // a class with a probability, if rounding leaves the draw over
    drawn[i] = -1;
    for (std::int64_t k = 0; k < soft.size(1) && drawn[i] < 0; ++k) {
      if (shares[i][k] <= 0) continue;
      last = k;
      left -= static_cast<double>(shares[i][k]);
      if (left < 0) drawn[i] = k;
    }
    if (drawn[i] < 0) drawn[i] = last;
  }
  return labels;
}

}  // namespace amalgam::learning
