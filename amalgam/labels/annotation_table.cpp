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

void AnnotationBuilder::add(const AnnotationTable& table) {
  std::vector<Task> tasks(table.task_count());
  for (const Task task : table.appearance) tasks[task] = this->task(table.task_names[task]);
  std::vector<Worker> workers(table.worker_count());
  for (std::size_t w = 0; w < workers.size(); ++w) workers[w] = worker(table.worker_names[w]);
  std::vector<Label> labels(table.label_count());
  for (std::size_t k = 0; k < labels.size(); ++k) labels[k] = label(table.label_names[k]);
  const bool weighted = !table.weights.empty() || !weights_.empty();
  if (weighted) weights_.resize(rows(), 1);
  for (Task task = 0; task < tasks.size(); ++task) {
    const auto [begin, end] = table.rows_of(task);
    for (std::size_t row = begin; row < end; ++row) {
      const Label said = table.labels[row];
      add(tasks[task], workers[table.workers[row]], said == kNoLabel ? kNoLabel : labels[said]);
      if (weighted) add_weight(static_cast<float>(table.weight(row)));
    }
  }
}

// The rows by task, in the order in which they came within each.
std::vector<AnnotationBuilder::Key> AnnotationBuilder::keys_by_task(
    const std::vector<std::uint64_t>& begins) const {
  std::vector<std::uint64_t> next(begins.begin(), begins.end() - 1);
  std::vector<Key> keys(tasks_.size());
  for (std::size_t row = 0; row < tasks_.size(); ++row) {
    keys[next[tasks_[row]]++] = {workers_[row], static_cast<std::uint32_t>(row), labels_[row]};
  }
  return keys;
}

// By worker, then by label; with one annotation of each worker to keep, by time and place instead.
void AnnotationBuilder::sort_within_tasks(std::vector<Key>& keys,
                                          const std::vector<std::uint64_t>& begins,
                                          Duplicates duplicates) const {
  const bool one_each = duplicates == Duplicates::first || duplicates == Duplicates::last;
  const auto before = [&](const Key& a, const Key& b) {
    if (a.worker != b.worker) return a.worker < b.worker;
    if (one_each && !times_.empty() && times_[a.row] != times_[b.row]) {
      return times_[a.row] < times_[b.row];
    }
    if (!one_each && a.label != b.label) return a.label < b.label;
    if (!one_each && !weights_.empty() && weights_[a.row] != weights_[b.row]) {
      return weights_[a.row] < weights_[b.row];
    }
    return a.row < b.row;
  };
  for (std::size_t task = 0; task + 1 < begins.size(); ++task) {
    std::sort(keys.begin() + static_cast<std::ptrdiff_t>(begins[task]),
              keys.begin() + static_cast<std::ptrdiff_t>(begins[task + 1]), before);
  }
}

// Drops what is not to be kept, and returns how many annotations were not the first of their worker
// and task.
std::uint64_t AnnotationBuilder::keep_duplicates(std::vector<Key>& keys,
                                                 std::vector<std::uint64_t>& begins,
                                                 Duplicates duplicates,
                                                 std::string_view where) const {
  std::uint64_t repeated = 0;
  std::size_t kept = 0;
  Key last{};
  for (std::size_t task = 0; task + 1 < begins.size(); ++task) {
    const std::size_t begin = begins[task];
    begins[task] = kept;
    for (std::size_t i = begin; i < begins[task + 1]; ++i) {
      const bool again = i > begin && keys[i].worker == last.worker;
      last = keys[i];
      if (again) {
        ++repeated;
        if (duplicates == Duplicates::error) {
          throw InputError(
              "{}: worker '{}' annotated task '{}' more than once; --duplicates all, first or last "
              "would accept that",
              where, printable(worker_names_[last.worker]), printable(task_names_[task]));
        }
        if (duplicates == Duplicates::first) continue;
        if (duplicates == Duplicates::last) --kept;
      }
      keys[kept++] = last;
    }
  }
  begins.back() = kept;
  keys.resize(kept);
  return repeated;
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
    std::vector<std::uint32_t> ranks = inverse(order);
    using Number = typename std::remove_reference_t<decltype(column)>::value_type;
    for (auto& id : column) {
      if (id < ranks.size()) id = static_cast<Number>(ranks[id]);  // else kNoLabel
    }
    names = names.reordered(order);
    return ranks;
  };
  // A task came when its name was first asked for: the ranks of old numbers are in that order.
  table.appearance = renumber(task_names_, tasks_);
  renumber(worker_names_, workers_);
  renumber(label_names_, labels_);

  table.task_begins = begins_of(tasks_, task_names_.size());
  std::vector<Key> keys = keys_by_task(table.task_begins);
  sort_within_tasks(keys, table.task_begins, duplicates);
  const std::uint64_t repeated = keep_duplicates(keys, table.task_begins, duplicates, where);
  if (notes != nullptr) notes->duplicates = repeated;
  const std::size_t kept = keys.size();

  const auto take = [&](const auto& column, auto& out) {
    if (column.empty()) return;
    out.resize(kept);
    for (std::size_t i = 0; i < kept; ++i) out[i] = column[keys[i].row];
  };
  take(weights_, table.weights);
  take(times_, table.times);
  workers_.resize(kept);
  labels_.resize(kept);
  tasks_.resize(kept);
  for (std::size_t i = 0; i < kept; ++i) {
    workers_[i] = keys[i].worker;
    labels_[i] = keys[i].label;
  }
  for (std::size_t task = 0; task < task_names_.size(); ++task) {
    std::fill(tasks_.begin() + static_cast<std::ptrdiff_t>(table.task_begins[task]),
              tasks_.begin() + static_cast<std::ptrdiff_t>(table.task_begins[task + 1]),
              static_cast<Task>(task));
  }
  weights_.clear();
  times_.clear();
  table.tasks = std::exchange(tasks_, {});
  table.workers = std::exchange(workers_, {});
  table.labels = std::exchange(labels_, {});
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
