#include "amalgam/labels/models/bcc.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"
#include "amalgam/labels/models/start_point.hpp"

namespace amalgam::labels::models {
namespace {

constexpr const char* kPosterior = "posterior";

/// minus the divergence of Dirichlet(shapes) from Dirichlet(priors).
double negative_divergence(std::span<const double> shapes, std::span<const double> priors) {
  double shape_sum = 0;
  double prior_sum = 0;
  double value = 0;
  for (std::size_t l = 0; l < shapes.size(); ++l) {
    shape_sum += shapes[l];
    prior_sum += priors[l];
    value += portable_log_gamma(shapes[l]) - portable_log_gamma(priors[l]);
  }
  const double all = portable_digamma(shape_sum);
  for (std::size_t l = 0; l < shapes.size(); ++l) {
    value -= (shapes[l] - priors[l]) * (portable_digamma(shapes[l]) - all);
  }
  return value + portable_log_gamma(prior_sum) - portable_log_gamma(shape_sum);
}

class Variational {
 public:
  Variational(const AnnotationTable& table, const FitContext& context)
      : table_(table),
        context_(context),
        classes_(table.label_count()),
        diagonal_(context.parameters.number("diagonal")),
        off_diagonal_(context.parameters.number("off_diagonal")),
        class_prior_(context.parameters.number("class_prior")) {}

  LabelFit fit() {
    LabelFit fit;
    fit.posterior = vote_shares(table_, context_.parallel);
    if (context_.start != nullptr) {
      take_of_tasks(*context_.start, {kPosterior, classes_, 0, 1 + 1e-9}, fit.posterior.values);
    }
    clamp_to_gold(fit.posterior, context_.gold);
    log_prior_.assign(classes_, 0);
    maximise(pass(fit, false));
    Convergence convergence(table_, context_, fit);
    while (true) {
      EmPass<ConfusionCounts> expected = pass(fit, true);
      if (convergence.done(expected.log_likelihood + divergence_)) break;
      maximise(std::move(expected));
    }
    fit.prior = mean_prior_;
    if (context_.keep_point) fit.point.tasks[kPosterior] = {classes_, fit.posterior.values};
    fit.confusion = means_;
    if (context_.keep_evidence) fit.evidence = {VoteEvidence::Form::tables, log_prior_, logs_};
    return fit;
  }

 private:
  EmPass<ConfusionCounts> pass(LabelFit& fit, bool expect) {
    const std::size_t numbers = table_.worker_count() * classes_ * classes_;
    return em_pass(
        table_, log_prior_, ConfusionLikelihood{table_, classes_, logs_},
        [&] {
          return ConfusionCounts{&table_, classes_, std::vector<double>(numbers, 0)};
        },
        numbers * sizeof(double), context_, fit.posterior, expect);
  }

  // Turns counts plus priors into expected logarithms; returns minus the divergence.
  static double expect_logs(std::span<double> shapes, std::span<const double> priors,
                            std::span<double> means) {
    double sum = 0;
    for (std::size_t l = 0; l < shapes.size(); ++l) {
      shapes[l] += priors[l];
      sum += shapes[l];
    }
    const double divergence = negative_divergence(shapes, priors);
    const double all = portable_digamma(sum);
    for (std::size_t l = 0; l < shapes.size(); ++l) {
      means[l] = shapes[l] / sum;
      shapes[l] = portable_digamma(shapes[l]) - all;
    }
    return divergence;
  }

  void maximise(EmPass<ConfusionCounts>&& pass) {
    log_prior_ = std::move(pass.class_sums);
    mean_prior_.resize(classes_);
    divergence_ = expect_logs(log_prior_, std::vector<double>(classes_, class_prior_), mean_prior_);
    logs_ = std::move(pass.counts.sums);
    means_.resize(logs_.size());
    const std::size_t square = classes_ * classes_;
    std::vector<double> per_worker(table_.worker_count(), 0);
    parallel_for(context_.parallel, per_worker.size(), [&](std::size_t w, std::size_t) {
      std::vector<double> column(classes_);
      std::vector<double> priors(classes_);
      for (std::size_t k = 0; k < classes_; ++k) {
        for (std::size_t l = 0; l < classes_; ++l) {
          column[l] = logs_[w * square + l * classes_ + k];
          priors[l] = l == k ? diagonal_ : off_diagonal_;
        }
        per_worker[w] +=
            expect_logs(column, priors, {means_.data() + w * square + k * classes_, classes_});
        for (std::size_t l = 0; l < classes_; ++l) logs_[w * square + l * classes_ + k] = column[l];
      }
    });
    for (const double divergence : per_worker) divergence_ += divergence;
  }

  const AnnotationTable& table_;
  const FitContext& context_;
  std::size_t classes_;
  double diagonal_;
  double off_diagonal_;
  double class_prior_;
  double divergence_ = 0;
  std::vector<double> log_prior_;
  std::vector<double> logs_;        // [workers, said, true] expected logarithms
  std::vector<double> mean_prior_;  // [classes]
  std::vector<double> means_;       // [workers, true, said]
};

}  // namespace

LabelFit bcc_variationally(const AnnotationTable& table, const FitContext& context) {
  return Variational(table, context).fit();
}

}  // namespace amalgam::labels::models
