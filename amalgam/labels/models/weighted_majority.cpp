#include <algorithm>

#include "amalgam/labels/models/class_balance.hpp"
#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/models/votes.hpp"

namespace amalgam::labels::models {
namespace {

class WeightedMajority final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "weighted-majority",
        .summary =
            "Shares of votes that weigh what the table says, times the balance of the label "
            "they are for.",
        .source = "Roberts et al. 2022 (AutoWS-Bench-101)",
        .parameters = {balance_parameter("uniform", "; uniform: the table's weights alone")},
        .skill = "share of the worker's annotations that are the aggregate's label",
        .uses_gold = true,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    LabelFit fit;
    fit.prior =
        class_balance("weighted-majority", context.parameters.text("balance"), table, context);
    fit.posterior = vote_sums(table, {}, context.parallel);
    for (std::size_t task = 0; task < fit.posterior.items; ++task) {
      const std::span<double> row = fit.posterior.row(task);
      for (std::size_t k = 0; k < row.size(); ++k) row[k] *= fit.prior[k];
    }
    SoftLabels uncovered(fit.posterior.items, fit.posterior.classes);
    for (std::size_t task = 0; task < uncovered.items; ++task) {
      std::ranges::copy(fit.prior, uncovered.row(task).begin());
    }
    normalise_rows(fit.posterior, uncovered);
    fit.skills = agreement_with(table, hard_labels(fit.posterior).labels);
    return fit;
  }
};

}  // namespace

const LabelModel& weighted_majority() {
  static const WeightedMajority model;
  return model;
}

}  // namespace amalgam::labels::models
