#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/models.hpp"

namespace amalgam::labels::models {
namespace {

class Wawa final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "wawa",
        .summary = "Votes weigh each worker's agreement with the majority vote.",
        .source = "worker agreement with aggregate, Appen; Wright and Augenstein 2025",
        .parameters = {},
        .skill = "share of the worker's annotations that are the majority's label",
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    LabelFit fit;
    fit.skills = agreement_with(table, hard_labels(vote_sums(table, {}, context.parallel)).labels);
    vote_by_skill(fit, table, context);
    return fit;
  }
};

class ZeroBasedSkill final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "zero-based-skill",
        .summary =
            "Votes weigh skills that follow, step by step, the agreement with the weighted "
            "vote.",
        .source = "Ustalov, Pavlichenko and Tseitlin 2021 (crowd-kit)",
        .parameters = {iterations_parameter(100),
                       {.name = "learning_rate",
                        .doc = "step of the skills, halved at every `halve_every` iterations",
                        .default_value = 1.0,
                        .low = 0,
                        .high = 1,
                        .low_open = true},
                       {.name = "halve_every",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "iterations between halvings",
                        .default_value = 20.0,
                        .low = 1,
                        .high = 1e6}},
        .skill = "weight of the worker's votes: near the share that is the aggregate's label",
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    const auto iterations = static_cast<std::size_t>(context.parameters.number("iterations"));
    const auto every = static_cast<std::size_t>(context.parameters.number("halve_every"));
    double rate = context.parameters.number("learning_rate");
    LabelFit fit;
    fit.skills.assign(table.worker_count(), 1.0 / static_cast<double>(table.label_count()) + 1e-5);
    for (std::size_t t = 1; t <= iterations; ++t) {
      const HardLabels labels = hard_labels(vote_sums(table, fit.skills, context.parallel));
      const std::vector<double> accuracy = agreement_with(table, labels.labels);
      if (t % every == 0) rate /= 2;
      for (std::size_t w = 0; w < fit.skills.size(); ++w) {
        fit.skills[w] += rate * (accuracy[w] - fit.skills[w]);
      }
      fit.iterations = t;
      if (context.on_iteration) context.on_iteration(t, std::nullopt);
    }
    vote_by_skill(fit, table, context);
    return fit;
  }
};

}  // namespace

const LabelModel& wawa() {
  static const Wawa model;
  return model;
}

const LabelModel& zero_based_skill() {
  static const ZeroBasedSkill model;
  return model;
}

}  // namespace amalgam::labels::models
