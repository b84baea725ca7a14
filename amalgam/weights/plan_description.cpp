// What --dry-run shows of a plan, and a plan's output as a source without contents.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/planner.hpp"

namespace amalgam {
namespace {

std::string_view scope_word(Scope scope) {
  switch (scope) {
    case Scope::element:
      return "element";
    case Scope::row:
      return "row";
    case Scope::tensor:
      return "tensor";
    case Scope::layer:
      return "layer";
    case Scope::model:
      return "model";
  }
  return "";
}

// What the merged tensors have in common, or all that occur.
struct Summary {
  std::set<std::string> scopes;
  std::vector<std::string> passes;  // of the first merged tensor
  std::vector<std::string> models;
  std::size_t merged = 0;
  std::size_t copied = 0;
  std::uint64_t bytes = 0;
};

Summary summarise(const MergePlan& plan) {
  Summary summary;
  std::set<std::size_t> sources;
  for (const PlanTensor& tensor : plan.tensors) {
    summary.bytes += tensor.output.bytes;
    for (const PlanInput& member : tensor.members) sources.insert(member.source);
    if (tensor.base) sources.insert(tensor.base->source);
    if (tensor.action == PlanTensor::Action::copy) {
      ++summary.copied;
      continue;
    }
    if (tensor.action == PlanTensor::Action::scales) continue;
    if (summary.merged++ == 0) summary.passes = plan.rule->passes(tensor.parameters);
    summary.scopes.emplace(scope_word(plan.rule->scope(tensor.parameters)));
  }
  for (const std::size_t source : sources) {
    const std::string& label = plan.sources[source]->label();
    if (std::find(summary.models.begin(), summary.models.end(), label) == summary.models.end()) {
      summary.models.push_back(label);
    }
  }
  return summary;
}

std::string input_name(const MergePlan& plan, const PlanInput& input) {
  const TensorSource& source = *plan.sources[input.source];
  return source.label() + ": " + source.tensors()[input.tensor].name;
}

std::string shown_parameters(const PlanTensor& tensor) {
  std::vector<std::string> parts;
  const auto show = [&](const Parameters& parameters, std::string_view owner) {
    for (const auto& [name, value] : parameters.all()) {
      std::string text;
      if (const bool* flag = std::get_if<bool>(&value)) text = *flag ? "true" : "false";
      if (const double* number = std::get_if<double>(&value)) text = fmt::format("{:.6g}", *number);
      if (const auto* word = std::get_if<std::string>(&value)) text = *word;
      parts.push_back(fmt::format("{}{}={}", name, owner, text));
    }
  };
  show(tensor.parameters, "");
  for (std::size_t i = 0; i < tensor.member_parameters.size(); ++i) {
    show(tensor.member_parameters[i], fmt::format("[{}]", i + 1));
  }
  return join(parts, " ");
}

std::string shown_origin(const MergePlan& plan, const PlanTensor& tensor) {
  switch (tensor.action) {
    case PlanTensor::Action::copy:
      return "copy of " + input_name(plan, tensor.members.front());
    case PlanTensor::Action::scales:
      return "scales of " + tensor.scales_of;
    case PlanTensor::Action::merge:
      break;
  }
  return shown_parameters(tensor);
}

std::string_view action_word(PlanTensor::Action action) {
  switch (action) {
    case PlanTensor::Action::copy:
      return "copy";
    case PlanTensor::Action::scales:
      return "scales";
    case PlanTensor::Action::merge:
      break;
  }
  return "merge";
}

}  // namespace

PlannedOutput::PlannedOutput(std::string label, const MergePlan& plan) {
  set_tensors(std::move(label), outputs_of(plan));
}

// Both are sorted by name.
void PlannedOutput::read_bytes(std::size_t tensor, std::uint64_t offset,
                               std::span<std::byte> out) const {
  if (!made_) {
    throw Error("{}: tensor '{}' is planned, not written yet", label(), tensors().at(tensor).name);
  }
  made_->read_bytes(tensor, offset, out);
}

void PlannedOutput::will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const {
  if (made_) made_->will_need(tensor, offset, bytes);
}

std::vector<TensorInfo> outputs_of(const MergePlan& plan) {
  std::vector<TensorInfo> outputs;
  outputs.reserve(plan.tensors.size());
  for (const PlanTensor& tensor : plan.tensors) outputs.push_back(tensor.output);
  return outputs;
}

std::string describe_plan(const MergePlan& plan) {
  const Summary summary = summarise(plan);
  std::string text =
      fmt::format("method {}: {}\n", plan.rule->info().name, plan.rule->info().summary);
  for (const std::string& model : summary.models) text += fmt::format("  reads {}\n", model);
  if (summary.merged > 0) {
    text += fmt::format(
        "decides over each {}; passes over the inputs: {}\n",
        join(std::vector<std::string>(summary.scopes.begin(), summary.scopes.end()), ", "),
        join(summary.passes, "; "));
  }
  for (const PlanLayers& layers : plan.layers) {
    text += fmt::format("{} {} '{}*'\n", layers.origins.size(),
                        layers.origins.size() == 1 ? "layer" : "layers", layers.prefix);
  }
  text += fmt::format("{} {} merged, {} copied, {}\n", summary.merged,
                      summary.merged == 1 ? "tensor" : "tensors", summary.copied,
                      format_bytes(summary.bytes));
  for (const PlanTensor& tensor : plan.tensors) {
    text += fmt::format("  {} {} {} {}\n", tensor.output.name, dtype_name(tensor.output.dtype),
                        format_shape(tensor.output.shape), shown_origin(plan, tensor));
  }
  return text;
}

nlohmann::ordered_json plan_as_json(const MergePlan& plan) {
  const Summary summary = summarise(plan);
  nlohmann::ordered_json json = {
      {"method", plan.rule->info().name},
      {"scope", join(std::vector<std::string>(summary.scopes.begin(), summary.scopes.end()), ",")},
      {"passes", summary.passes},
      {"models", summary.models},
      {"layers", nlohmann::ordered_json::array()},
      {"merged", summary.merged},
      {"copied", summary.copied},
      {"bytes", summary.bytes},
      {"tensors", nlohmann::ordered_json::array()}};
  for (const PlanLayers& layers : plan.layers) {
    json["layers"].push_back({{"prefix", layers.prefix}, {"count", layers.origins.size()}});
  }
  for (const PlanTensor& tensor : plan.tensors) {
    nlohmann::ordered_json entry = {{"name", tensor.output.name},
                                    {"dtype", dtype_name(tensor.output.dtype)},
                                    {"shape", tensor.output.shape},
                                    {"action", action_word(tensor.action)},
                                    {"layer", nullptr},
                                    {"inputs", nlohmann::ordered_json::array()}};
    if (tensor.layer) entry["layer"] = *tensor.layer;
    for (const PlanInput& member : tensor.members) {
      entry["inputs"].push_back(input_name(plan, member));
    }
    if (tensor.base) entry["base"] = input_name(plan, *tensor.base);
    json["tensors"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace amalgam
