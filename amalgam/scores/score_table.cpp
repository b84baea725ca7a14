#include "amalgam/scores/score_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::scores {
namespace {

// Where each old number goes.
std::vector<std::uint32_t> inverse(const std::vector<std::uint32_t>& order) {
  std::vector<std::uint32_t> places(order.size());
  for (std::uint32_t place = 0; place < order.size(); ++place) places[order[place]] = place;
  return places;
}

void renumber(std::vector<std::uint32_t>& numbers, const std::vector<std::uint32_t>& places) {
  for (std::uint32_t& number : numbers) number = places[number];
}

// Brings names into their canonical order; returns where each old number went.
std::vector<std::uint32_t> canonicalise(StringPool& names) {
  const std::vector<std::uint32_t> order = names.canonical_order();
  names = names.reordered(order);
  return inverse(order);
}

void check_binary(const ScoreTable& table, std::string_view where, std::size_t ballot) {
  const Task task = table.ballot_tasks[ballot];
  if (table.task_infos[task].kind != ScoreKind::binary) return;
  const ScoreTable::Ballot rows = table.ballot(ballot);
  for (std::size_t row = 0; row < rows.values.size(); ++row) {
    const double value = std::abs(rows.values[row]);
    if (value == 0.0 || value == 1.0) continue;
    throw InputError("{}: task '{}' is binary, but system '{}' has {}; expected 0 or 1", where,
                     printable(table.tasks[task]), printable(table.systems[rows.systems[row]]),
                     value);
  }
}

// One value for all rows [begin, end) of `order`, which are of the same system and ballot.
double merged_value(const std::vector<double>& values, std::span<const std::uint32_t> order,
                    Repeats repeats) {
  if (repeats == Repeats::first) return values[order.front()];
  if (repeats == Repeats::last) return values[order.back()];
  const auto count = static_cast<double>(order.size());
  double sum = 0;
  double sum_of_shares = 0;  // does not overflow
  for (const std::uint32_t row : order) {
    sum += values[row];
    sum_of_shares += values[row] / count;
  }
  return std::isfinite(sum) ? sum / count : sum_of_shares;
}

}  // namespace

std::string_view score_kind_name(ScoreKind kind) {
  switch (kind) {
    case ScoreKind::cardinal:
      return "cardinal";
    case ScoreKind::binary:
      return "binary";
    case ScoreKind::ordinal:
      return "ordinal";
  }
  return "";
}

Task ScoreBuilder::task(std::string_view name) {
  const Task task = tasks_.add(name);
  if (task == task_infos_.size()) task_infos_.emplace_back();
  return task;
}

void ScoreBuilder::add(System system, Task task, Instance instance, double value) {
  row_systems_.push_back(system);
  row_tasks_.push_back(task);
  row_instances_.push_back(instance);
  values_.push_back(value);
}

std::vector<std::uint32_t> ScoreBuilder::sorted_rows() const {
  std::vector<std::uint32_t> order(values_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) {
    if (row_tasks_[a] != row_tasks_[b]) return row_tasks_[a] < row_tasks_[b];
    if (row_instances_[a] != row_instances_[b]) return row_instances_[a] < row_instances_[b];
    return row_systems_[a] < row_systems_[b];
  });
  return order;
}

ScoreTable ScoreBuilder::finish(std::string_view where, Repeats repeats) {
  if (values_.empty() && comparisons_.empty()) {
    throw InputError("{}: nothing was measured; expected at least one value or comparison", where);
  }
  if (systems_.size() < 2) {
    throw InputError("{}: only system '{}' was measured; expected at least 2 systems", where,
                     printable(systems_[0]));
  }
  const std::vector<std::uint32_t> task_order = tasks_.canonical_order();
  const std::vector<std::uint32_t> system_places = canonicalise(systems_);
  const std::vector<std::uint32_t> task_places = canonicalise(tasks_);
  const std::vector<std::uint32_t> instance_places = canonicalise(instances_);
  renumber(row_systems_, system_places);
  renumber(row_tasks_, task_places);
  renumber(row_instances_, instance_places);
  renumber(comparisons_.first, system_places);
  renumber(comparisons_.second, system_places);

  ScoreTable table;
  for (const std::uint32_t old : task_order) table.task_infos.push_back(task_infos_[old]);
  table.comparisons = std::move(comparisons_);
  table.systems = std::move(systems_);
  table.tasks = std::move(tasks_);
  table.instances = std::move(instances_);

  const std::vector<std::uint32_t> order = sorted_rows();
  table.row_systems.reserve(order.size());
  table.values.reserve(order.size());
  for (std::size_t at = 0; at < order.size();) {
    const std::uint32_t row = order[at];
    const Task task = row_tasks_[row];
    const Instance instance = row_instances_[row];
    std::size_t end = at + 1;
    while (end < order.size() && row_tasks_[order[end]] == task &&
           row_instances_[order[end]] == instance &&
           row_systems_[order[end]] == row_systems_[row]) {
      ++end;
    }
    if (end - at > 1 && repeats == Repeats::error) {
      const std::string name = printable(table.instances[instance]);
      throw InputError(
          "{}: system '{}' has {} values on task '{}'{}; expected one (choose what counts: their "
          "mean, the first or the last)",
          where, printable(table.systems[row_systems_[row]]), end - at,
          printable(table.tasks[task]), name.empty() ? "" : fmt::format(", instance '{}'", name));
    }
    if (table.ballot_tasks.empty() || table.ballot_tasks.back() != task ||
        table.ballot_instances.back() != instance) {
      if (!table.ballot_tasks.empty()) table.ballot_begins.push_back(table.values.size());
      table.ballot_tasks.push_back(task);
      table.ballot_instances.push_back(instance);
    }
    const double value = merged_value(values_, std::span(order).subspan(at, end - at), repeats);
    table.row_systems.push_back(row_systems_[row]);
    table.values.push_back(table.task_infos[task].higher_is_better ? value : 0.0 - value);
    at = end;
  }
  if (!table.ballot_tasks.empty()) table.ballot_begins.push_back(table.values.size());
  for (std::size_t ballot = 0; ballot < table.ballot_count(); ++ballot) {
    check_binary(table, where, ballot);
  }
  *this = ScoreBuilder();
  return table;
}

ScoreTable make_score_table(std::span<const double> values, std::size_t systems, std::size_t tasks,
                            std::span<const std::string> system_names) {
  ScoreBuilder builder;
  const Instance all = builder.instance("");
  for (std::size_t system = 0; system < systems; ++system) {
    const System number =
        builder.system(system_names.empty() ? std::to_string(system) : system_names[system]);
    for (std::size_t task = 0; task < tasks; ++task) {
      const double value = values[system * tasks + task];
      if (!std::isnan(value)) builder.add(number, builder.task(std::to_string(task)), all, value);
    }
  }
  return builder.finish("the table");
}

}  // namespace amalgam::scores
