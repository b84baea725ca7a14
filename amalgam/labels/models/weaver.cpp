#include <fmt/format.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/models/class_balance.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"
#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/models/triplets.hpp"
#include "amalgam/labels/models/verifiers.hpp"
#include "amalgam/labels/models/votes.hpp"

namespace amalgam::labels::models {
namespace {

constexpr double kLeast = 0.01;

/// log Pr(says l | truth k), [workers, l, k], of rates of true and false yes.
std::vector<double> logs_of(std::span<const double> true_yes, std::span<const double> false_yes) {
  std::vector<double> logs;
  for (std::size_t w = 0; w < true_yes.size(); ++w) {
    for (const double p : {1 - false_yes[w], 1 - true_yes[w], false_yes[w], true_yes[w]}) {
      logs.push_back(portable_log(p));
    }
  }
  return logs;
}

class Weaver final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "weaver",
        .summary =
            "Yes-or-no votes of verifiers: their rates of true and false yes from the "
            "moments of their votes.",
        .source = "Saad-Falcon et al. 2025; Ratner et al. 2019",
        .parameters = {balance_parameter("estimated",
                                         "; estimated: from the third moments of the votes"),
                       {.name = "solver",
                        .kind = ParameterInfo::Kind::choice,
                        .doc = "how covariances are resolved into workers",
                        .default_value = "least-squares",
                        .choices = {"least-squares", "triplet-median", "triplet-mean"}},
                       {.name = "triplets",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "most triplets per worker, drawn if there are more",
                        .default_value = 20'000.0,
                        .low = 1,
                        .high = 1e8},
                       {.name = "polish",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "iterations of EM from there on",
                        .default_value = 0.0,
                        .low = 0,
                        .high = 1e6}},
        .skill = "mean of the rates of being right on either class",
        .uses_gold = true,
        .random = true,
        .most_classes = 2,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    if (table.worker_count() == 1) return votes_of_one(table, context);
    LabelFit fit;
    const VerifierMoments moments = verifier_moments(table, context.parallel);
    const std::vector<double> u = resolve(moments, context);
    const double p = share_of_yes(table, moments, u, context, fit);
    fit.prior = {1 - p, p};
    std::vector<double> true_yes;
    std::vector<double> false_yes;
    for (std::size_t w = 0; w < u.size(); ++w) {
      const double apart = u[w] / std::sqrt(p * (1 - p));
      true_yes.push_back(std::clamp(moments.means[w] + (1 - p) * apart, kLeast, 1 - kLeast));
      false_yes.push_back(std::clamp(moments.means[w] - p * apart, kLeast, 1 - kLeast));
    }
    warn(moments, u, fit);
    std::vector<double> logs = logs_of(true_yes, false_yes);
    fit.posterior = SoftLabels(table.task_count(), 2);
    polish(table, context, fit, logs);
    report(logs, fit);
    if (context.keep_evidence) {
      fit.evidence = {VoteEvidence::Form::tables, log_of(fit.prior), logs};
    }
    return fit;
  }

 private:
  // Nothing tells how good a worker alone is: his votes are the scores, and tasks without one get
  // the class balance, which if it is not given is the share of his votes.
  static LabelFit votes_of_one(const AnnotationTable& table, const FitContext& context) {
    LabelFit fit;
    const std::string& balance = context.parameters.text("balance");
    const double p = balance == "estimated" ? verifier_moments(table, context.parallel).means[0]
                                            : class_balance("weaver", balance, table, context)[1];
    fit.prior = {1 - p, p};
    SoftLabels priors(table.task_count(), 2);
    for (std::size_t task = 0; task < priors.items; ++task) {
      std::ranges::copy(fit.prior, priors.row(task).begin());
    }
    fit.posterior = vote_sums(table, {}, context.parallel);
    normalise_rows(fit.posterior, priors);
    clamp_to_gold(fit.posterior, context.gold);
    fit.warnings.emplace_back("one worker: his votes are taken as they are");
    if (context.keep_evidence) fit.evidence = {VoteEvidence::Form::weights, {0, 0}, {1}};
    return fit;
  }

  static std::vector<double> resolve(const VerifierMoments& moments, const FitContext& context) {
    std::vector<double> u = rank_one_fit(moments.covariance, context.parallel);
    const std::string& solver = context.parameters.text("solver");
    if (u.size() == 2) {
      const double covariance =
          moments.covariance.values.empty() ? 0 : moments.covariance.values.front();
      const double root = std::sqrt(std::abs(covariance));
      return {root, covariance < 0 ? -root : root};
    }
    if (solver == "least-squares") return u;
    const std::vector<double> sizes =
        triplet_sizes(moments.covariance,
                      {.mean = solver == "triplet-mean",
                       .skip_negative = true,
                       .most = static_cast<std::size_t>(context.parameters.number("triplets")),
                       .seed = context.seed},
                      context.parallel);
    for (std::size_t w = 0; w < u.size(); ++w) u[w] = u[w] < 0 ? -sizes[w] : sizes[w];
    return u;
  }

  static double share_of_yes(const AnnotationTable& table, const VerifierMoments& moments,
                             std::span<const double> u, const FitContext& context, LabelFit& fit) {
    const std::string& balance = context.parameters.text("balance");
    if (balance != "estimated") return class_balance("weaver", balance, table, context)[1];
    if (u.size() < 3) {
      throw InputError(
          "method 'weaver' has 2 workers: their votes do not tell the class balance; expected -p "
          "balance=NUMBERS, or a third worker");
    }
    const std::optional<double> skew = estimated_skew(table, moments.means, u, context.parallel);
    if (!skew) {
      fit.warnings.emplace_back(
          "no three workers tell the class balance; both classes are taken as equally frequent");
      return 0.5;
    }
    const double p = share_of_skew(*skew);
    if (p < kLeast || p > 1 - kLeast) {
      fit.warnings.push_back(fmt::format(
          "the estimated class balance {:.4f} is beyond [0.01, 0.99] and was clipped", p));
    }
    return std::clamp(p, kLeast, 1 - kLeast);
  }

  static void warn(const VerifierMoments& moments, std::span<const double> u, LabelFit& fit) {
    const auto worse = std::ranges::count_if(u, [](double x) { return x < 0; });
    if (worse > 0) {
      fit.warnings.push_back(
          fmt::format("{} of {} workers are worse than chance; their votes count the other way",
                      worse, u.size()));
    }
    if (u.size() == 2) {
      fit.warnings.emplace_back("two workers: both are assumed to be equally good");
    }
    constexpr double kFewestCommon = 20;
    std::size_t copies = 0;
    const auto variance = [&](std::size_t w) { return moments.means[w] * (1 - moments.means[w]); };
    const WorkerPairs& pairs = moments.covariance;
    for (std::size_t w = 0; w < u.size(); ++w) {
      for (std::uint64_t i = pairs.begins[w]; i < pairs.begins[w + 1]; ++i) {
        const Worker v = pairs.others[i];
        if (v > w || pairs.common[i] < kFewestCommon) continue;
        const double product = variance(v) * variance(w);
        copies += product > 0 && pairs.values[i] > 0.99 * std::sqrt(product) ? 1 : 0;
      }
    }
    if (copies > 0) {
      fit.warnings.push_back(fmt::format(
          "{} pairs of workers vote the same (correlation above 0.99): their errors are not "
          "independent, and they count too much",
          copies));
    }
  }

  // The posterior, after as many iterations of EM as asked for.
  static void polish(const AnnotationTable& table, const FitContext& context, LabelFit& fit,
                     std::vector<double>& logs) {
    const auto iterations = static_cast<std::size_t>(context.parameters.number("polish"));
    const std::size_t numbers = logs.size();
    for (std::size_t t = 0;; ++t) {
      check_interrupt();
      EmPass<ConfusionCounts> pass = em_pass(
          table, log_of(fit.prior), ConfusionLikelihood{table, 2, logs},
          [&] {
            return ConfusionCounts{&table, 2, std::vector<double>(numbers, 0)};
          },
          numbers * sizeof(double), context, fit.posterior);
      if (iterations == 0) return;
      fit.trace.push_back(pass.log_likelihood);
      if (t == iterations) return;
      fit.iterations = t + 1;
      if (context.on_iteration) context.on_iteration(fit.iterations, pass.log_likelihood);
      for (std::size_t k = 0; k < 2; ++k) fit.prior[k] = pass.class_sums[k] / pass.covered;
      logs = std::move(pass.counts.sums);
      normalise_confusion(logs, 2, {}, context.parallel);
    }
  }

  static void report(std::span<const double> logs, LabelFit& fit) {
    fit.confusion = confusion_of(logs, 2);
    for (std::size_t w = 0; w < logs.size() / 4; ++w) {
      const double true_yes = fit.confusion[w * 4 + 3];
      const double false_yes = fit.confusion[w * 4 + 1];
      fit.skills.push_back((true_yes + 1 - false_yes) / 2);
      fit.worker_columns["true_yes_rate"].push_back(true_yes);
      fit.worker_columns["false_yes_rate"].push_back(false_yes);
      fit.worker_columns["weight"].push_back(logs[w * 4 + 3] - logs[w * 4 + 2] - logs[w * 4 + 1] +
                                             logs[w * 4]);
    }
  }
};

}  // namespace

const LabelModel& weaver() {
  static const Weaver model;
  return model;
}

}  // namespace amalgam::labels::models
