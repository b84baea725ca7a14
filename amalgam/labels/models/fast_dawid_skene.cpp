#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"
#include "amalgam/labels/models/models.hpp"

namespace amalgam::labels::models {
namespace {

/// What a pass over tasks with one certain label each gives.
struct HardPass {
  double log_likelihood = 0;  ///< of the annotations together with the labels
  std::uint64_t changed = 0;  ///< tasks whose label is another than before
  std::vector<double> class_counts;
  double covered = 0;
  std::vector<double> confusion;  ///< [workers, said, true]

  void combine(HardPass&& right) {
    log_likelihood += right.log_likelihood;
    changed += right.changed;
    covered += right.covered;
    for (std::size_t k = 0; k < class_counts.size(); ++k) class_counts[k] += right.class_counts[k];
    for (std::size_t i = 0; i < confusion.size(); ++i) confusion[i] += right.confusion[i];
  }
};

struct HardState {
  SoftLabels posterior;
  std::vector<Label> labels;
  std::vector<double> log_prior;
  std::vector<double> logs;  ///< [workers, said, true]
};

Label most_probable(const double* values, std::size_t classes) {
  std::size_t best = 0;
  for (std::size_t k = 1; k < classes; ++k) {
    if (values[k] > values[best] + kTie) best = k;
  }
  return static_cast<Label>(best);
}

template <int kClasses>
HardPass hard_leaf(const AnnotationTable& table, const FitContext& context, TaskRange range,
                   bool expect, HardState& state) {
  const std::size_t classes = kClasses > 0 ? kClasses : state.posterior.classes;
  HardPass pass;
  pass.class_counts.assign(classes, 0);
  pass.confusion.assign(table.worker_count() * classes * classes, 0);
  const ConfusionLikelihood likelihood{table, classes, state.logs};
  for (Task task = range.begin; task < range.end; ++task) {
    const auto [first, last] = table.rows_of(task);
    double* const values = state.posterior.values.data() + std::size_t{task} * classes;
    double weight = 0;
    for (std::size_t row = first; row < last; ++row) weight += table.weight(row);
    const Label gold = context.gold == nullptr ? kNoLabel : context.gold->labels[task];
    Label label = state.labels[task];
    if (expect) {
      for (std::size_t k = 0; k < classes; ++k) values[k] = state.log_prior[k];
      for (std::size_t row = first; row < last; ++row) {
        likelihood.add<kClasses>(row, values);
      }
      label = gold == kNoLabel ? most_probable(values, classes) : gold;
      if (weight > 0) pass.log_likelihood += values[label];
      softmax_in_place(values, classes);
      pass.changed += label != state.labels[task] ? 1 : 0;
      state.labels[task] = label;
    }
    if (!(weight > 0) && gold == kNoLabel) continue;
    pass.covered += 1;
    pass.class_counts[label] += 1;
    for (std::size_t row = first; row < last; ++row) {
      pass.confusion[(std::size_t{table.workers[row]} * classes + table.labels[row]) * classes +
                     label] += table.weight(row);
    }
  }
  return pass;
}

HardPass hard_pass(const AnnotationTable& table, const FitContext& context, bool expect,
                   HardState& state) {
  const std::size_t classes = state.posterior.classes;
  const std::size_t leaves =
      leaves_for(table, table.worker_count() * classes * classes * sizeof(double));
  return with_class_count(classes, [&]<int kClasses>() {
    return *fold(context.parallel, leaves, [&](std::size_t leaf, std::size_t) {
      return hard_leaf<kClasses>(table, context, leaf_range(table, leaf, leaves), expect, state);
    });
  });
}

class FastDawidSkene final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "fast-dawid-skene",
        .summary = "Dawid-Skene with one certain label per task after each expectation.",
        .source = "Sinha, Rao and Balasubramanian 2018",
        .parameters = {iterations_parameter(100), diagonal_parameter(), off_diagonal_parameter()},
        .skill = "mean over true labels, by their prior, of the probability of being right",
        .uses_gold = true,
        .fewest_workers = 2,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    check_confusion_size(table);
    const std::size_t classes = table.label_count();
    const auto limit = static_cast<std::size_t>(context.parameters.number("iterations"));
    const ConfusionPrior smoothing{context.parameters.number("diagonal"),
                                   context.parameters.number("off_diagonal")};
    LabelFit fit;
    HardState state;
    state.posterior = vote_shares(table, context.parallel);
    clamp_to_gold(state.posterior, context.gold);
    state.labels = hard_labels(state.posterior).labels;
    HardPass pass = hard_pass(table, context, false, state);
    while (true) {
      fit.prior = std::move(pass.class_counts);
      for (double& p : fit.prior) p /= pass.covered;
      state.log_prior = log_of(fit.prior);
      state.logs = std::move(pass.confusion);
      normalise_confusion(state.logs, classes, smoothing, context.parallel);
      pass = hard_pass(table, context, true, state);
      check_interrupt();
      fit.trace.push_back(pass.log_likelihood);
      fit.iterations = fit.trace.size();
      if (context.on_iteration) context.on_iteration(fit.iterations, pass.log_likelihood);
      fit.converged = pass.changed == 0;
      if (fit.converged || fit.iterations >= limit) break;
    }
    fit.posterior = std::move(state.posterior);
    clamp_to_gold(fit.posterior, context.gold);
    fit.confusion = confusion_of(state.logs, classes);
    fit.skills = skills_of(state.logs, fit.prior);
    if (context.keep_evidence) {
      fit.evidence = {VoteEvidence::Form::tables, std::move(state.log_prior),
                      std::move(state.logs)};
    }
    return fit;
  }
};

}  // namespace

const LabelModel& fast_dawid_skene() {
  static const FastDawidSkene model;
  return model;
}

}  // namespace amalgam::labels::models
