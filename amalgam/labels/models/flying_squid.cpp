#include <fmt/format.h>

#include "amalgam/labels/models/class_balance.hpp"
#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/models/triplets.hpp"

namespace amalgam::labels::models {
namespace {

/// E[vote_v vote_w] of each pair of workers over their common tasks, a vote for the class of the
/// column being +1 and others -1. Of two classes one column is enough: the other's are the same.
WorkerPairs vote_moments(const AnnotationTable& table, const Parallel& parallel) {
  const std::size_t columns = table.label_count() == 2 ? 1 : table.label_count();
  // First, how often only one of the two voted for the class.
  WorkerPairs pairs =
      worker_pairs("flying-squid", table, columns, parallel,
                   [columns](Label mine, Label other, double weight, double* one_sided) {
                     if (mine == other) return;
                     one_sided[columns == 1 ? 0 : mine] += weight;
                     if (columns > 1) one_sided[other] += weight;
                   });
  for (std::size_t i = 0; i < pairs.values.size(); ++i) {
    pairs.values[i] = 1 - 2 * pairs.values[i] / pairs.common[i / columns];
  }
  return pairs;
}

/// One class against the others: votes for it are +1, other votes -1.
struct OneAgainstRest {
  std::vector<double> accuracy;      ///< [workers] of the binary votes
  std::vector<double> log_odds_for;  ///< [workers] what a vote for the class adds to its log-odds
  std::vector<double> log_odds_against;
};

class FlyingSquid final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "flying-squid",
        .summary =
            "Accuracies from how often triplets of workers agree, in closed form; naive "
            "Bayes, one class against the others.",
        .source = "Fu et al. 2020",
        .parameters = {balance_parameter("uniform"),
                       {.name = "average",
                        .kind = ParameterInfo::Kind::choice,
                        .doc = "over a worker's triplets",
                        .default_value = "median",
                        .choices = {"median", "mean"}},
                       {.name = "triplets",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "most triplets per worker, drawn if there are more",
                        .default_value = 20'000.0,
                        .low = 1,
                        .high = 1e8}},
        .skill = "accuracy of the worker's votes for or against a class, by the class balance",
        .uses_gold = true,
        .random = true,
        .fewest_workers = 3,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    const std::size_t classes = table.label_count();
    LabelFit fit;
    fit.prior = class_balance("flying-squid", context.parameters.text("balance"), table, context);
    const WorkerPairs moments = vote_moments(table, context.parallel);
    const TripletOptions options{
        .mean = context.parameters.text("average") == "mean",
        .most = static_cast<std::size_t>(context.parameters.number("triplets")),
        .seed = context.seed};
    const std::vector<double> sizes = triplet_sizes(moments, options, context.parallel);
    // Of two classes one is enough: the other's odds are the inverse.
    std::vector<OneAgainstRest> models(classes);
    for (std::size_t k = classes == 2 ? 1 : 0; k < classes; ++k) {
      std::vector<double> own;
      for (std::size_t w = 0; w < table.worker_count(); ++w) {
        own.push_back(sizes[w * moments.columns + (classes == 2 ? 0 : k)]);
      }
      models[k] = against_rest(table, own, k, fit);
    }
    fit.posterior = predict(table, models, fit.prior, context.parallel);
    if (context.keep_evidence) fit.evidence = evidence_of(models, fit.prior);
    fit.skills.assign(table.worker_count(), 0);
    for (std::size_t w = 0; w < fit.skills.size(); ++w) {
      for (std::size_t k = 0; k < classes; ++k) {
        fit.skills[w] += fit.prior[k] * models[classes == 2 ? 1 : k].accuracy[w];
      }
    }
    return fit;
  }

 private:
  static OneAgainstRest against_rest(const AnnotationTable& table, std::span<const double> sizes,
                                     std::size_t positive, LabelFit& fit) {
    const std::vector<double> all = annotation_weights(table);
    std::vector<double> votes_for(all.size(), 0);
    for (std::size_t row = 0; row < table.rows(); ++row) {
      if (table.labels[row] == positive) votes_for[table.workers[row]] += table.weight(row);
    }
    OneAgainstRest model;
    std::size_t unknown = 0;
    for (std::size_t w = 0; w < all.size(); ++w) {
      unknown += sizes[w] > 0 ? 0 : 1;
      const double share = all[w] > 0 ? votes_for[w] / all[w] : 0.5;
      add_worker(std::min(sizes[w], 1.0), 2 * share - 1, fit.prior[positive], model);
    }
    if (unknown > 0) {
      fit.warnings.push_back(
          fmt::format("label '{}': {} of {} workers are in no triplet with common tasks; their "
                      "votes weigh nothing",
                      table.label_names[positive], unknown, all.size()));
    }
    return model;
  }

  // Of two classes, what a vote for the first one adds to the second one's log-odds is against it.
  static VoteEvidence evidence_of(std::span<const OneAgainstRest> models,
                                  std::span<const double> prior) {
    const std::size_t classes = models.size();
    const bool two = classes == 2;
    VoteEvidence evidence;
    evidence.form = two ? VoteEvidence::Form::tables : VoteEvidence::Form::sides;
    evidence.one_against_rest = !two;
    for (std::size_t k = 0; k < classes; ++k) {
      const bool counts = !two || k == 1;
      evidence.start.push_back(counts ? portable_log(prior[k] / (1 - prior[k])) : 0);
    }
    for (std::size_t w = 0; w < models.back().accuracy.size(); ++w) {
      if (two) {
        const auto& model = models[1];
        evidence.values.insert(evidence.values.end(),
                               {0, model.log_odds_against[w], 0, model.log_odds_for[w]});
        continue;
      }
      for (const OneAgainstRest& model : models) evidence.values.push_back(model.log_odds_for[w]);
      for (const OneAgainstRest& model : models) {
        evidence.values.push_back(model.log_odds_against[w]);
      }
    }
    return evidence;
  }

  // `size`: E[vote x truth]; `mean`: E[vote]; both as +1 and -1. A worker of whom nothing is known
  // (size 0) says nothing.
  static void add_worker(double size, double mean, double p, OneAgainstRest& model) {
    constexpr double kLeast = 0.01;
    model.accuracy.push_back((1 + size) / 2);
    if (size == 0) {
      model.log_odds_for.push_back(0);
      model.log_odds_against.push_back(0);
      return;
    }
    const double truth = 2 * p - 1;
    const double right = std::clamp((1 + mean + truth + size) / 4 / p, kLeast, 1 - kLeast);
    const double wrong = std::clamp((1 + mean - truth - size) / 4 / (1 - p), kLeast, 1 - kLeast);
    model.log_odds_for.push_back(portable_log(right / wrong));
    model.log_odds_against.push_back(portable_log((1 - right) / (1 - wrong)));
  }

  static SoftLabels predict(const AnnotationTable& table, std::span<const OneAgainstRest> models,
                            std::span<const double> prior, const Parallel& parallel) {
    const std::size_t classes = models.size();
    SoftLabels posterior(table.task_count(), classes);
    parallel_for(parallel, task_blocks(table), [&](std::size_t block, std::size_t) {
      const TaskRange range = task_range(table, block);
      for (Task task = range.begin; task < range.end; ++task) {
        const auto [first, last] = table.rows_of(task);
        const std::span<double> row = posterior.row(task);
        if (first == last) {
          std::ranges::copy(prior, row.begin());
          continue;
        }
        for (std::size_t k = classes == 2 ? 1 : 0; k < classes; ++k) {
          double log_odds = portable_log(prior[k] / (1 - prior[k]));
          for (std::size_t i = first; i < last; ++i) {
            const Worker worker = table.workers[i];
            log_odds +=
                table.weight(i) * (table.labels[i] == k ? models[k].log_odds_for[worker]
                                                        : models[k].log_odds_against[worker]);
          }
          row[k] = portable_logistic(log_odds);
        }
        if (classes == 2) {
          row[0] = 1 - row[1];
        } else {
          softmax_in_place(row.data(), classes);
        }
      }
    });
    return posterior;
  }
};

}  // namespace

const LabelModel& flying_squid() {
  static const FlyingSquid model;
  return model;
}

}  // namespace amalgam::labels::models
