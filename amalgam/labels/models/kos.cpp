#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/models/draws.hpp"
#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/models/start_point.hpp"

namespace amalgam::labels::models {
namespace {

constexpr const char* kMessage = "message";

struct WorkerMessages {
  std::vector<double> sums;  ///< [workers] of what their tasks say of them
  double squares = 0;        ///< of the messages to tasks

  void combine(WorkerMessages&& right) {
    for (std::size_t w = 0; w < sums.size(); ++w) sums[w] += right.sums[w];
    squares += right.squares;
  }
};

/// Messages between tasks and workers, one of each kind per annotation.
class Messages {
 public:
  Messages(const AnnotationTable& table, const Parallel& parallel, RandomStream& random)
      : table_(table), parallel_(parallel), to_task_(table.rows()), to_worker_(table.rows()) {
    for (double& message : to_task_) message = 1 + portable_normal(random);
  }

  /// Lets the messages of each worker be the same one, where it is known.
  void start(const FitPoint& point) {
    constexpr double kLargest = 1e6;
    std::vector<double> messages(table_.worker_count(), std::numeric_limits<double>::quiet_NaN());
    take_of_workers(point, {kMessage, 1, -kLargest, kLargest}, messages);
    for (std::size_t row = 0; row < to_task_.size(); ++row) {
      const double message = messages[table_.workers[row]];
      if (!std::isnan(message)) to_task_[row] = message;
    }
  }

  /// The mean of each worker's messages, 0 without any.
  std::vector<double> means() const {
    std::vector<double> sums(table_.worker_count(), 0);
    std::vector<double> rows(table_.worker_count(), 0);
    for (std::size_t row = 0; row < to_task_.size(); ++row) {
      sums[table_.workers[row]] += to_task_[row];
      rows[table_.workers[row]] += 1;
    }
    for (std::size_t w = 0; w < sums.size(); ++w) sums[w] = rows[w] > 0 ? sums[w] / rows[w] : 0;
    return sums;
  }

  /// Tasks answer their workers, and workers their tasks; then the latter are scaled to a root mean
  /// square of 1.
  void sweep() {
    const std::vector<double> answers = answers_of_tasks().sums;
    const double squares = over_leaves([&](Task task, WorkerMessages& leaf) {
                             const auto [first, last] = table_.rows_of(task);
                             for (std::size_t row = first; row < last; ++row) {
                               const double sign = sign_of(row);
                               to_task_[row] =
                                   answers[table_.workers[row]] - sign * to_worker_[row];
                               leaf.squares += to_task_[row] * to_task_[row];
                             }
                           }).squares;
    const double scale = std::sqrt(squares / static_cast<double>(table_.rows()));
    if (!(scale > 0)) return;
    for (double& message : to_task_) message /= scale;
  }

  /// The sum over its annotations of the vote times the message: its sign is the label.
  double decision(Task task) const {
    const auto [first, last] = table_.rows_of(task);
    double sum = 0;
    for (std::size_t row = first; row < last; ++row) sum += sign_of(row) * to_task_[row];
    return sum;
  }

 private:
  double sign_of(std::size_t row) const {
    return table_.labels[row] == 1 ? table_.weight(row) : -table_.weight(row);
  }

  template <class Body>
  WorkerMessages over_leaves(const Body& body) const {
    const std::size_t leaves = leaves_for(table_, table_.worker_count() * sizeof(double));
    return *fold(parallel_, leaves, [&](std::size_t leaf, std::size_t) {
      WorkerMessages messages;
      messages.sums.assign(table_.worker_count(), 0);
      const auto [begin, end] = leaf_range(table_, leaf, leaves);
      for (Task task = begin; task < end; ++task) body(task, messages);
      return messages;
    });
  }

  WorkerMessages answers_of_tasks() {
    return over_leaves([&](Task task, WorkerMessages& leaf) {
      const auto [first, last] = table_.rows_of(task);
      const double all = decision(task);
      for (std::size_t row = first; row < last; ++row) {
        const double sign = sign_of(row);
        to_worker_[row] = all - sign * to_task_[row];
        leaf.sums[table_.workers[row]] += sign * to_worker_[row];
      }
    });
  }

  const AnnotationTable& table_;
  const Parallel& parallel_;
  std::vector<double> to_task_;    // [rows]
  std::vector<double> to_worker_;  // [rows]
};

class Kos final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "kos",
        .summary = "Message passing between workers and tasks, for two balanced classes.",
        .source = "Karger, Oh and Shah 2011",
        .parameters = {iterations_parameter(100),
                       {.name = "restarts",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "random starts, of which the one that most annotations agree with "
                               "is kept",
                        .default_value = 1.0,
                        .low = 1,
                        .high = 10'000}},
        .skill = "share of the worker's annotations that are the label found",
        .random = true,
        .most_classes = 2,
        .fewest_workers = 2,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    const auto restarts = context.start != nullptr
                              ? std::size_t{1}
                              : static_cast<std::size_t>(context.parameters.number("restarts"));
    LabelFit best;
    double most_agreement = -1;
    for (std::size_t restart = 0; restart < restarts; ++restart) {
      LabelFit fit = one_start(table, context, restart);
      double agreement = 0;
      const std::vector<double> annotations = annotation_weights(table);
      for (std::size_t w = 0; w < annotations.size(); ++w) {
        agreement += annotations[w] * fit.skills[w];
      }
      if (!(agreement > most_agreement)) continue;
      most_agreement = agreement;
      best = std::move(fit);
    }
    return best;
  }

 private:
  static LabelFit one_start(const AnnotationTable& table, const FitContext& context,
                            std::size_t restart) {
    RandomStream random(context.seed, fmt::format("kos start {}", restart));
    const auto iterations = static_cast<std::size_t>(context.parameters.number("iterations"));
    Messages messages(table, context.parallel, random);
    if (context.start != nullptr) messages.start(*context.start);
    LabelFit fit;
    for (std::size_t t = 1; t <= iterations; ++t) {
      check_interrupt();
      messages.sweep();
      fit.iterations = t;
      if (context.on_iteration) context.on_iteration(t, std::nullopt);
    }
    fit.posterior = SoftLabels(table.task_count(), 2);
    std::vector<double>& margins = fit.task_columns["margin"];
    for (std::size_t task = 0; task < table.task_count(); ++task) {
      const double margin = messages.decision(static_cast<Task>(task));
      margins.push_back(margin);
      fit.posterior.row(task)[0] = margin > 0 ? 0 : margin < 0 ? 1 : 0.5;
      fit.posterior.row(task)[1] = 1 - fit.posterior.row(task)[0];
    }
    fit.skills = agreement_with(table, hard_labels(fit.posterior).labels);
    if (context.keep_point) fit.point.workers[kMessage] = {1, messages.means()};
    return fit;
  }
};

}  // namespace

const LabelModel& kos() {
  static const Kos model;
  return model;
}

}  // namespace amalgam::labels::models
