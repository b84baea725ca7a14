#include "amalgam/labels/models/generative_likelihood.hpp"

#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/start_point.hpp"

namespace amalgam::labels::models {
namespace {

constexpr const char* kLogOdds = "log_odds";
constexpr double kLargest = 700;  // log-odds of a point that a fit goes on from

struct AccuracyLikelihood {
  const AnnotationTable& table;
  std::size_t classes;
  std::span<const double> log_right;  // [workers, classes]
  std::span<const double> log_wrong;  // of one wrong label

  template <int kClasses>
  void add(std::size_t row, double* log_likelihoods) const {
    const std::size_t count = kClasses > 0 ? kClasses : classes;
    const std::size_t first = table.workers[row] * count;
    const double weight = table.weight(row);
    for (std::size_t k = 0; k < count; ++k) {
      log_likelihoods[k] +=
          weight * (k == table.labels[row] ? log_right[first + k] : log_wrong[first + k]);
    }
  }
};

/// Expected votes while each class was true, and those for it. [workers, classes]
struct ClassVotes {
  const AnnotationTable* table = nullptr;
  std::size_t classes = 0;
  std::vector<double> all;
  std::vector<double> right;

  template <int kClasses>
  void absorb(std::size_t row, const double* posterior) {
    const std::size_t count = kClasses > 0 ? kClasses : classes;
    const std::size_t first = table->workers[row] * count;
    const Label label = table->labels[row];
    const double weight = table->weight(row);
    for (std::size_t k = 0; k < count; ++k) all[first + k] += weight * posterior[k];
    right[first + label] += weight * posterior[label];
  }
  template <class Visit>
  void visit_numbers(Visit visit) {
    visit(std::span(all));
    visit(std::span(right));
  }
  void combine(ClassVotes&& other) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] += other.all[i];
      right[i] += other.right[i];
    }
  }
};

}  // namespace

void fit_by_likelihood(const AnnotationTable& table, const FitContext& context, LabelFit& fit) {
  const Parameters& parameters = context.parameters;
  const std::size_t classes = table.label_count();
  const std::size_t numbers = table.worker_count() * classes;
  const auto iterations = static_cast<std::size_t>(parameters.number("iterations"));
  const double rate = parameters.number("learning_rate");
  const double momentum = parameters.number("momentum");
  const double start = std::min(parameters.number("precision"), 1 - 1e-6);
  const std::vector<double> log_prior = log_of(fit.prior);
  const std::vector<double> votes = annotation_weights(table);
  const double log_others = portable_log(static_cast<double>(classes - 1));
  std::vector<double> logits(numbers, portable_log(start / (1 - start)));
  if (context.start != nullptr) {
    take_of_workers(*context.start, {kLogOdds, classes, -kLargest, kLargest}, logits);
  }
  std::vector<double> velocity(numbers, 0);
  std::vector<double> log_right(numbers);
  std::vector<double> log_wrong(numbers);
  fit.posterior = SoftLabels(table.task_count(), classes);
  while (true) {
    check_interrupt();
    for (std::size_t i = 0; i < numbers; ++i) {
      log_right[i] = portable_log_logistic(logits[i]);
      log_wrong[i] = portable_log_logistic(-logits[i]) - log_others;
    }
    const auto make_counts = [&] {
      return ClassVotes{&table, classes, std::vector<double>(numbers, 0),
                        std::vector<double>(numbers, 0)};
    };
    const EmPass<ClassVotes> pass =
        em_pass(table, log_prior, AccuracyLikelihood{table, classes, log_right, log_wrong},
                make_counts, 2 * numbers * sizeof(double), context, fit.posterior);
    fit.trace.push_back(pass.log_likelihood);
    if (fit.iterations == iterations) break;
    ++fit.iterations;
    if (context.on_iteration) context.on_iteration(fit.iterations, pass.log_likelihood);
    for (std::size_t i = 0; i < numbers; ++i) {
      const double weight = votes[i / classes];
      const double gradient =
          weight > 0
              ? (pass.counts.right[i] - portable_logistic(logits[i]) * pass.counts.all[i]) / weight
              : 0;
      velocity[i] = momentum * velocity[i] + gradient;
      logits[i] += rate * velocity[i];
    }
  }
  fit.skills.assign(table.worker_count(), 0);
  for (std::size_t i = 0; i < numbers; ++i) {
    fit.skills[i / classes] += fit.prior[i % classes] * portable_logistic(logits[i]);
  }
  if (context.keep_point)
    fit.point.workers[kLogOdds] = {classes, clamped(std::move(logits), kLargest)};
  if (!context.keep_evidence) return;
  fit.evidence = {VoteEvidence::Form::sides, log_prior, {}};
  for (std::size_t w = 0; w < table.worker_count(); ++w) {
    for (const std::vector<double>* side : {&log_right, &log_wrong}) {
      const auto own = side->begin() + static_cast<std::ptrdiff_t>(w * classes);
      fit.evidence.values.insert(fit.evidence.values.end(), own,
                                 own + static_cast<std::ptrdiff_t>(classes));
    }
  }
}

}  // namespace amalgam::labels::models
