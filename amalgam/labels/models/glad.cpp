#include <fmt/format.h>

#include "amalgam/labels/models/class_balance.hpp"
#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/glad_solver.hpp"
#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/models/start_point.hpp"

namespace amalgam::labels::models {
namespace {

constexpr const char* kAbility = "ability";
constexpr const char* kLogEasiness = "log_easiness";
// Of a point that a fit goes on from: far beyond what priors N(1, 1) let weights of 1 reach.
constexpr double kMostAbility = 1e4;
constexpr double kMostEasiness = 100;

struct GladLikelihood {
  const AnnotationTable& table;
  std::size_t classes;
  std::span<const double> ability;
  std::span<const double> easiness;  // [tasks]
  double log_others;                 // of the number of wrong labels

  template <int kClasses>
  void add(std::size_t row, double* log_likelihoods) const {
    const std::size_t count = kClasses > 0 ? kClasses : classes;
    const double x = ability[table.workers[row]] * easiness[table.tasks[row]];
    const double log_right = logistic_pair(x).log;
    const double weight = table.weight(row);
    const double wrong = weight * (log_right - x - log_others);
    for (std::size_t k = 0; k < count; ++k) {
      log_likelihoods[k] += k == table.labels[row] ? weight * log_right : wrong;
    }
  }
};

class Glad final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "glad",
        .summary = "EM for the ability of each worker and the easiness of each task.",
        .source = "Whitehill, Wu, Bergsma, Movellan and Ruvolo 2009",
        .parameters = {balance_parameter("uniform"),
                       iterations_parameter(100),
                       tolerance_parameter(1e-5),
                       {.name = "inner_iterations",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "most Newton steps of a maximisation (crowd-kit: 25 of conjugate "
                               "gradients)",
                        .default_value = 200.0,
                        .low = 1,
                        .high = 1e6},
                       {.name = "inner_tolerance",
                        .doc =
                            "norm of the gradient at which a maximisation ends (crowd-kit: 1e-2)",
                        .default_value = 1e-8,
                        .low = 0,
                        .low_open = true}},
        .skill = "ability: log-odds of being right on a task of easiness 1",
        .uses_gold = true,
        .fewest_workers = 2,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    const std::size_t classes = table.label_count();
    const auto most_steps = static_cast<std::size_t>(context.parameters.number("inner_iterations"));
    const double inner_tolerance = context.parameters.number("inner_tolerance");
    LabelFit fit;
    fit.posterior = SoftLabels(table.task_count(), classes);
    fit.prior = class_balance("glad", context.parameters.text("balance"), table, context);
    const std::vector<double> log_prior = log_of(fit.prior);
    const double log_others = portable_log(static_cast<double>(classes - 1));
    GladParameters at{std::vector<double>(table.worker_count(), 1),
                      std::vector<double>(table.task_count(), 1)};
    if (context.start != nullptr) {
      take_of_workers(*context.start, {kAbility, 1, -kMostAbility, kMostAbility}, at.ability);
      take_of_tasks(*context.start, {kLogEasiness, 1, -kMostEasiness, kMostEasiness},
                    at.log_easiness);
    }
    std::vector<double> easiness(table.task_count());
    std::size_t unsolved = 0;
    Convergence convergence(table, context, fit);
    while (true) {
      for (std::size_t i = 0; i < easiness.size(); ++i) {
        easiness[i] = portable_exp(at.log_easiness[i]);
      }
      const EmPass<NoCounts> pass = em_pass(
          table, log_prior, GladLikelihood{table, classes, at.ability, easiness, log_others},
          [] { return NoCounts{}; }, 0, context, fit.posterior);
      if (convergence.done(pass.log_likelihood + log_density(at))) break;
      const GladMaximum maximum =
          maximise_glad(table, fit.posterior, most_steps, inner_tolerance, context.parallel, at);
      unsolved += maximum.solved ? 0 : 1;
    }
    if (unsolved > 0) {
      fit.warnings.push_back(
          fmt::format("{} of {} maximisations ended before the gradient's norm was {}", unsolved,
                      fit.iterations - 1, inner_tolerance));
    }
    if (context.keep_evidence) fit.evidence = evidence_of(at, log_prior, log_others);
    fit.task_columns["easiness"] = std::move(easiness);
    if (context.keep_point) {
      fit.point.workers[kAbility] = {1, clamped(at.ability, kMostAbility)};
      fit.point.tasks[kLogEasiness] = {1, clamped(std::move(at.log_easiness), kMostEasiness)};
    }
    fit.skills = std::move(at.ability);
    return fit;
  }

 private:
  // Of a new task the easiness is not known: it is taken to be the prior's mean.
  static VoteEvidence evidence_of(const GladParameters& at, const std::vector<double>& log_prior,
                                  double log_others) {
    const double easiness = portable_exp(1);
    std::vector<double> right;
    std::vector<double> wrong;
    for (const double ability : at.ability) {
      right.push_back(portable_log_logistic(ability * easiness));
      wrong.push_back(portable_log_logistic(-ability * easiness) - log_others);
    }
    return sides_of_workers(log_prior, right, wrong);
  }

  // Of the priors N(1, 1), up to a constant.
  static double log_density(const GladParameters& at) {
    double sum = 0;
    for (const double a : at.ability) sum -= 0.5 * (a - 1) * (a - 1);
    for (const double b : at.log_easiness) sum -= 0.5 * (b - 1) * (b - 1);
    return sum;
  }
};

}  // namespace

const LabelModel& glad() {
  static const Glad model;
  return model;
}

}  // namespace amalgam::labels::models
