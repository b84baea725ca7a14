#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "amalgam/core/distributed_fold.hpp"
#include "amalgam/core/elementary.hpp"
#include "amalgam/labels/label_model.hpp"
#include "amalgam/labels/models/votes.hpp"

/// Expectation-maximisation as a fold over tasks: one pass gives the posterior of each task and the
/// counts of the next maximisation. A method says what one annotation adds to the log-likelihoods
/// of the classes (its likelihood) and what it counts; sums are taken within a leaf in the order of
/// the rows and over leaves in a fixed tree, so that the bits do not depend on the threads.
namespace amalgam::labels::models {

/// Bytes of counts of all leaves together that a pass may hold, about.
inline constexpr std::size_t kCountsMemory = std::size_t{64} << 20U;
inline constexpr std::size_t kMostLeaves = 16;

/// How many rows ahead of their use tables are asked for.
inline constexpr std::size_t kPrefetchRows = 24;

/// The number of leaves for counts of `bytes` each: a function of the table alone.
inline std::size_t leaves_for(const AnnotationTable& table, std::size_t bytes) {
  const std::size_t affordable =
      std::max<std::size_t>(1, kCountsMemory / std::max<std::size_t>(1, bytes));
  return std::min({kMostLeaves, affordable, task_blocks(table)});
}

/// The tasks of leaf `leaf` of `leaves`.
inline TaskRange leaf_range(const AnnotationTable& table, std::size_t leaf, std::size_t leaves) {
  const std::size_t blocks = task_blocks(table);
  return {task_range(table, leaf * blocks / leaves).begin,
          task_range(table, (leaf + 1) * blocks / leaves - 1).end};
}

/// What a pass gives.
template <class Counts>
struct EmPass {
  double log_likelihood = 0;       ///< sum over tasks of the log of the sum over classes
  std::vector<double> class_sums;  ///< [classes] sums of the posteriors of tasks with annotations
  double covered = 0;              ///< tasks with annotations
  Counts counts;

  void combine(EmPass&& right) {
    log_likelihood += right.log_likelihood;
    covered += right.covered;
    for (std::size_t k = 0; k < class_sums.size(); ++k) class_sums[k] += right.class_sums[k];
    counts.combine(std::move(right.counts));
  }
  template <class Visit>
  void visit_numbers(Visit visit) {
    visit(std::span(&log_likelihood, 1));
    visit(std::span(&covered, 1));
    visit(std::span(class_sums));
    counts.visit_numbers(visit);
  }
};

/// Brings the posteriors that processes of a cluster computed in passes with counts of
/// `counts_bytes` to all of them.
void share_posterior(const AnnotationTable& table, std::size_t counts_bytes,
                     const FitContext& context, SoftLabels& posterior);

/// What becomes of the posteriors that a pass computes, where several processes share the tasks.
enum class Posteriors {
  shared,  ///< every process gets all of them
  own,     ///< each has those of its own tasks: for loops that call share_posterior at their end
};

/// Runs `body` with the number of classes as a compile-time constant where it is small (0 else).
template <class Body>
auto with_class_count(std::size_t classes, const Body& body) {
  switch (classes) {
    case 2:
      return body.template operator()<2>();
    case 3:
      return body.template operator()<3>();
    case 4:
      return body.template operator()<4>();
    case 5:
      return body.template operator()<5>();
    default:
      return body.template operator()<0>();
  }
}

/// From logarithms up to a constant to probabilities, in place; returns the logarithm of their sum
/// before. (Inlined: where nobody wants that logarithm, it is not taken.)
template <int kClasses = 0>
[[gnu::always_inline]] inline double softmax_in_place(double* logits, std::size_t class_count) {
  const std::size_t classes = kClasses > 0 ? kClasses : class_count;
  double most = logits[0];
  for (std::size_t k = 1; k < classes; ++k) most = std::max(most, logits[k]);
  // What is below the smallest normal number counts as 0. No branch: this becomes SIMD code.
  constexpr double kSmallest = -708;
  for (std::size_t k = 0; k < classes; ++k) {
    const double x = logits[k] - most;
    const double e = portable_exp_within(x > kSmallest ? x : kSmallest);
    logits[k] = x > kSmallest ? e : 0;
  }
  double sum = 0;
  for (std::size_t k = 0; k < classes; ++k) sum += logits[k];
  const double scale = 1 / sum;
  for (std::size_t k = 0; k < classes; ++k) logits[k] *= scale;
  return most + portable_log(sum);
}

/// One pass over all tasks. `expect`: whether posteriors are computed from the likelihood (else
/// they are taken as they are, and the log-likelihood is 0).
///
/// `likelihood.add<kClasses>(row, log_likelihoods)` adds what row `row` says of each class;
/// `make_counts()` makes empty counts, `counts.absorb<kClasses>(row, posterior)` counts a row.
/// Tasks without weight get the prior, and tasks with gold their label. The processes of a cluster
/// share the tasks; all get the counts.
template <class Likelihood, class MakeCounts>
auto em_pass(const AnnotationTable& table, std::span<const double> log_prior,
             const Likelihood& likelihood, const MakeCounts& make_counts, std::size_t counts_bytes,
             const FitContext& context, SoftLabels& posterior, bool expect = true,
             Posteriors posteriors = Posteriors::shared) {
  using Counts = decltype(make_counts());
  const std::size_t leaves = leaves_for(table, counts_bytes);
  const auto empty = [&] {
    EmPass<Counts> pass;
    pass.class_sums.assign(posterior.classes, 0);
    pass.counts = make_counts();
    return pass;
  };
  const auto one_leaf = [&]<int kClasses>(std::size_t leaf) {
    const std::size_t classes = kClasses > 0 ? kClasses : posterior.classes;
    EmPass<Counts> pass = empty();
    const auto [begin, end] = leaf_range(table, leaf, leaves);
    for (Task task = begin; task < end; ++task) {
      const auto [first, last] = table.rows_of(task);
      double* const row_values = posterior.values.data() + std::size_t{task} * classes;
      const Label gold = context.gold == nullptr ? kNoLabel : context.gold->labels[task];
      double weight = 0;
      for (std::size_t row = first; row < last; ++row) weight += table.weight(row);
      if (expect) {
        for (std::size_t k = 0; k < classes; ++k) row_values[k] = log_prior[k];
        for (std::size_t row = first; row < last; ++row) {
          if constexpr (requires { likelihood.prefetch(row); }) {
            // Tables of many workers lie beyond the nearest cache: ask for their rows early.
            const std::size_t soon = std::min(row + kPrefetchRows, table.rows() - 1);
            likelihood.prefetch(soon);
            pass.counts.prefetch(soon);
          }
          likelihood.template add<kClasses>(row, row_values);
        }
        if (gold == kNoLabel) {
          const double log_sum = softmax_in_place<kClasses>(row_values, classes);
          if (weight > 0) pass.log_likelihood += log_sum;
        } else {
          pass.log_likelihood += row_values[gold];
          for (std::size_t k = 0; k < classes; ++k) row_values[k] = k == gold ? 1 : 0;
        }
      }
      if (!(weight > 0) && gold == kNoLabel) continue;
      pass.covered += 1;
      for (std::size_t k = 0; k < classes; ++k) pass.class_sums[k] += row_values[k];
      for (std::size_t row = first; row < last; ++row) {
        pass.counts.template absorb<kClasses>(row, row_values);
      }
    }
    return pass;
  };
  EmPass<Counts> pass = with_class_count(posterior.classes, [&]<int kClasses>() {
    return *distributed_fold(
        context.cluster, context.parallel, leaves,
        [&](std::size_t leaf, std::size_t) { return one_leaf.template operator()<kClasses>(leaf); },
        empty);
  });
  if (expect && posteriors == Posteriors::shared) {
    share_posterior(table, counts_bytes, context, posterior);
  }
  return pass;
}

/// Counts nothing: for passes that only want posteriors.
struct NoCounts {
  template <int kClasses>
  void absorb(std::size_t, const double*) {}
  void combine(NoCounts&&) {}
  template <class Visit>
  void visit_numbers(Visit) {}
};

/// When a loop of iterations ends: at the limit, or once the objective rises by less than
/// `tolerance` per annotation. Keeps the trace of a fit.
class Convergence {
 public:
  /// Reads the parameters "iterations" and "tolerance".
  Convergence(const AnnotationTable& table, const FitContext& context, LabelFit& fit);

  /// Notes the objective of an iteration; true if the loop ends. Checks for interruption. Where the
  /// iteration began with a leap, only the limit ends the loop.
  bool done(double objective, bool has_leapt = false);

  /// Whether this objective would end a loop without leaps.
  bool is_small_rise(double objective) const;

  /// An iteration after a leap that is taken back: it takes its time and leaves no trace.
  void taken_back() { ++fit_.iterations; }

 private:
  const FitContext& context_;
  LabelFit& fit_;
  std::size_t limit_;
  double tolerance_;
  double annotations_;
};

/// The parameters that every iterated method has.
ParameterInfo iterations_parameter(double default_value);
ParameterInfo tolerance_parameter(double default_value);

/// The prior as logarithms, floored at kFloor.
inline constexpr double kFloor = 1e-10;
std::vector<double> log_of(std::span<const double> probabilities, double floor = kFloor);

}  // namespace amalgam::labels::models
