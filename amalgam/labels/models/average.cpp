#include <algorithm>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/labels/models/models.hpp"
#include "amalgam/labels/soft/aggregate.hpp"
#include "amalgam/labels/soft/centroid.hpp"
#include "amalgam/labels/soft/temperature.hpp"

namespace amalgam::labels::models {
namespace {

/// The members as words, "average" and repetitions refused.
std::vector<std::string> member_names(const std::string& text) {
  std::vector<std::string> names;
  for (const std::string& name : split(text, ',')) {
    if (name == "average") {
      throw InputError("-p methods={}: 'average' cannot be its own member", text);
    }
    if (std::ranges::find(names, name) != names.end()) {
      throw InputError("-p methods={}: '{}' is there twice", text, name);
    }
    find_label_model(name);
    names.push_back(name);
  }
  return names;
}

/// Those of a member that no other member had.
void add_new_warnings(const std::string& name, const std::vector<std::string>& warnings,
                      LabelFit& fit) {
  for (const std::string& warning : warnings) {
    const bool known = std::ranges::any_of(
        fit.warnings, [&](const std::string& other) { return other.ends_with(": " + warning); });
    if (!known) fit.warnings.push_back(name + ": " + warning);
  }
}

std::vector<SoftLabels> tempered(std::vector<SoftLabels>&& members, const Parallel& parallel) {
  const std::vector<double> temperatures = soft::ensemble_temperatures(members, parallel);
  for (std::size_t m = 0; m < members.size(); ++m) {
    members[m] = soft::tempered_labels(members[m], temperatures[m]);
  }
  return std::move(members);
}

class Average final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "average",
        .summary = "Several methods' soft labels in one: their mean, or another aggregation.",
        .source = "Wright and Augenstein 2025",
        .parameters = {{.name = "methods",
                        .kind = ParameterInfo::Kind::text,
                        .doc = "the members, with their default parameters, separated by commas",
                        .default_value =
                            "standard,softmax,dawid-skene,glad,mace,wawa,zero-based-skill"},
                       {.name = "aggregation",
                        .kind = ParameterInfo::Kind::choice,
                        .doc = "mean; weighted (mean by how well members fit the gold labels, "
                               "which they do not see); conflation (product); temperature (mean "
                               "of tempered members); centroid (Jensen-Shannon); hybrid (centroid "
                               "of tempered members)",
                        .default_value = "mean",
                        .choices = {"mean", "weighted", "conflation", "temperature", "centroid",
                                    "hybrid"}}},
        .skill = "",
        .uses_gold = true,
        .random = true,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    const std::string& aggregation = context.parameters.text("aggregation");
    if (aggregation == "weighted" && context.gold == nullptr) {
      throw InputError("method 'average' with aggregation=weighted needs gold labels (--gold)");
    }
    LabelFit fit;
    std::vector<SoftLabels> members;
    for (const std::string& name : member_names(context.parameters.text("methods"))) {
      FitContext member = context;
      member.on_iteration = nullptr;
      // A member that had seen the gold labels would fit them best.
      if (aggregation == "weighted") member.gold = nullptr;
      LabelFit one = fit_labels(name, table, {}, member);
      add_new_warnings(name, one.warnings, fit);
      members.push_back(std::move(one.posterior));
      ++fit.iterations;
      if (context.on_iteration) context.on_iteration(fit.iterations, std::nullopt);
    }
    fit.posterior = aggregate(std::move(members), aggregation, context);
    return fit;
  }

 private:
  static SoftLabels aggregate(std::vector<SoftLabels>&& members, const std::string& aggregation,
                              const FitContext& context) {
    if (aggregation == "weighted") {
      return soft::mean_labels(members, soft::weights_by_likelihood(members, *context.gold));
    }
    if (aggregation == "conflation") return soft::conflated_labels(members);
    if (aggregation == "temperature") {
      return soft::mean_labels(tempered(std::move(members), context.parallel));
    }
    if (aggregation == "centroid") return soft::centroid_labels(members, context.parallel);
    if (aggregation == "hybrid") {
      return soft::centroid_labels(tempered(std::move(members), context.parallel),
                                   context.parallel);
    }
    return soft::mean_labels(members);
  }
};

}  // namespace

const LabelModel& average() {
  static const Average model;
  return model;
}

}  // namespace amalgam::labels::models
