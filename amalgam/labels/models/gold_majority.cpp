#include <fmt/format.h>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/models/votes.hpp"

namespace amalgam::labels::models {
namespace {

class GoldMajority final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "gold-majority",
        .summary = "Votes weigh each worker's accuracy on the tasks whose labels are known.",
        .source = "control tasks; crowd-kit's GoldMajorityVote",
        .parameters = {},
        .skill = "share of the worker's annotations of gold tasks that are right",
        .needs_gold = true,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    std::vector<double> right(table.worker_count(), 0);
    std::vector<double> all(table.worker_count(), 0);
    double all_right = 0;
    double annotations = 0;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const Label gold = context.gold->labels[table.tasks[row]];
      if (gold == kNoLabel) continue;
      const double weight = table.weight(row);
      const double hit = table.labels[row] == gold ? weight : 0;
      right[table.workers[row]] += hit;
      all[table.workers[row]] += weight;
      all_right += hit;
      annotations += weight;
    }
    if (!(annotations > 0)) {
      throw InputError("method 'gold-majority': no annotation is of a task with a gold label");
    }
    LabelFit fit;
    fit.skills.resize(table.worker_count());
    std::size_t unknown = 0;
    for (std::size_t w = 0; w < fit.skills.size(); ++w) {
      unknown += all[w] > 0 ? 0 : 1;
      fit.skills[w] = all[w] > 0 ? right[w] / all[w] : all_right / annotations;
    }
    if (unknown > 0) {
      fit.warnings.push_back(fmt::format(
          "{} of {} workers annotated no gold task and weigh as much as the mean ({:.3f})", unknown,
          table.worker_count(), all_right / annotations));
    }
    vote_by_skill(fit, table, context);
    return fit;
  }
};

}  // namespace

const LabelModel& gold_majority() {
  static const GoldMajority model;
  return model;
}

}  // namespace amalgam::labels::models
