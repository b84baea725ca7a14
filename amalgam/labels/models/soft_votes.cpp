#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/models.hpp"

namespace amalgam::labels::models {
namespace {

/// Probabilities that depend on the votes of a task alone.
class SoftVotes final : public LabelModel {
 public:
  SoftVotes(LabelModelInfo info, bool exponential)
      : info_(std::move(info)), exponential_(exponential) {}

  const LabelModelInfo& info() const override { return info_; }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    LabelFit fit;
    fit.posterior = vote_sums(table, {}, context.parallel);
    for (std::size_t task = 0; exponential_ && task < fit.posterior.items; ++task) {
      softmax_in_place(fit.posterior.row(task).data(), fit.posterior.classes);
    }
    if (!exponential_) normalise_rows(fit.posterior);
    return fit;
  }

 private:
  const LabelModelInfo info_;
  const bool exponential_;
};

}  // namespace

const LabelModel& standard() {
  static const SoftVotes model({.name = "standard",
                                .summary = "Each label's share of the votes.",
                                .source = "Wright and Augenstein 2025, 'Standard'",
                                .parameters = {},
                                .skill = ""},
                               false);
  return model;
}

const LabelModel& softmax() {
  static const SoftVotes model({.name = "softmax",
                                .summary = "The softmax of the numbers of votes.",
                                .source = "Wright and Augenstein 2025, 'Softmax'",
                                .parameters = {},
                                .skill = ""},
                               true);
  return model;
}

}  // namespace amalgam::labels::models
