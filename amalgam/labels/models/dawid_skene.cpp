#include "amalgam/labels/models/dawid_skene.hpp"

#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/models/abstaining_dawid_skene.hpp"
#include "amalgam/labels/models/ascend.hpp"
#include "amalgam/labels/models/models.hpp"

namespace amalgam::labels::models {
namespace {

class DawidSkene final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "dawid-skene",
        .summary = "EM for the confusion matrix of each worker and the truth of each task.",
        .source = "Dawid and Skene 1979; MAP with Dirichlet pseudo-counts",
        .parameters = {iterations_parameter(100), tolerance_parameter(1e-5), diagonal_parameter(),
                       off_diagonal_parameter(), abstentions_parameter(), acceleration_parameter()},
        .skill = "mean over true labels, by their prior, of the probability of being right",
        .uses_gold = true,
        .fewest_workers = 2,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    const std::string& abstentions = context.parameters.text("abstentions");
    if (abstentions != "ignored") {
      return fit_abstaining_dawid_skene(
          table, abstentions == "missing" ? AbstentionKind::missing : AbstentionKind::marked,
          context);
    }
    check_confusion_size(table);
    const std::size_t classes = table.label_count();
    const ConfusionPrior smoothing{context.parameters.number("diagonal"),
                                   context.parameters.number("off_diagonal")};
    LabelFit fit;
    fit.posterior = vote_shares(table, context.parallel);
    clamp_to_gold(fit.posterior, context.gold);

    std::vector<double> logs;
    std::vector<double> log_prior(classes, 0);
    const auto make_counts = [&] {
      return ConfusionCounts{&table, classes,
                             std::vector<double>(table.worker_count() * classes * classes, 0)};
    };
    const auto maximise = [&](Expected& expected) {
      fit.prior = std::move(expected.class_sums);
      for (double& p : fit.prior) p /= expected.covered;
      log_prior = log_of(fit.prior);
      logs = std::move(expected.counts);
      normalise_confusion(logs, classes, smoothing, context.parallel);
    };
    const std::size_t bytes = table.worker_count() * classes * classes * sizeof(double);
    const auto pass = [&](bool expect) {
      return em_pass(table, log_prior, ConfusionLikelihood{table, classes, logs}, make_counts,
                     bytes, context, fit.posterior, expect, Posteriors::own);
    };
    EmPass<ConfusionCounts> votes = pass(false);
    take_initial_confusion(context.initial_confusion, classes, votes.counts.sums);
    Expected first{std::move(votes.counts.sums), std::move(votes.class_sums), votes.covered};
    Expected start = first;
    maximise(start);
    Convergence convergence(table, context, fit);
    ascend(
        convergence, context, true, std::move(first), [&] { return pass(true); },
        [&] { return log_density(logs, classes, smoothing); }, maximise);
    share_posterior(table, bytes, context, fit.posterior);
    fit.confusion = confusion_of(logs, classes);
    fit.skills = skills_of(logs, fit.prior);
    if (context.keep_evidence) {
      fit.evidence = {VoteEvidence::Form::tables, std::move(log_prior), std::move(logs)};
    }
    return fit;
  }

 private:
  static ParameterInfo abstentions_parameter() {
    return {.name = "abstentions",
            .kind = ParameterInfo::Kind::choice,
            .doc =
                "where abstaining says something of the class: ignored; marked (annotations with "
                "the label --abstain, or of weight 0); missing (every worker saw every task: "
                "labelling functions)",
            .default_value = std::string("ignored"),
            .choices = {"ignored", "marked", "missing"}};
  }

  // Both are counts, of [workers, true, said] and [workers, said, true].
  static void take_initial_confusion(const InitialConfusion* initial, std::size_t classes,
                                     std::vector<double>& counts) {
    if (initial == nullptr) return;
    if (initial->counts.size() != counts.size()) {
      throw InputError(
          "initial confusion matrices: {} numbers; expected {}, a table of {} times {} for each "
          "worker",
          initial->counts.size(), counts.size(), classes, classes);
    }
    const std::size_t square = classes * classes;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const double given = initial->counts[i];
      const std::size_t worker = i / square;
      const std::size_t truth = i % square / classes;
      const std::size_t said = i % classes;
      if (!(given >= 0) || given > std::numeric_limits<double>::max()) {
        throw InputError(
            "initial confusion matrices: worker {}, true label {}, observed label {}: {}; expected "
            "a finite number of at least 0",
            worker, truth, said, given);
      }
      double& count = counts[worker * square + said * classes + truth];
      count = given + (initial->adds ? count : 0);
    }
  }

  // The Dirichlet prior's part of the objective, up to a constant.
  static double log_density(std::span<const double> logs, std::size_t classes,
                            const ConfusionPrior& prior) {
    if (prior.diagonal == 0 && prior.off_diagonal == 0) return 0;
    double sum = 0;
    for (std::size_t i = 0; i < logs.size(); ++i) {
      const bool right = i % classes == i / classes % classes;
      sum += (right ? prior.diagonal : prior.off_diagonal) * logs[i];
    }
    return sum;
  }
};

}  // namespace

ParameterInfo diagonal_parameter() {
  return {.name = "diagonal",
          .doc = "pseudo-count where a worker is right",
          .default_value = 0.0,
          .low = 0};
}

ParameterInfo off_diagonal_parameter() {
  return {.name = "off_diagonal",
          .doc = "pseudo-count where a worker is wrong",
          .default_value = 0.0,
          .low = 0};
}

void check_confusion_size(const AnnotationTable& table) {
  constexpr std::size_t kMost = std::size_t{1} << 28U;
  const std::size_t classes = table.label_count();
  if (table.worker_count() > kMost / classes / classes) {
    throw InputError(
        "confusion matrices of {} workers and {} labels are too large (at most {} "
        "numbers); one-coin-dawid-skene needs one number per worker",
        table.worker_count(), classes, kMost);
  }
}

void normalise_worker(double* table, std::size_t classes, const ConfusionPrior& prior,
                      std::size_t symbols) {
  symbols = std::max(symbols, classes);
  for (std::size_t k = 0; k < classes; ++k) {
    double sum = 0;
    for (std::size_t l = 0; l < symbols; ++l) {
      double& count = table[l * classes + k];
      count = std::max(count + (l == k ? prior.diagonal : prior.off_diagonal), kFloor);
      sum += count;
    }
    for (std::size_t l = 0; l < symbols; ++l) table[l * classes + k] /= sum;
  }
  // Shares are at least kFloor by the largest number.
  for (std::size_t i = 0; i < symbols * classes; ++i) table[i] = portable_log_within(table[i]);
}

void normalise_confusion(std::vector<double>& counts, std::size_t classes,
                         const ConfusionPrior& prior, const Parallel& parallel) {
  const std::size_t square = classes * classes;
  const std::size_t workers = counts.size() / square;
  constexpr std::size_t kWorkersAtATime = 256;
  const std::size_t blocks = (workers + kWorkersAtATime - 1) / kWorkersAtATime;
  parallel_for(parallel, blocks, [&](std::size_t block, std::size_t) {
    const std::size_t end = std::min(workers, (block + 1) * kWorkersAtATime);
    for (std::size_t w = block * kWorkersAtATime; w < end; ++w) {
      normalise_worker(counts.data() + w * square, classes, prior);
    }
  });
}

std::vector<double> confusion_of(std::span<const double> logs, std::size_t classes) {
  std::vector<double> confusion(logs.size());
  const std::size_t square = classes * classes;
  for (std::size_t w = 0; w < logs.size() / square; ++w) {
    for (std::size_t l = 0; l < classes; ++l) {
      for (std::size_t k = 0; k < classes; ++k) {
        confusion[w * square + k * classes + l] = portable_exp(logs[w * square + l * classes + k]);
      }
    }
  }
  return confusion;
}

std::vector<double> logs_of_confusion(std::span<const double> confusion, std::size_t classes) {
  std::vector<double> logs(confusion.size());
  const std::size_t square = classes * classes;
  for (std::size_t w = 0; w < logs.size() / square; ++w) {
    for (std::size_t k = 0; k < classes; ++k) {
      for (std::size_t l = 0; l < classes; ++l) {
        logs[w * square + l * classes + k] =
            portable_log(std::max(confusion[w * square + k * classes + l], kFloor));
      }
    }
  }
  return logs;
}

std::vector<double> skills_of(std::span<const double> logs, std::span<const double> prior) {
  const std::size_t classes = prior.size();
  const std::size_t square = classes * classes;
  std::vector<double> skills(logs.size() / square, 0);
  for (std::size_t w = 0; w < skills.size(); ++w) {
    for (std::size_t k = 0; k < classes; ++k) {
      skills[w] += prior[k] * portable_exp(logs[w * square + k * classes + k]);
    }
  }
  return skills;
}

const LabelModel& dawid_skene() {
  static const DawidSkene model;
  return model;
}

}  // namespace amalgam::labels::models
