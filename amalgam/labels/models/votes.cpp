#include "amalgam/labels/models/votes.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"

namespace amalgam::labels::models {

TaskRange task_range(const AnnotationTable& table, std::size_t block) {
  const std::size_t begin = block * kTaskBlock;
  const std::size_t end = std::min(begin + kTaskBlock, table.task_count());
  return {static_cast<Task>(begin), static_cast<Task>(end)};
}

SoftLabels vote_sums(const AnnotationTable& table, std::span<const double> worker_weights,
                     const Parallel& parallel) {
  SoftLabels sums(table.task_count(), table.label_count());
  parallel_for(parallel, task_blocks(table), [&](std::size_t block, std::size_t) {
    const TaskRange range = task_range(table, block);
    for (std::size_t row = table.task_begins[range.begin]; row < table.task_begins[range.end];
         ++row) {
      const double weight = worker_weights.empty() ? 1.0 : worker_weights[table.workers[row]];
      sums.values[table.tasks[row] * sums.classes + table.labels[row]] +=
          table.weight(row) * weight;
    }
  });
  return sums;
}

void normalise_rows(SoftLabels& soft, const SoftLabels& otherwise) {
  for (std::size_t item = 0; item < soft.items; ++item) {
    const std::span<double> row = soft.row(item);
    double sum = 0;
    for (const double value : row) sum += value;
    if (sum > 0) {
      for (double& value : row) value /= sum;
    } else if (otherwise.items == soft.items) {
      std::ranges::copy(otherwise.row(item), row.begin());
    } else {
      std::ranges::fill(row, 1.0 / static_cast<double>(soft.classes));
    }
  }
}

SoftLabels vote_shares(const AnnotationTable& table, const Parallel& parallel) {
  SoftLabels shares = vote_sums(table, {}, parallel);
  normalise_rows(shares);
  return shares;
}

std::vector<double> annotation_weights(const AnnotationTable& table) {
  std::vector<double> sums(table.worker_count(), 0);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    sums[table.workers[row]] += table.weight(row);
  }
  return sums;
}

SoftLabels skilled_shares(const AnnotationTable& table, std::span<const double> skills,
                          const Parallel& parallel) {
  SoftLabels shares = vote_sums(table, skills, parallel);
  normalise_rows(shares, vote_shares(table, parallel));
  return shares;
}

void vote_by_skill(LabelFit& fit, const AnnotationTable& table, const FitContext& context) {
  fit.posterior = skilled_shares(table, fit.skills, context.parallel);
  if (!context.keep_evidence) return;
  fit.evidence = {VoteEvidence::Form::weights, std::vector<double>(table.label_count(), 0),
                  fit.skills};
}

std::vector<double> agreement_with(const AnnotationTable& table, std::span<const Label> labels) {
  std::vector<double> right(table.worker_count(), 0);
  std::vector<double> all(table.worker_count(), 0);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const double weight = table.weight(row);
    all[table.workers[row]] += weight;
    if (table.labels[row] == labels[table.tasks[row]]) right[table.workers[row]] += weight;
  }
  for (std::size_t w = 0; w < right.size(); ++w) right[w] = all[w] > 0 ? right[w] / all[w] : 0;
  return right;
}

VoteEvidence sides_of_workers(std::vector<double> start, std::span<const double> same,
                              std::span<const double> other) {
  constexpr std::size_t kMost = std::size_t{1} << 28U;
  const std::size_t classes = start.size();
  if (same.size() > kMost / 2 / classes) {
    throw InputError(
        "what {} workers say of {} labels is too large to be kept (at most {} numbers)",
        same.size(), classes, kMost);
  }
  VoteEvidence evidence{VoteEvidence::Form::sides, std::move(start), {}};
  evidence.values.reserve(same.size() * 2 * classes);
  for (std::size_t w = 0; w < same.size(); ++w) {
    evidence.values.insert(evidence.values.end(), classes, same[w]);
    evidence.values.insert(evidence.values.end(), classes, other[w]);
  }
  return evidence;
}

void clamp_to_gold(SoftLabels& soft, const GoldLabels* gold) {
  if (gold == nullptr) return;
  for (std::size_t task = 0; task < soft.items; ++task) {
    if (gold->labels[task] == kNoLabel) continue;
    const std::span<double> row = soft.row(task);
    std::ranges::fill(row, 0.0);
    row[gold->labels[task]] = 1;
  }
}

}  // namespace amalgam::labels::models
