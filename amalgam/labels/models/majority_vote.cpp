#include <algorithm>

#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/models/votes.hpp"

namespace amalgam::labels::models {
namespace {

class MajorityVote final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "majority-vote",
        .summary = "The label with the most votes, for certain; tied labels share the probability.",
        .source = "each annotation counts as its weight",
        .parameters = {},
        .skill = "share of the worker's annotations that are the majority's label",
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    LabelFit fit;
    fit.posterior = vote_sums(table, {}, context.parallel);
    for (std::size_t task = 0; task < fit.posterior.items; ++task) {
      const std::span<double> row = fit.posterior.row(task);
      const double most = *std::ranges::max_element(row);
      for (double& votes : row) votes = votes >= most - kTie ? 1 : 0;
    }
    normalise_rows(fit.posterior);
    fit.skills = agreement_with(table, hard_labels(fit.posterior).labels);
    return fit;
  }
};

}  // namespace

const LabelModel& majority_vote() {
  static const MajorityVote model;
  return model;
}

}  // namespace amalgam::labels::models
