#include <fmt/format.h>

#include "amalgam/labels/models/class_balance.hpp"
#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/models/triplets.hpp"

namespace amalgam::labels::models {
namespace {

using Matrix = Eigen::MatrixXd;

/// Per pair of workers and class: how often both voted, and how often just one voted for the class.
struct PairCounts {
  Matrix common;
  std::vector<Matrix> one_sided;  ///< [classes]

  void combine(PairCounts&& right) {
    common += right.common;
    for (std::size_t k = 0; k < one_sided.size(); ++k) one_sided[k] += right.one_sided[k];
  }
};

PairCounts count_pairs(const AnnotationTable& table, std::size_t classes,
                       const Parallel& parallel) {
  const auto workers = static_cast<Eigen::Index>(table.worker_count());
  const std::size_t leaves = leaves_for(
      table, table.worker_count() * table.worker_count() * (classes + 1) * sizeof(double));
  return *fold(parallel, leaves, [&](std::size_t leaf, std::size_t) {
    PairCounts counts{Matrix::Zero(workers, workers),
                      std::vector<Matrix>(classes, Matrix::Zero(workers, workers))};
    const auto [begin, end] = leaf_range(table, leaf, leaves);
    for (Task task = begin; task < end; ++task) {
      const auto [first, last] = table.rows_of(task);
      for (std::size_t a = first; a < last; ++a) {
        for (std::size_t b = first; b < last; ++b) {
          if (table.workers[a] == table.workers[b]) continue;
          const double weight = table.weight(a) * table.weight(b);
          counts.common(table.workers[b], table.workers[a]) += weight;
          if (table.labels[a] == table.labels[b]) continue;
          counts.one_sided[table.labels[a]](table.workers[b], table.workers[a]) += weight;
          counts.one_sided[table.labels[b]](table.workers[b], table.workers[a]) += weight;
        }
      }
    }
    return counts;
  });
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
    check_pairs_size("flying-squid", table.worker_count(), classes + 1);
    LabelFit fit;
    fit.prior = class_balance("flying-squid", context.parameters.text("balance"), table, context);
    const PairCounts counts = count_pairs(table, classes, context.parallel);
    // Of two classes one is enough: the other's odds are the inverse.
    std::vector<OneAgainstRest> models(classes);
    for (std::size_t k = classes == 2 ? 1 : 0; k < classes; ++k) {
      models[k] = against_rest(table, counts, k, fit, context);
    }
    fit.posterior = predict(table, models, fit.prior, context.parallel);
    fit.skills.assign(table.worker_count(), 0);
    for (std::size_t w = 0; w < fit.skills.size(); ++w) {
      for (std::size_t k = 0; k < classes; ++k) {
        fit.skills[w] += fit.prior[k] * models[classes == 2 ? 1 : k].accuracy[w];
      }
    }
    return fit;
  }

 private:
  static OneAgainstRest against_rest(const AnnotationTable& table, const PairCounts& counts,
                                     std::size_t positive, LabelFit& fit,
                                     const FitContext& context) {
    PairMoments moments{Matrix::Zero(counts.common.rows(), counts.common.cols()), counts.common};
    for (Eigen::Index i = 0; i < moments.values.size(); ++i) {
      const double common = counts.common.data()[i];
      if (common > 0) {
        moments.values.data()[i] = 1 - 2 * counts.one_sided[positive].data()[i] / common;
      }
    }
    const TripletOptions options{
        .mean = context.parameters.text("average") == "mean",
        .most = static_cast<std::size_t>(context.parameters.number("triplets")),
        .seed = context.seed};
    const std::vector<double> sizes = triplet_sizes(moments, options, context.parallel);
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
