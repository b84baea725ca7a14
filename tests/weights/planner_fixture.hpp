#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/weights/padded_source.hpp"
#include "amalgam/weights/planner.hpp"

// What tests of planning share: models small enough to check by hand, and a fake rule. Planning
// knows rules only by what they say of themselves.
namespace amalgam {

class FakeRule final : public MergeRule {
 public:
  explicit FakeRule(RuleInfo its_info, Scope its_scope = Scope::tensor)
      : info_(std::move(its_info)), scope_(its_scope) {}
  const RuleInfo& info() const override { return info_; }
  Scope scope(const Parameters&) const override { return scope_; }
  std::vector<std::string> passes(const Parameters&) const override { return {"apply: nothing"}; }
  std::unique_ptr<UnitMerge> begin(const MergeUnit&) const override { return nullptr; }

 private:
  RuleInfo info_;
  Scope scope_;
};

inline RuleInfo averaging() {
  return {.name = "average",
          .summary = "a fake",
          .source = "none",
          .parameters = {{.name = "weight", .doc = "", .per_member = true},
                         {.name = "normalize",
                          .kind = ParameterInfo::Kind::flag,
                          .doc = "",
                          .default_value = true}},
          .common_submatrix = true};
}

inline RuleInfo task_vectors() {
  return {.name = "vectors",
          .summary = "a fake",
          .source = "none",
          .base = BaseUse::required,
          .parameters = {{.name = "weight", .doc = "", .per_member = true},
                         {.name = "density",
                          .doc = "",
                          .default_value = 1.0,
                          .per_member = true,
                          .low = 0,
                          .high = 1,
                          .low_open = true},
                         {.name = "rescale",
                          .kind = ParameterInfo::Kind::choice,
                          .doc = "",
                          .default_value = std::string("false"),
                          .choices = {"true", "false", "l2"}}}};
}

inline RuleInfo blend() {
  return {.name = "blend",
          .summary = "a fake",
          .source = "none",
          .base = BaseUse::required,
          .max_members = 1,
          .parameters = {{.name = "t", .doc = "", .low = 0, .high = 1}},
          .base_is_member = true,
          .common_submatrix = true};
}

inline RuleInfo pass() {
  return {.name = "passthrough",
          .summary = "a fake",
          .source = "none",
          .max_members = 1,
          .parameters = {{.name = "scale", .doc = "", .optional = true, .per_member = true}}};
}

inline MemoryTensor filled(const std::string& name, const Shape& shape, double value,
                           DType dtype = DType::f32) {
  return make_tensor(name, shape, std::vector<double>(element_count(shape, name), value), dtype);
}

// embed, `layers` layers of two tensors, norm, head; every value is `value`.
inline std::vector<MemoryTensor> transformer(int layers, double value,
                                             std::uint64_t vocabulary = 4) {
  std::vector<MemoryTensor> tensors{filled("model.embed_tokens.weight", {vocabulary, 2}, value),
                                    filled("model.norm.weight", {2}, value),
                                    filled("lm_head.weight", {vocabulary, 2}, value)};
  for (int i = 0; i < layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i);
    tensors.push_back(filled(layer + ".attn.weight", {2, 2}, value));
    tensors.push_back(filled(layer + ".mlp.weight", {2, 2}, value));
  }
  return tensors;
}

class PlannerTest : public ::testing::Test {
 protected:
  void model(const std::string& name, std::vector<MemoryTensor> tensors,
             const ModelConfig& config = {}) {
    models_.insert_or_assign(
        name, OpenedModel(std::make_shared<MemorySource>(name, std::move(tensors)), config));
  }

  MergePlan plan(const MergeRule& rule, const std::string& yaml, PlanOptions options = {}) {
    options.rule = &rule;
    recipe_ = parse_recipe("merge_method: fake\n" + yaml, "r.yml").front();
    return plan_merge(
        recipe_,
        [this](const ModelReference& reference) {
          const auto found = models_.find(reference.path);
          if (found == models_.end()) throw InputError("{}: no such model", reference.path);
          return found->second;
        },
        options);
  }

  std::string error(const FakeRule& rule, const std::string& yaml,
                    const PlanOptions& options = {}) {
    try {
      plan(rule, yaml, options);
    } catch (const InputError& thrown) {
      return thrown.what();
    }
    return "no error";
  }

  std::map<std::string, OpenedModel> models_;
  Recipe recipe_;
};

inline const PlanTensor& tensor(const MergePlan& plan, std::string_view name) {
  for (const PlanTensor& planned : plan.tensors) {
    if (planned.output.name == name) return planned;
  }
  throw Error("the plan has no tensor '{}'", name);
}

inline std::vector<std::string> names(const MergePlan& plan) {
  std::vector<std::string> all;
  for (const PlanTensor& planned : plan.tensors) all.push_back(planned.output.name);
  return all;
}

// "label:tensor" of members, and of the base behind a bar.
inline std::vector<std::string> inputs(const MergePlan& plan, std::string_view name) {
  const PlanTensor& planned = tensor(plan, name);
  std::vector<std::string> all;
  const auto show = [&](const PlanInput& input) {
    const TensorSource& source = *plan.sources[input.source];
    return source.label() + ":" + source.tensors()[input.tensor].name;
  };
  for (const PlanInput& member : planned.members) all.push_back(show(member));
  if (planned.base) all.push_back("|" + show(*planned.base));
  return all;
}

inline std::vector<double> values(const MergePlan& plan, const PlanInput& input) {
  const TensorSource& source = *plan.sources[input.source];
  return values_of(source, source.tensors()[input.tensor].name);
}

inline double weight(const MergePlan& plan, std::string_view name, std::size_t member = 0) {
  return tensor(plan, name).member_parameters.at(member).number("weight");
}

}  // namespace amalgam
