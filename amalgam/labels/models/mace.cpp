#include <fmt/format.h>

#include <string>

#include "amalgam/core/random.hpp"
#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/models/start_point.hpp"

namespace amalgam::labels::models {
namespace {

/// What one label of a worker says: it was a spammer's with probability `spam`, and if the label is
/// the truth a knowing worker may have given it as well.
struct Saying {
  double log_spam;   ///< log of `spam`
  double log_right;  ///< log of `spam` plus the probability of knowing
  double knows;      ///< probability of knowing, given that the label is the truth
};

struct MaceLikelihood {
  const AnnotationTable& table;
  std::size_t classes;
  std::span<const Saying> sayings;  // [workers, labels]

  template <int kClasses>
  void add(std::size_t row, double* log_likelihoods) const {
    const std::size_t count = kClasses > 0 ? kClasses : classes;
    const Label label = table.labels[row];
    const Saying& saying = sayings[std::size_t{table.workers[row]} * count + label];
    const double weight = table.weight(row);
    const double spam = weight * saying.log_spam;
    for (std::size_t k = 0; k < count; ++k) {
      log_likelihoods[k] += k == label ? weight * saying.log_right : spam;
    }
  }
};

struct MaceCounts {
  const AnnotationTable* table = nullptr;
  std::span<const Saying> sayings;
  std::size_t classes = 0;
  std::vector<double> sums;  ///< [workers, labels + 1] spammed labels, then knowing answers

  template <int kClasses>
  void absorb(std::size_t row, const double* posterior) {
    const std::size_t count = kClasses > 0 ? kClasses : classes;
    const std::size_t worker = table->workers[row];
    const Label label = table->labels[row];
    const double knows = posterior[label] * sayings[worker * count + label].knows;
    const double weight = table->weight(row);
    double* const mine = sums.data() + worker * (count + 1);
    mine[label] += weight * (1 - knows);
    mine[count] += weight * knows;
  }
  template <class Visit>
  void visit_numbers(Visit visit) {
    visit(std::span(sums));
  }
  void combine(MaceCounts&& right) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += right.sums[i];
  }
};

constexpr const char* kSpams = "spams";
constexpr const char* kKnows = "knows";
constexpr const char* kStrategy = "strategy";

/// Per worker the probabilities (or what stands for them) of spamming, of each label when spamming,
/// and of knowing.
struct MaceParameters {
  std::vector<double> spams;     ///< [workers]
  std::vector<double> knows;     ///< [workers]
  std::vector<double> strategy;  ///< [workers, labels]

  std::vector<Saying> sayings() const {
    const std::size_t classes = strategy.size() / spams.size();
    std::vector<Saying> all(strategy.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::size_t w = i / classes;
      const double spam = std::max(spams[w] * strategy[i], 1e-300);
      all[i] = {portable_log(spam), portable_log(spam + knows[w]), knows[w] / (spam + knows[w])};
    }
    return all;
  }
};

/// Geometric means of the probabilities under Dirichlet(counts + prior), which sum to less than 1.
void expected_logs(double prior, std::span<double> counts) {
  double sum = 0;
  for (double& count : counts) {
    count += prior;
    sum += count;
  }
  const double all = portable_digamma(sum);
  for (double& count : counts) count = portable_exp(portable_digamma(count) - all);
}

void smoothed_shares(double pseudo_count, std::span<double> counts) {
  double sum = 0;
  for (double& count : counts) {
    count += pseudo_count;
    sum += count;
  }
  for (double& count : counts) count /= sum;
}

class Mace final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "mace",
        .summary =
            "Each worker knows an answer or spams; EM for how often, best of several starts.",
        .source = "Hovy, Berg-Kirkpatrick, Vaswani and Hovy 2013",
        .parameters = {iterations_parameter(50),
                       tolerance_parameter(-1),
                       {.name = "inference",
                        .kind = ParameterInfo::Kind::choice,
                        .doc = "variational Bayes, or EM with 0.01 pseudo-counts per class",
                        .default_value = "variational",
                        .choices = {"variational", "em"}},
                       {.name = "restarts",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "random starts, of which the most likely is kept",
                        .default_value = 10.0,
                        .low = 1,
                        .high = 10'000},
                       {.name = "start_spread",
                        .doc = "starts are uniform on [1, 1 + this], then normalised; 0: all "
                               "workers alike",
                        .default_value = 1.5,
                        .low = 0,
                        .high = 1e6},
                       {.name = "alpha",
                        .doc = "variational: Beta prior of spamming and of knowing",
                        .default_value = 0.5,
                        .low = 0,
                        .low_open = true},
                       {.name = "beta",
                        .doc = "variational: Dirichlet prior of a spammer's labels",
                        .default_value = 10.0,
                        .low = 0,
                        .low_open = true}},
        .skill = "competence: probability of knowing the answer",
        .uses_gold = true,
        .random = true,
        .fewest_workers = 2,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    const auto restarts = context.start != nullptr
                              ? std::size_t{1}
                              : static_cast<std::size_t>(context.parameters.number("restarts"));
    LabelFit best;
    double best_likelihood = 0;
    for (std::size_t restart = 0; restart < restarts; ++restart) {
      double likelihood = 0;
      LabelFit fit = one_start(table, context, restart, likelihood);
      if (restart > 0 && !(likelihood > best_likelihood)) continue;
      best = std::move(fit);
      best_likelihood = likelihood;
    }
    return best;
  }

 private:
  static MaceParameters start(const AnnotationTable& table, const FitContext& context,
                              std::size_t restart) {
    RandomStream random(context.seed, fmt::format("mace start {}", restart));
    const double spread = context.parameters.number("start_spread");
    const auto shares = [&](std::span<double> values) {
      for (double& value : values) value = 1 + spread * random.uniform();
      smoothed_shares(0, values);
    };
    const std::size_t workers = table.worker_count();
    const std::size_t classes = table.label_count();
    MaceParameters at{std::vector<double>(workers), std::vector<double>(workers),
                      std::vector<double>(workers * classes)};
    for (std::size_t w = 0; w < workers; ++w) {
      double pair[2];
      shares(pair);
      at.spams[w] = pair[0];
      at.knows[w] = pair[1];
      shares({at.strategy.data() + w * classes, classes});
    }
    if (context.start != nullptr) {
      take_of_workers(*context.start, {kSpams}, at.spams);
      take_of_workers(*context.start, {kKnows}, at.knows);
      take_of_workers(*context.start, {kStrategy, classes}, at.strategy);
    }
    return at;
  }

  static MaceParameters maximise(const MaceCounts& counts, const FitContext& context) {
    const std::size_t classes = counts.classes;
    const std::size_t workers = counts.sums.size() / (classes + 1);
    const bool variational = context.parameters.text("inference") == "variational";
    const double alpha = variational ? context.parameters.number("alpha") : pseudo_count(classes);
    const double beta = variational ? context.parameters.number("beta") : pseudo_count(classes);
    MaceParameters at{std::vector<double>(workers), std::vector<double>(workers),
                      std::vector<double>(workers * classes)};
    for (std::size_t w = 0; w < workers; ++w) {
      const double* const mine = counts.sums.data() + w * (classes + 1);
      double pair[2] = {0, mine[classes]};
      const std::span<double> strategy(at.strategy.data() + w * classes, classes);
      for (std::size_t l = 0; l < classes; ++l) {
        pair[0] += mine[l];
        strategy[l] = mine[l];
      }
      (variational ? expected_logs : smoothed_shares)(alpha, pair);
      (variational ? expected_logs : smoothed_shares)(beta, strategy);
      at.spams[w] = pair[0];
      at.knows[w] = pair[1];
    }
    return at;
  }

  static double pseudo_count(std::size_t classes) { return 0.01 / static_cast<double>(classes); }

  // What the pseudo-counts of EM add to its objective, up to a constant.
  static double log_density(const MaceParameters& at, std::size_t classes) {
    double sum = 0;
    for (const double p : at.spams) sum += portable_log(p);
    for (const double p : at.knows) sum += portable_log(p);
    for (const double p : at.strategy) sum += portable_log(p);
    return pseudo_count(classes) * sum;
  }

  // A label that a spammer gives as often says less.
  static VoteEvidence evidence_of(const MaceParameters& at, std::vector<double> log_prior) {
    const std::size_t classes = log_prior.size();
    VoteEvidence evidence{VoteEvidence::Form::sides, std::move(log_prior), {}};
    const std::vector<Saying> sayings = at.sayings();
    evidence.values.assign(2 * sayings.size(), 0);
    for (std::size_t i = 0; i < sayings.size(); ++i) {
      evidence.values[i / classes * 2 * classes + i % classes] =
          sayings[i].log_right - sayings[i].log_spam;
    }
    return evidence;
  }

  static LabelFit one_start(const AnnotationTable& table, const FitContext& context,
                            std::size_t restart, double& likelihood) {
    const std::size_t classes = table.label_count();
    const bool variational = context.parameters.text("inference") == "variational";
    LabelFit fit;
    fit.posterior = SoftLabels(table.task_count(), classes);
    fit.prior.assign(classes, 1.0 / static_cast<double>(classes));
    const std::vector<double> log_prior = log_of(fit.prior);
    MaceParameters at = start(table, context, restart);
    Convergence convergence(table, context, fit);
    while (true) {
      const std::vector<Saying> sayings = at.sayings();
      const auto make_counts = [&] {
        return MaceCounts{&table, sayings, classes,
                          std::vector<double>(table.worker_count() * (classes + 1), 0)};
      };
      const EmPass<MaceCounts> pass =
          em_pass(table, log_prior, MaceLikelihood{table, classes, sayings}, make_counts,
                  table.worker_count() * (classes + 1) * sizeof(double), context, fit.posterior);
      likelihood = pass.log_likelihood;
      if (convergence.done(likelihood + (variational ? 0 : log_density(at, classes)))) break;
      at = maximise(pass.counts, context);
    }
    fit.skills.resize(at.knows.size());
    std::vector<double>& spams = fit.worker_columns["spams"];
    for (std::size_t w = 0; w < fit.skills.size(); ++w) {
      const double sum = at.spams[w] + at.knows[w];
      fit.skills[w] = sum > 0 ? at.knows[w] / sum : 0.5;  // 0: all annotations have weight 0
      spams.push_back(1 - fit.skills[w]);
    }
    if (context.keep_evidence) fit.evidence = evidence_of(at, log_prior);
    if (context.keep_point) {
      fit.point.workers[kSpams] = {1, std::move(at.spams)};
      fit.point.workers[kKnows] = {1, std::move(at.knows)};
      fit.point.workers[kStrategy] = {classes, std::move(at.strategy)};
    }
    return fit;
  }
};

}  // namespace

const LabelModel& mace() {
  static const Mace model;
  return model;
}

}  // namespace amalgam::labels::models
