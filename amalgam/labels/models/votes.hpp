#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "amalgam/labels/label_model.hpp"

/// What the methods that only count share, and others start from.
namespace amalgam::labels::models {

/// Tasks per leaf of every fold over tasks: part of what fixes the bits of a result.
inline constexpr std::size_t kTaskBlock = 8192;

/// The number of leaves of `table`'s tasks.
inline std::size_t task_blocks(const AnnotationTable& table) {
  return (table.task_count() + kTaskBlock - 1) / kTaskBlock;
}

/// The tasks [begin, end) of leaf `block`.
struct TaskRange {
  Task begin;
  Task end;
};
TaskRange task_range(const AnnotationTable& table, std::size_t block);

/// The weighted votes for each label on each task, each vote weighing what `worker_weights`
/// [workers] says; empty: 1. [tasks, labels]
SoftLabels vote_sums(const AnnotationTable& table, std::span<const double> worker_weights,
                     const Parallel& parallel);

/// Divides each row by its sum. Rows that sum to 0 become `otherwise`, of the same shape, or
/// uniform if that is empty.
void normalise_rows(SoftLabels& soft, const SoftLabels& otherwise = {});

/// The method Standard: votes for each label divided by all votes on the task (uniform if there
/// are none).
SoftLabels vote_shares(const AnnotationTable& table, const Parallel& parallel);

/// The sum of the weights of each worker's annotations. [workers]
std::vector<double> annotation_weights(const AnnotationTable& table);

/// The share of each worker's annotations, by weight, that equal `labels`; 0 without annotations.
std::vector<double> agreement_with(const AnnotationTable& table, std::span<const Label> labels);

/// Votes that weigh what their workers' `skills` are, as shares; a task on which those sum to 0
/// gets its plain vote shares. No skill may be negative.
SoftLabels skilled_shares(const AnnotationTable& table, std::span<const double> skills,
                          const Parallel& parallel);
/// The posterior of a fit as skilled_shares of its skills, and its evidence if the context asks.
void vote_by_skill(LabelFit& fit, const AnnotationTable& table, const FitContext& context);

/// The evidence of workers whose votes for any label say the same: `same` [workers] is added to the
/// label itself, `other` to each other one. InputError beyond 2^28 numbers.
VoteEvidence sides_of_workers(std::vector<double> start, std::span<const double> same,
                              std::span<const double> other);

/// Puts gold labels in place of what was found; nothing without gold.
void clamp_to_gold(SoftLabels& soft, const GoldLabels* gold);

}  // namespace amalgam::labels::models
