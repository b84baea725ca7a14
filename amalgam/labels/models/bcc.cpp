#include <fmt/format.h>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"
#include "amalgam/labels/models/draws.hpp"
#include "amalgam/labels/models/models.hpp"

namespace amalgam::labels::models {
namespace {

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
        class_prior_(context.parameters.number("class_prior")) {}

  /// Draws of true labels: from the shares of votes in sweep 0, else from the parameters drawn
  /// last. Those of later sweeps than `burn_in` are counted in `fit`.
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

  std::vector<double> log_prior;
  std::vector<double> logs;  ///< [workers, said, true]

 private:
  template <int kClasses>
  Draws leaf_of(TaskRange range, std::size_t sweep, bool counts, LabelFit& fit) const {
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
      const std::size_t truth =
          gold != kNoLabel
              ? gold
              : drawn_class(
                    values.data(), classes,
                    uniform_of(philox4x32(key_, {task, 0, static_cast<std::uint32_t>(sweep), 0})));
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
};

LabelFit sample(const AnnotationTable& table, const FitContext& context) {
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
  return fit;
}

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

/// The variational form: Dawid-Skene with expected logarithms of probabilities.
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
    fit.confusion = means_;
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

ParameterInfo prior_parameter(std::string name, std::string doc, double value) {
  return {.name = std::move(name),
          .doc = std::move(doc),
          .default_value = value,
          .low = 0,
          .low_open = true};
}

class Bcc final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "bcc",
        .summary = "Bayesian Dawid-Skene: Gibbs sampling, or variational inference.",
        .source = "Kim and Ghahramani 2012 (IBCC)",
        .parameters = {{.name = "inference",
                        .kind = ParameterInfo::Kind::choice,
                        .doc = "how the posterior is found",
                        .default_value = "gibbs",
                        .choices = {"gibbs", "variational"}},
                       {.name = "burn_in",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "gibbs: sweeps that are not counted",
                        .default_value = 100.0,
                        .low = 0,
                        .high = 1e6},
                       {.name = "samples",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "gibbs: sweeps that are counted",
                        .default_value = 500.0,
                        .low = 1,
                        .high = 1e6},
                       prior_parameter("class_prior", "Dirichlet prior of each class", 1),
                       prior_parameter("diagonal", "Dirichlet prior where a worker is right", 2),
                       prior_parameter("off_diagonal", "Dirichlet prior where a worker is wrong",
                                       1),
                       iterations_parameter(100),
                       tolerance_parameter(1e-5)},
        .skill = "mean over true labels, by their prior, of the probability of being right",
        .uses_gold = true,
        .random = true,
        .fewest_workers = 2,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    check_confusion_size(table);
    LabelFit fit = context.parameters.text("inference") == "gibbs"
                       ? sample(table, context)
                       : Variational(table, context).fit();
    const std::size_t classes = table.label_count();
    fit.skills.assign(table.worker_count(), 0);
    for (std::size_t w = 0; w < fit.skills.size(); ++w) {
      for (std::size_t k = 0; k < classes; ++k) {
        fit.skills[w] += fit.prior[k] * fit.confusion[(w * classes + k) * classes + k];
      }
    }
    return fit;
  }
};

}  // namespace

const LabelModel& bcc() {
  static const Bcc model;
  return model;
}

}  // namespace amalgam::labels::models
