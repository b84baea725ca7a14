#include "amalgam/labels/models/bcc.hpp"

#include "amalgam/labels/models/dawid_skene.hpp"
#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/models.hpp"

namespace amalgam::labels::models {
namespace {

ParameterInfo prior_parameter(std::string name, std::string doc, double value) {
  return {.name = std::move(name),
          .doc = std::move(doc),
          .default_value = value,
          .low = 0,
          .low_open = true};
}

class Bcc final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "bcc",
        .summary = "Bayesian Dawid-Skene: Gibbs sampling, or variational inference.",
        .source = "Kim and Ghahramani 2012 (IBCC)",
        .parameters = {{.name = "inference",
                        .kind = ParameterInfo::Kind::choice,
                        .doc = "how the posterior is found",
                        .default_value = "gibbs",
                        .choices = {"gibbs", "variational"}},
                       {.name = "burn_in",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "gibbs: sweeps that are not counted",
                        .default_value = 100.0,
                        .low = 0,
                        .high = 1e6},
                       {.name = "samples",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "gibbs: sweeps that are counted",
                        .default_value = 500.0,
                        .low = 1,
                        .high = 1e6},
                       prior_parameter("class_prior", "Dirichlet prior of each class", 1),
                       prior_parameter("diagonal", "Dirichlet prior where a worker is right", 2),
                       prior_parameter("off_diagonal", "Dirichlet prior where a worker is wrong",
                                       1),
                       iterations_parameter(100),
                       tolerance_parameter(1e-5)},
        .skill = "mean over true labels, by their prior, of the probability of being right",
        .uses_gold = true,
        .random = true,
        .fewest_workers = 2,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    check_confusion_size(table);
    LabelFit fit = context.parameters.text("inference") == "gibbs"
                       ? bcc_by_sampling(table, context)
                       : bcc_variationally(table, context);
    const std::size_t classes = table.label_count();
    fit.skills.assign(table.worker_count(), 0);
    for (std::size_t w = 0; w < fit.skills.size(); ++w) {
      for (std::size_t k = 0; k < classes; ++k) {
        fit.skills[w] += fit.prior[k] * fit.confusion[(w * classes + k) * classes + k];
      }
    }
    return fit;
  }
};

}  // namespace

const LabelModel& bcc() {
  static const Bcc model;
  return model;
}

}  // namespace amalgam::labels::models
