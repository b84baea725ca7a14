#include "amalgam/labels/annotation_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::labels {
namespace {

std::vector<std::uint32_t> inverse(const std::vector<std::uint32_t>& order) {
  std::vector<std::uint32_t> ranks(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) ranks[order[i]] = static_cast<std::uint32_t>(i);
  return ranks;
}

template <class T>
void reorder(std::vector<T>& column, const std::vector<std::uint32_t>& order) {
  if (column.empty()) return;
  std::vector<T> sorted(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) sorted[i] = column[order[i]];
  column.swap(sorted);
}

// The rows by task, in the order in which they came within each.
std::vector<std::uint32_t> rows_by_task(const std::vector<Task>& tasks,
                                        const std::vector<std::uint64_t>& begins) {
  std::vector<std::uint64_t> next(begins.begin(), begins.end() - 1);
  std::vector<std::uint32_t> order(tasks.size());
  for (std::size_t row = 0; row < tasks.size(); ++row) {
    order[next[tasks[row]]++] = static_cast<std::uint32_t>(row);
  }
  return order;
}

std::vector<std::uint64_t> begins_of(const std::vector<Task>& tasks, std::size_t task_count) {
  std::vector<std::uint64_t> begins(task_count + 1, 0);
  for (const Task task : tasks) ++begins[task + 1];
  std::partial_sum(begins.begin(), begins.end(), begins.begin());
  return begins;
}

}  // namespace

Label AnnotationBuilder::label(std::string_view name) {
  const std::uint32_t id = label_names_.add(name);
  if (id >= kMostLabels) {
    throw InputError(
        "'{}' is the {}th different label; expected at most {} (is this the label "
        "column?)",
        printable(name), id + 1, kMostLabels);
  }
  return static_cast<Label>(id);
}

void AnnotationBuilder::add(Task task, Worker worker, Label label) {
  tasks_.push_back(task);
  workers_.push_back(worker);
  labels_.push_back(label);
}

AnnotationTable AnnotationBuilder::finish(std::string_view where, Duplicates duplicates,
                                          TableNotes* notes) {
  if (tasks_.empty()) throw InputError("{}: it has no annotation", where);
  if (tasks_.size() >= StringPool::npos) {
    throw InputError("{}: {} annotations; expected at most {}", where, tasks_.size(),
                     StringPool::npos - 1);
  }
  if (!weights_.empty() && std::ranges::all_of(weights_, [](float w) { return w == 0; })) {
    throw InputError("{}: all weights are 0", where);
  }
  AnnotationTable table;
  const auto renumber = [](StringPool& names, auto& column) {
    const std::vector<std::uint32_t> order = names.canonical_order();
    const std::vector<std::uint32_t> ranks = inverse(order);
    using Number = typename std::remove_reference_t<decltype(column)>::value_type;
    for (auto& id : column) id = static_cast<Number>(ranks[id]);
    names = names.reordered(order);
    return ranks;
  };
  // A task came when its name was first asked for: the ranks of old numbers are in that order.
  table.appearance = renumber(task_names_, tasks_);
  renumber(worker_names_, workers_);
  renumber(label_names_, labels_);

  table.task_begins = begins_of(tasks_, task_names_.size());
  std::vector<std::uint32_t> order = rows_by_task(tasks_, table.task_begins);
  std::vector<std::uint32_t> kept;
  const bool dedup = duplicates == Duplicates::first || duplicates == Duplicates::last;
  if (dedup) kept.reserve(order.size());
  std::uint64_t repeated = 0;
  for (std::size_t task = 0; task < task_names_.size(); ++task) {
    const auto begin = order.begin() + static_cast<std::ptrdiff_t>(table.task_begins[task]);
    const auto end = order.begin() + static_cast<std::ptrdiff_t>(table.task_begins[task + 1]);
    // Within a worker, in time; the sort must keep the order of the file.
    std::stable_sort(begin, end, [&](std::uint32_t a, std::uint32_t b) {
      if (workers_[a] != workers_[b]) return workers_[a] < workers_[b];
      if (dedup) return !times_.empty() && times_[a] < times_[b];
      return labels_[a] < labels_[b];
    });
    for (auto row = begin; row != end; ++row) {
      const bool again = row != begin && workers_[*row] == workers_[*(row - 1)];
      if (again) {
        ++repeated;
        if (duplicates == Duplicates::error) {
          throw InputError(
              "{}: worker '{}' annotated task '{}' more than once; --duplicates all, first or last "
              "would accept that",
              where, printable(worker_names_[workers_[*row]]), printable(task_names_[task]));
        }
      }
      if (!dedup) continue;
      if (!again) {
        kept.push_back(*row);
      } else if (duplicates == Duplicates::last) {
        kept.back() = *row;
      }
    }
  }
  if (notes != nullptr) notes->duplicates = repeated;
  if (dedup) order.swap(kept);

  reorder(tasks_, order);
  reorder(workers_, order);
  reorder(labels_, order);
  reorder(weights_, order);
  reorder(times_, order);
  if (dedup) table.task_begins = begins_of(tasks_, task_names_.size());
  table.tasks = std::exchange(tasks_, {});
  table.workers = std::exchange(workers_, {});
  table.labels = std::exchange(labels_, {});
  table.weights = std::exchange(weights_, {});
  table.times = std::exchange(times_, {});
  table.task_names = std::exchange(task_names_, {});
  table.worker_names = std::exchange(worker_names_, {});
  table.label_names = std::exchange(label_names_, {});
  return table;
}

AnnotationTable make_table(std::span<const Triple> triples) {
  AnnotationBuilder builder;
  for (const Triple& triple : triples) {
    const Task task = builder.task(triple.task);
    const Worker worker = builder.worker(triple.worker);
    builder.add(task, worker, builder.label(triple.label));
  }
  return builder.finish("annotations");
}

AnnotationTable table_of_votes(std::span<const int> votes, std::size_t items, std::size_t functions,
                               std::size_t classes) {
  AnnotationBuilder builder;
  for (std::size_t i = 0; i < items; ++i) builder.task(fmt::to_string(i));
  for (std::size_t j = 0; j < functions; ++j) builder.worker(fmt::to_string(j));
  for (std::size_t k = 0; k < classes; ++k) builder.label(fmt::to_string(k));
  for (std::size_t i = 0; i < items; ++i) {
    for (std::size_t j = 0; j < functions; ++j) {
      const int vote = votes[i * functions + j];
      if (vote == -1) continue;
      if (vote < 0 || static_cast<std::size_t>(vote) >= classes) {
        throw InputError(
            "item {}, labelling function {}: the vote is {}; expected -1 (abstain) or "
            "a class below {}",
            i, j, vote, classes);
      }
      builder.add(static_cast<Task>(i), static_cast<Worker>(j), static_cast<Label>(vote));
    }
  }
  return builder.finish("votes");
}

}  // namespace amalgam::labels
