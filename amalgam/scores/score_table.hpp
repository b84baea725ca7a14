#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/string_pool.hpp"

namespace amalgam::scores {

using System = std::uint32_t;
using Task = std::uint32_t;
using Instance = std::uint32_t;

/// What the numbers of a task mean.
enum class ScoreKind {
  cardinal,  ///< differences mean something
  binary,    ///< 0 or 1
  ordinal,   ///< only the order means something
};
std::string_view score_kind_name(ScoreKind kind);

/// What is known of a task besides its name.
struct TaskInfo {
  ScoreKind kind = ScoreKind::cardinal;
  bool higher_is_better = true;
  double weight = 1;  ///< finite and >= 0: how much a vote of it counts
};

/// Comparisons of two systems each ("battles"), in the order in which they came.
struct Comparisons {
  std::vector<System> first;
  std::vector<System> second;
  std::vector<std::int8_t> outcomes;  ///< 1: the first won, -1: the second won, 0: a tie
  std::vector<float> weights;         ///< finite and >= 0; empty: 1 each
  /// What belongs together (answers to one prompt, votes of one person) when uncertainty is
  /// judged; empty: each comparison stands alone.
  std::vector<std::uint32_t> clusters;
  std::vector<std::string> covariate_names;  ///< of differences first - second, such as in length
  std::vector<float> covariates;             ///< [comparisons, covariates]

  std::size_t size() const { return outcomes.size(); }
  bool empty() const { return outcomes.empty(); }
  double weight(std::size_t row) const { return weights.empty() ? 1.0 : weights[row]; }
};

/// What was measured of systems: values on tasks and their instances, and outcomes of comparisons.
///
/// All values of one instance of one task are a ballot: they are compared among each other and with
/// nothing else. A table without instances has one ballot per task. Systems, tasks and instances
/// are numbered in an order of names that does not depend on the file (StringPool's canonical
/// order), ballots are sorted by (task, instance), and rows by (ballot, system). What was not
/// measured has no row.
struct ScoreTable {
  StringPool systems;
  StringPool tasks;
  StringPool instances;
  std::vector<TaskInfo> task_infos;  ///< [tasks]

  std::vector<Task> ballot_tasks;               ///< [ballots]
  std::vector<Instance> ballot_instances;       ///< [ballots]
  std::vector<std::uint64_t> ballot_begins{0};  ///< [ballots + 1], the rows of each ballot
  std::vector<System> row_systems;              ///< [rows]
  std::vector<double> values;  ///< [rows], finite; negated where lower is better: higher is better

  Comparisons comparisons;

  std::size_t system_count() const { return systems.size(); }
  std::size_t task_count() const { return tasks.size(); }
  std::size_t ballot_count() const { return ballot_tasks.size(); }
  std::size_t rows() const { return values.size(); }

  struct Ballot {
    std::span<const System> systems;
    std::span<const double> values;
  };
  Ballot ballot(std::size_t index) const {
    const std::size_t begin = ballot_begins[index];
    const std::size_t count = ballot_begins[index + 1] - begin;
    return {{row_systems.data() + begin, count}, {values.data() + begin, count}};
  }
  double ballot_weight(std::size_t index) const { return task_infos[ballot_tasks[index]].weight; }
  /// Whether some task has more than one ballot.
  bool has_instances() const { return ballot_count() > task_count(); }
};

/// What becomes of several values of one system on one instance of one task.
enum class Repeats {
  error,  ///< InputError
  mean,   ///< their mean counts
  first,  ///< the first one counts, in the order in which they came
  last,   ///< the last one counts
};

/// Takes measurements in any order and makes the table of them.
class ScoreBuilder {
 public:
  /// Numbers of names, for add().
  System system(std::string_view name) { return systems_.add(name); }
  Task task(std::string_view name);
  Instance instance(std::string_view name) { return instances_.add(name); }
  /// What is known of a task; by default cardinal, higher is better, weight 1.
  TaskInfo& info(Task task) { return task_infos_[task]; }

  /// A value as measured (not negated); it must be finite.
  void add(System system, Task task, Instance instance, double value);
  /// The table's comparisons, to be filled with numbers of system().
  Comparisons& comparisons() { return comparisons_; }

  std::size_t rows() const { return values_.size(); }

  /// The table; the builder is empty afterwards. `where` begins errors. InputError: nothing was
  /// measured, fewer than two systems, a repeated value that is not allowed (naming it), a value of
  /// a binary task that is neither 0 nor 1.
  ScoreTable finish(std::string_view where, Repeats repeats = Repeats::error);

 private:
  std::vector<std::uint32_t> sorted_rows() const;

  StringPool systems_;
  StringPool tasks_;
  StringPool instances_;
  std::vector<TaskInfo> task_infos_;
  std::vector<System> row_systems_;
  std::vector<Task> row_tasks_;
  std::vector<Instance> row_instances_;
  std::vector<double> values_;
  Comparisons comparisons_;
};

/// A table of values [systems, tasks] without instances, NaN = not measured; systems are "0", "1",
/// ... and so are tasks, unless names are given. For tests and small data.
ScoreTable make_score_table(std::span<const double> values, std::size_t systems, std::size_t tasks,
                            std::span<const std::string> system_names = {});

}  // namespace amalgam::scores
