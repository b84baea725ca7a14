#include "amalgam/labels/models/ascend.hpp"
#include "amalgam/labels/models/models.hpp"

namespace amalgam::labels::models {
namespace {

/// A worker is right with one probability, and wrong answers are equally likely.
struct CoinLikelihood {
  const AnnotationTable& table;
  std::size_t classes;
  std::span<const double> log_right;  // [workers]
  std::span<const double> log_wrong;  // [workers], of one wrong label

  template <int kClasses>
  void add(std::size_t row, double* log_likelihoods) const {
    const std::size_t count = kClasses > 0 ? kClasses : classes;
    const double weight = table.weight(row);
    const Worker worker = table.workers[row];
    for (std::size_t k = 0; k < count; ++k) {
      log_likelihoods[k] +=
          weight * (k == table.labels[row] ? log_right[worker] : log_wrong[worker]);
    }
  }
};

/// The expected number of times each worker was right.
struct RightCounts {
  const AnnotationTable* table = nullptr;
  std::vector<double> sums;

  template <int kClasses>
  void absorb(std::size_t row, const double* posterior) {
    sums[table->workers[row]] += table->weight(row) * posterior[table->labels[row]];
  }
  template <class Visit>
  void visit_numbers(Visit visit) {
    visit(std::span(sums));
  }
  void combine(RightCounts&& right) {
    for (std::size_t w = 0; w < sums.size(); ++w) sums[w] += right.sums[w];
  }
};

class OneCoin final : public LabelModel {
 public:
  OneCoin(LabelModelInfo info, bool learns_prior)
      : info_(std::move(info)), learns_prior_(learns_prior) {}

  const LabelModelInfo& info() const override { return info_; }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    const std::size_t classes = table.label_count();
    LabelFit fit;
    fit.posterior = vote_shares(table, context.parallel);
    clamp_to_gold(fit.posterior, context.gold);
    const std::vector<double> annotations = annotation_weights(table);
    std::vector<double> log_right(table.worker_count());
    std::vector<double> log_wrong(table.worker_count());
    fit.prior.assign(classes, 1.0 / static_cast<double>(classes));
    fit.skills.resize(table.worker_count());
    const auto maximise = [&](const Expected& expected) {
      for (std::size_t k = 0; learns_prior_ && k < classes; ++k) {
        fit.prior[k] = expected.class_sums[k] / expected.covered;
      }
      for (std::size_t w = 0; w < fit.skills.size(); ++w) {
        const double share = annotations[w] > 0 ? expected.counts[w] / annotations[w] : 0.5;
        fit.skills[w] = std::clamp(share, kFloor, 1 - kFloor);
        log_right[w] = portable_log(fit.skills[w]);
        log_wrong[w] = portable_log((1 - fit.skills[w]) / static_cast<double>(classes - 1));
      }
    };
    const std::size_t bytes = table.worker_count() * sizeof(double);
    const auto pass = [&](bool expect) {
      const auto make_counts = [&] {
        return RightCounts{&table, std::vector<double>(table.worker_count(), 0)};
      };
      return em_pass(table, log_of(fit.prior), CoinLikelihood{table, classes, log_right, log_wrong},
                     make_counts, bytes, context, fit.posterior, expect, Posteriors::own);
    };
    EmPass<RightCounts> votes = pass(false);
    Expected first{std::move(votes.counts.sums), std::move(votes.class_sums), votes.covered};
    maximise(first);
    Convergence convergence(table, context, fit);
    ascend(
        convergence, context, learns_prior_, std::move(first), [&] { return pass(true); },
        [] { return 0.0; }, maximise);
    share_posterior(table, bytes, context, fit.posterior);
    if (context.keep_evidence) {
      fit.evidence = sides_of_workers(log_of(fit.prior), log_right, log_wrong);
    }
    return fit;
  }

 private:
  const LabelModelInfo info_;
  const bool learns_prior_;
};

}  // namespace

const LabelModel& one_coin_dawid_skene() {
  static const OneCoin model(
      {.name = "one-coin-dawid-skene",
       .summary = "EM for one probability of being right per worker, and the class prior.",
       .source = "Dawid and Skene 1979 with symmetric confusion matrices",
       .parameters = {iterations_parameter(100), tolerance_parameter(1e-5),
                      acceleration_parameter()},
       .skill = "probability of being right",
       .uses_gold = true,
       .fewest_workers = 2},
      true);
  return model;
}

const LabelModel& zencrowd() {
  static const OneCoin model(
      {.name = "zencrowd",
       .summary = "EM for the reliability of each worker, all classes equally probable.",
       .source = "Demartini, Difallah and Cudre-Mauroux 2012",
       .parameters = {iterations_parameter(100), tolerance_parameter(1e-5),
                      acceleration_parameter()},
       .skill = "reliability: probability of being right",
       .uses_gold = true,
       .fewest_workers = 2},
      false);
  return model;
}

}  // namespace amalgam::labels::models
