#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/models/bcc.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"
#include "amalgam/labels/models/draws.hpp"
#include "amalgam/labels/models/start_point.hpp"

namespace amalgam::labels::models {
namespace {

constexpr const char* kTruth = "truth";

/// Counts of one sweep: true labels, and what each worker said of which true label.
struct Draws {
  double log_likelihood = 0;
  std::vector<double> classes;
  std::vector<double> confusion;  ///< [workers, said, true]

  void combine(Draws&& right) {
    log_likelihood += right.log_likelihood;
    for (std::size_t k = 0; k < classes.size(); ++k) classes[k] += right.classes[k];
    for (std::size_t i = 0; i < confusion.size(); ++i) confusion[i] += right.confusion[i];
  }
};

double uniform_of(const std::array<std::uint32_t, 4>& words) {
  const std::uint64_t bits = std::uint64_t{words[0]} << 21U ^ std::uint64_t{words[1]} >> 11U;
  return static_cast<double>(bits) * 0x1p-53;
}

std::size_t drawn_class(const double* probabilities, std::size_t classes, double uniform) {
  double below = 0;
  for (std::size_t k = 0; k + 1 < classes; ++k) {
    below += probabilities[k];
    if (uniform < below) return k;
  }
  return classes - 1;
}

class Sampler {
 public:
  Sampler(const AnnotationTable& table, const FitContext& context)
      : table_(table),
        context_(context),
        classes_(table.label_count()),
        shares_(vote_shares(table, context.parallel)),
        key_(stream_key("bcc true labels", context.seed)),
        prior_{context.parameters.number("diagonal"), context.parameters.number("off_diagonal")},
        class_prior_(context.parameters.number("class_prior")),
        truth_(table.task_count(), std::numeric_limits<double>::quiet_NaN()) {
    if (context.start == nullptr) return;
    take_of_tasks(*context.start, {kTruth, 1, 0, static_cast<double>(classes_ - 1)}, truth_);
  }

  /// Draws of true labels: in sweep 0 those that are known from the start, and of other tasks from
  /// the shares of votes; else from the parameters drawn last. Those of later sweeps than `burn_in`
  /// are counted in `fit`.
  void draw_truth(std::size_t sweep, bool counts, LabelFit& fit) {
    const std::size_t leaves =
        leaves_for(table_, table_.worker_count() * classes_ * classes_ * sizeof(double));
    draws_ = with_class_count(classes_, [&]<int kClasses>() {
      return *fold(context_.parallel, leaves, [&](std::size_t leaf, std::size_t) {
        return leaf_of<kClasses>(leaf_range(table_, leaf, leaves), sweep, counts, fit);
      });
    });
  }

  /// Draws of the class prior and of each worker's confusion given the truth drawn last.
  void draw_parameters(std::size_t sweep) {
    RandomStream random(context_.seed, fmt::format("bcc prior {}", sweep));
    log_prior = std::move(draws_.classes);
    for (double& count : log_prior) count += class_prior_;
    log_dirichlet_draw(log_prior, random);
    logs = std::move(draws_.confusion);
    constexpr std::size_t kWorkersAtATime = 64;
    const std::size_t workers = table_.worker_count();
    const std::size_t blocks = (workers + kWorkersAtATime - 1) / kWorkersAtATime;
    parallel_for(context_.parallel, blocks, [&](std::size_t block, std::size_t) {
      const std::size_t end = std::min(workers, (block + 1) * kWorkersAtATime);
      std::vector<double> column(classes_);
      for (std::size_t w = block * kWorkersAtATime; w < end; ++w) {
        RandomStream mine(context_.seed, fmt::format("bcc worker {} {}", w, sweep));
        double* const said = logs.data() + w * classes_ * classes_;
        for (std::size_t k = 0; k < classes_; ++k) {
          for (std::size_t l = 0; l < classes_; ++l) {
            column[l] = said[l * classes_ + k] + (l == k ? prior_.diagonal : prior_.off_diagonal);
          }
          log_dirichlet_draw(column, mine);
          for (std::size_t l = 0; l < classes_; ++l) said[l * classes_ + k] = column[l];
        }
      }
    });
  }

  double log_likelihood() const { return draws_.log_likelihood; }
  /// [tasks] drawn last.
  std::vector<double>& truth() { return truth_; }

  std::vector<double> log_prior;
  std::vector<double> logs;  ///< [workers, said, true]

 private:
  template <int kClasses>
  Draws leaf_of(TaskRange range, std::size_t sweep, bool counts, LabelFit& fit) {
    const std::size_t classes = kClasses > 0 ? kClasses : classes_;
    Draws draws;
    draws.classes.assign(classes, 0);
    draws.confusion.assign(table_.worker_count() * classes * classes, 0);
    const ConfusionLikelihood likelihood{table_, classes, logs};
    std::vector<double> values(classes);
    for (Task task = range.begin; task < range.end; ++task) {
      const auto [first, last] = table_.rows_of(task);
      double weight = 0;
      for (std::size_t row = first; row < last; ++row) weight += table_.weight(row);
      if (sweep == 0) {
        std::ranges::copy(shares_.row(task), values.begin());
      } else {
        std::ranges::copy(log_prior, values.begin());
        for (std::size_t row = first; row < last; ++row) {
          likelihood.template add<kClasses>(row, values.data());
        }
        const double log_sum = softmax_in_place(values.data(), classes);
        if (weight > 0) draws.log_likelihood += log_sum;
      }
      const Label gold = context_.gold == nullptr ? kNoLabel : context_.gold->labels[task];
      const bool is_kept = sweep == 0 && !std::isnan(truth_[task]);
      const std::size_t truth =
          gold != kNoLabel ? gold
          : is_kept
              ? static_cast<std::size_t>(truth_[task])
              : drawn_class(
                    values.data(), classes,
                    uniform_of(philox4x32(key_, {task, 0, static_cast<std::uint32_t>(sweep), 0})));
      truth_[task] = static_cast<double>(truth);
      if (counts) fit.posterior.row(task)[truth] += 1;
      if (!(weight > 0) && gold == kNoLabel) continue;
      draws.classes[truth] += 1;
      for (std::size_t row = first; row < last; ++row) {
        draws
            .confusion[(std::size_t{table_.workers[row]} * classes + table_.labels[row]) * classes +
                       truth] += table_.weight(row);
      }
    }
    return draws;
  }

  const AnnotationTable& table_;
  const FitContext& context_;
  std::size_t classes_;
  SoftLabels shares_;
  std::array<std::uint32_t, 2> key_;
  ConfusionPrior prior_;
  double class_prior_;
  Draws draws_;
  std::vector<double> truth_;  // [tasks] drawn last; NaN before
};

}  // namespace

LabelFit bcc_by_sampling(const AnnotationTable& table, const FitContext& context) {
  const std::size_t classes = table.label_count();
  const auto burn_in = static_cast<std::size_t>(context.parameters.number("burn_in"));
  const auto samples = static_cast<std::size_t>(context.parameters.number("samples"));
  LabelFit fit;
  fit.posterior = SoftLabels(table.task_count(), classes);
  fit.prior.assign(classes, 0);
  fit.confusion.assign(table.worker_count() * classes * classes, 0);
  Sampler sampler(table, context);
  sampler.draw_truth(0, false, fit);
  for (std::size_t sweep = 1; sweep <= burn_in + samples; ++sweep) {
    check_interrupt();
    const bool counts = sweep > burn_in;
    sampler.draw_parameters(sweep);
    sampler.draw_truth(sweep, counts, fit);
    fit.iterations = sweep;
    fit.trace.push_back(sampler.log_likelihood());
    if (context.on_iteration) context.on_iteration(sweep, fit.trace.back());
    if (!counts) continue;
    for (std::size_t k = 0; k < classes; ++k) fit.prior[k] += portable_exp(sampler.log_prior[k]);
    const std::vector<double> confusion = confusion_of(sampler.logs, classes);
    for (std::size_t i = 0; i < confusion.size(); ++i) fit.confusion[i] += confusion[i];
  }
  const auto count = static_cast<double>(samples);
  for (double& value : fit.posterior.values) value /= count;
  for (double& value : fit.prior) value /= count;
  for (double& value : fit.confusion) value /= count;
  if (context.keep_point) fit.point.tasks[kTruth] = {1, std::move(sampler.truth())};
  if (context.keep_evidence) {
    // The means of the draws: a new task is not one that the draws were of.
    fit.evidence = {VoteEvidence::Form::tables, log_of(fit.prior),
                    logs_of_confusion(fit.confusion, classes)};
  }
  return fit;
}

}  // namespace amalgam::labels::models
