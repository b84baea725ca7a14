#include "amalgam/labels/weak/function_analysis.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"

namespace amalgam::labels {
namespace {

constexpr std::size_t kTasksPerLeaf = 65'536;
constexpr std::size_t kMostMarks = std::size_t{1} << 31U;  // functions x labels

struct Counts {
  std::uint64_t votes = 0;
  std::uint64_t overlaps = 0;
  std::uint64_t conflicts = 0;
  std::uint64_t judged = 0;
  std::uint64_t correct = 0;
};

// Whole numbers: the sums are the same in any order.
struct State {
  std::vector<Counts> functions;
  std::vector<bool> gives;  // [functions, labels]
  std::uint64_t covered = 0;
  std::uint64_t overlapping = 0;
  std::uint64_t conflicting = 0;

  void combine(State&& right) {
    covered += right.covered;
    overlapping += right.overlapping;
    conflicting += right.conflicting;
    for (std::size_t j = 0; j < functions.size(); ++j) {
      functions[j].votes += right.functions[j].votes;
      functions[j].overlaps += right.functions[j].overlaps;
      functions[j].conflicts += right.functions[j].conflicts;
      functions[j].judged += right.functions[j].judged;
      functions[j].correct += right.functions[j].correct;
    }
    for (std::size_t i = 0; i < gives.size(); ++i) gives[i] = gives[i] || right.gives[i];
  }
};

// Rows [begin, end) are the task's, by worker and then by label.
void absorb(State& state, const AnnotationTable& table, AnnotationTable::Rows rows, Label gold) {
  const Label first_label = table.labels[rows.begin];
  bool two_labels = false;
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    two_labels = two_labels || table.labels[row] != first_label;
  }
  const bool two_functions = table.workers[rows.begin] != table.workers[rows.end - 1];
  state.covered += 1;
  state.overlapping += two_functions ? 1 : 0;
  state.conflicting += two_labels && two_functions ? 1 : 0;
  for (std::size_t row = rows.begin; row < rows.end;) {
    const Worker worker = table.workers[row];
    const std::size_t begin = row;
    bool right = true;
    for (; row < rows.end && table.workers[row] == worker; ++row) {
      right = right && table.labels[row] == gold;
      state.gives[std::size_t{worker} * table.label_count() + table.labels[row]] = true;
    }
    // Somebody else says something that this function does not say in all its rows here.
    bool conflict = false;
    for (std::size_t other = rows.begin; two_labels && other < rows.end; ++other) {
      if (other >= begin && other < row) continue;
      for (std::size_t own = begin; own < row; ++own) {
        conflict = conflict || table.labels[other] != table.labels[own];
      }
      if (conflict) break;
    }
    Counts& counts = state.functions[worker];
    ++counts.votes;
    counts.overlaps += two_functions ? 1 : 0;
    counts.conflicts += conflict ? 1 : 0;
    counts.judged += gold != kNoLabel ? 1 : 0;
    counts.correct += gold != kNoLabel && right ? 1 : 0;
  }
}

}  // namespace

std::optional<double> FunctionAnalysis::accuracy() const {
  if (judged == 0) return std::nullopt;
  return static_cast<double>(correct) / static_cast<double>(judged);
}

MatrixAnalysis analyse_functions(const AnnotationTable& table, const GoldLabels* gold,
                                 const Parallel& parallel) {
  const std::size_t tasks = table.task_count();
  const std::size_t labels = table.label_count();
  if (gold != nullptr && gold->labels.size() != tasks) {
    throw InputError("gold labels of {} tasks, but the votes are on {}", gold->labels.size(),
                     tasks);
  }
  if (table.worker_count() > kMostMarks / labels) {
    throw InputError("{} labelling functions and {} labels are too many to analyse",
                     table.worker_count(), labels);
  }
  const std::size_t leaves = (tasks + kTasksPerLeaf - 1) / kTasksPerLeaf;
  const State sums = *fold(parallel, leaves, [&](std::size_t leaf, std::size_t) {
    State state;
    state.functions.resize(table.worker_count());
    state.gives.resize(table.worker_count() * labels);
    const std::size_t end = std::min(tasks, (leaf + 1) * kTasksPerLeaf);
    for (std::size_t task = leaf * kTasksPerLeaf; task < end; ++task) {
      const auto rows = table.rows_of(static_cast<Task>(task));
      if (rows.begin == rows.end) continue;
      absorb(state, table, rows, gold == nullptr ? kNoLabel : gold->labels[task]);
    }
    return state;
  });
  const auto share = [&](std::uint64_t count) {
    return static_cast<double>(count) / static_cast<double>(tasks);
  };
  MatrixAnalysis analysis{.functions = {},
                          .coverage = share(sums.covered),
                          .overlap = share(sums.overlapping),
                          .conflict = share(sums.conflicting)};
  for (std::size_t j = 0; j < table.worker_count(); ++j) {
    const Counts& counts = sums.functions[j];
    FunctionAnalysis& function = analysis.functions.emplace_back();
    function.votes = counts.votes;
    function.coverage = share(counts.votes);
    function.overlap = share(counts.overlaps);
    function.conflict = share(counts.conflicts);
    function.judged = counts.judged;
    function.correct = counts.correct;
    for (std::size_t k = 0; k < labels; ++k) {
      if (sums.gives[j * labels + k]) function.polarity.push_back(static_cast<Label>(k));
    }
  }
  return analysis;
}

}  // namespace amalgam::labels
