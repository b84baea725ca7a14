#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/string_pool.hpp"

namespace amalgam::labels {

using Task = std::uint32_t;
using Worker = std::uint32_t;
using Label = std::uint16_t;

inline constexpr std::size_t kMostLabels = 65'535;  ///< different labels of a table
inline constexpr Label kNoLabel = 65'535;

/// Who said what of which task: 10 bytes per annotation (14 with weights, 8 more with times).
///
/// Tasks, workers and labels are numbered in their canonical order (by value if all are whole
/// numbers, else by the bytes of their names), and rows are sorted by (task, worker, label): equal
/// annotations are equal tables, whatever the order of the rows in the file. A labelling function
/// is a worker like any other, and one that abstains has no row.
struct AnnotationTable {
  std::vector<Task> tasks;      ///< [rows]
  std::vector<Worker> workers;  ///< [rows]
  std::vector<Label> labels;    ///< [rows]
  /// [rows], how many annotations a row counts as, finite and >= 0; empty: each counts as one.
  std::vector<float> weights;
  std::vector<std::int64_t> times;  ///< [rows], seconds since 1970; empty if not known

  std::vector<std::uint64_t> task_begins;  ///< [tasks + 1], the rows of each task
  StringPool task_names;
  StringPool worker_names;
  StringPool label_names;
  std::vector<Task> appearance;  ///< the tasks in the order in which they came

  std::size_t rows() const { return tasks.size(); }
  std::size_t task_count() const { return task_names.size(); }
  std::size_t worker_count() const { return worker_names.size(); }
  std::size_t label_count() const { return label_names.size(); }
  double weight(std::size_t row) const { return weights.empty() ? 1.0 : weights[row]; }

  struct Rows {
    std::size_t begin;
    std::size_t end;
  };
  Rows rows_of(Task task) const { return {task_begins[task], task_begins[task + 1]}; }
};

/// What becomes of several annotations of one worker for one task.
enum class Duplicates {
  all,    ///< each counts; how many there are is reported
  error,  ///< InputError
  first,  ///< the first one counts (by time if there are times, else in the order of the file)
  last,   ///< the last one counts
};

/// What was noticed while a table was made.
struct TableNotes {
  std::uint64_t duplicates = 0;  ///< annotations beyond the first of the same (task, worker)
};

/// Takes annotations in any order and makes the table of them.
class AnnotationBuilder {
 public:
  /// The numbers of names, for add(); Error beyond the limits.
  Task task(std::string_view name) { return task_names_.add(name); }
  Worker worker(std::string_view name) { return worker_names_.add(name); }
  /// InputError beyond kMostLabels different labels.
  Label label(std::string_view name);

  /// Adds an annotation; kNoLabel: an answer without a label. Weights, and times, are given for all
  /// of them or for none.
  void add(Task task, Worker worker, Label label);
  /// Adds all names and rows of a table: its weights too (where some have weights, those without
  /// any have 1), and no times.
  void add(const AnnotationTable& table);
  void add_weight(float weight) { weights_.push_back(weight); }
  void add_time(std::int64_t time) { times_.push_back(time); }

  std::size_t rows() const { return tasks_.size(); }

  /// The table; the builder is empty afterwards. `where` begins errors. InputError if there is no
  /// annotation, all weights are 0, or two annotations are of the same task and worker and
  /// `duplicates` is error.
  AnnotationTable finish(std::string_view where, Duplicates duplicates = Duplicates::all,
                         TableNotes* notes = nullptr);

 private:
  // A row as it is sorted within its task.
  struct Key {
    Worker worker;
    std::uint32_t row;  // where it was
    Label label;
  };

  std::vector<Key> keys_by_task(const std::vector<std::uint64_t>& begins) const;
  void sort_within_tasks(std::vector<Key>& keys, const std::vector<std::uint64_t>& begins,
                         Duplicates duplicates) const;
  std::uint64_t keep_duplicates(std::vector<Key>& keys, std::vector<std::uint64_t>& begins,
                                Duplicates duplicates, std::string_view where) const;

  std::vector<Task> tasks_;
  std::vector<Worker> workers_;
  std::vector<Label> labels_;
  std::vector<float> weights_;
  std::vector<std::int64_t> times_;
  StringPool task_names_;
  StringPool worker_names_;
  StringPool label_names_;
};

/// A table of (task, worker, label) triples, for tests and small data.
struct Triple {
  std::string_view task;
  std::string_view worker;
  std::string_view label;
};
AnnotationTable make_table(std::span<const Triple> triples);

/// A table of votes [items, functions], -1 = abstain, else a class < classes. Tasks are the numbers
/// of the items, workers the numbers of the functions, labels those of the classes. InputError
/// naming item and function for a vote below -1 or >= classes.
AnnotationTable table_of_votes(std::span<const int> votes, std::size_t items, std::size_t functions,
                               std::size_t classes);

}  // namespace amalgam::labels
