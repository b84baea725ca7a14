#include "amalgam/core/error.hpp"
#include "amalgam/weights/rules/task_vector.hpp"

namespace amalgam::rules {
namespace {

using Kind = ParameterInfo::Kind;

// `by_default`: what it is if it is not given.
ParameterInfo choice(std::string name, std::vector<std::string> choices, std::string by_default,
                     std::string doc) {
  return {.name = std::move(name),
          .kind = Kind::choice,
          .doc = std::move(doc),
          .optional = true,
          .default_text = std::move(by_default),
          .choices = std::move(choices)};
}

std::string text_or(const Parameters& parameters, std::string_view name,
                    std::string_view fallback) {
  return parameters.has(name) ? parameters.text(name) : std::string(fallback);
}

Rescale parse_rescale(const std::string& text) {
  if (text == "false") return Rescale::none;
  if (text == "l2") return Rescale::l2;
  if (text == "linf") return Rescale::linf;
  if (text == "inverse_density") return Rescale::inverse_density;
  return Rescale::l1;
}

}  // namespace

std::vector<ParameterInfo> task_vector_parameters(const TaskVectorMethod& method) {
  std::vector<ParameterInfo> parameters = {
      {.name = "weight", .doc = "Weight of the member's task vector.", .per_member = true}};
  const bool sparse = method.sparsify != Sparsify::none;
  if (sparse) {
    const bool magprune = method.sparsify == Sparsify::magprune;
    parameters.push_back({.name = "density",
                          .doc = magprune
                                     ? "Mean share of the task vector that is kept; 0 drops it "
                                       "all, 1 keeps it all."
                                     : "Share of the task vector that is kept.",
                          .default_value = 1.0,
                          .per_member = true,
                          .low = 0,
                          .high = 1,
                          .low_open = !magprune});
  }
  if (method.sparsify == Sparsify::outliers) {
    parameters.push_back({.name = "gamma",
                          .doc = "Share of the largest magnitudes that is dropped.",
                          .default_value = 0.01,
                          .per_member = true,
                          .low = 0,
                          .high = 1,
                          .high_open = true});
  }
  if (method.sparsify == Sparsify::magprune) {
    parameters.push_back({.name = "epsilon",
                          .doc = "Half width of the range of keep probabilities around density.",
                          .default_value = 0.15,
                          .per_member = true,
                          .low = 0,
                          .high = 0.5,
                          .high_open = true});
  }
  parameters.push_back(
      {.name = "lambda", .doc = "Factor on the merged task vector.", .default_value = 1.0});
  parameters.push_back(
      {.name = "normalize",
       .kind = Kind::flag,
       .doc = std::string("Divide by the sum of the weights of the members that take part.") +
              (method.consensus ? " Same as disjoint: mean (true) or sum (false)." : ""),
       .optional = true,
       .default_text = method.normalize ? "true" : "false"});
  if (sparse) {
    parameters.push_back(choice(
        "rescale", {"true", "l1", "l2", "linf", "inverse_density", "false"},
        method.rescale ? "true (paper: inverse_density)" : "false",
        "What surviving values are multiplied by: true or l1, l2, linf restore that norm of the "
        "tensor's task vector, inverse_density is 1 / density."));
    parameters.push_back({.name = "dialect",
                          .kind = Kind::choice,
                          .doc =
                              "Whose defaults the other parameters take: mergekit's, or those of "
                              "the TIES and DARE papers.",
                          .default_value = std::string("mergekit"),
                          .choices = {"mergekit", "paper"}});
  }
  const bool counts = method.trim || method.sparsify == Sparsify::magnitude ||
                      method.sparsify == Sparsify::outliers;
  if (counts || method.consensus) {
    parameters.push_back(choice("scope", {"tensor", "model"}, "tensor (paper: model)",
                                "Whether shares and majorities are those of each tensor or of the "
                                "whole model."));
  }
  if (counts) {
    parameters.push_back(
        choice("kept", {"floor", "round_half_even"}, "floor (paper: round_half_even)",
               "How density times the number of elements becomes a whole number, at least 1."));
  }
  if (method.consensus) {
    parameters.push_back(
        {.name = "elect",
         .kind = Kind::choice,
         .doc = "Sign elected by the sum of weighted values, or by counting signs.",
         .default_value = std::string("sum"),
         .choices = {"sum", "count"}});
    parameters.push_back(choice("zero_sign", {"plus", "majority"}, "plus (paper: majority)",
                                "Sign elected where members balance: plus, or the majority of all "
                                "elected signs."));
    parameters.push_back(choice("disjoint", {"mean", "sum", "max"},
                                "as normalize says (paper: mean)",
                                "How the values of the elected sign become one."));
  }
  if (method.trim) {
    parameters.push_back({.name = "trim_density",
                          .doc = "Share kept by a trim to the largest magnitudes after the random "
                                 "drop.",
                          .optional = true,
                          .default_text = "1 (paper: 0.2)",
                          .low = 0,
                          .high = 1,
                          .low_open = true});
  }
  parameters.push_back({.name = "int8_mask",
                        .kind = Kind::flag,
                        .doc = "Accepted as mergekit recipes have it; masks take no memory here.",
                        .optional = true});
  return parameters;
}

TaskVectorSettings task_vector_settings(const RuleInfo& info, const TaskVectorMethod& method,
                                        const Parameters& parameters) {
  const bool paper = parameters.has("dialect") && parameters.text("dialect") == "paper";
  TaskVectorSettings settings;
  settings.lambda = parameters.number("lambda");
  settings.model_scope = text_or(parameters, "scope", paper ? "model" : "tensor") == "model";
  settings.round_half_even =
      text_or(parameters, "kept", paper ? "round_half_even" : "floor") == "round_half_even";
  settings.rescale = parse_rescale(text_or(parameters, "rescale",
                                           !method.rescale ? "false"
                                           : paper         ? "inverse_density"
                                                           : "true"));
  if (method.trim) {
    settings.trim_density = parameters.has("trim_density") ? parameters.number("trim_density")
                            : paper                        ? 0.2
                                                           : 1.0;
  }

  const bool normalize = parameters.has("normalize")
                             ? parameters.flag("normalize")
                             : method.normalize || (paper && method.consensus);
  settings.merge = normalize ? Consensus::Merge::mean : Consensus::Merge::sum;
  if (method.consensus) {
    settings.elect =
        parameters.text("elect") == "count" ? Consensus::Elect::count : Consensus::Elect::sum;
    settings.majority = text_or(parameters, "zero_sign", paper ? "majority" : "plus") == "majority";
  }
  // Without a count or a majority there is nothing to look at the whole model for.
  settings.model_scope = settings.model_scope && (settings.majority || settings.trim_density < 1 ||
                                                  method.sparsify == Sparsify::magnitude ||
                                                  method.sparsify == Sparsify::outliers);
  if (method.consensus && parameters.has("disjoint")) {
    const std::string& disjoint = parameters.text("disjoint");
    settings.merge = disjoint == "mean"  ? Consensus::Merge::mean
                     : disjoint == "sum" ? Consensus::Merge::sum
                                         : Consensus::Merge::max;
    if (parameters.has("normalize") &&
        parameters.flag("normalize") != (settings.merge == Consensus::Merge::mean)) {
      throw InputError(
          "{}: normalize: {} contradicts disjoint: {}; expected only one of them (mean is what "
          "normalize: true does, sum and max do not divide)",
          info.name, parameters.flag("normalize"), disjoint);
    }
  }
  return settings;
}

}  // namespace amalgam::rules
