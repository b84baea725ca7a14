// What a recipe decides before anything is read, in models small enough to check by hand. The rule
// is a fake: planning knows rules only by what they say of themselves.
#include "amalgam/weights/planner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/weights/padded_source.hpp"

namespace amalgam {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

RuleInfo averaging() {
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

RuleInfo task_vectors() {
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

RuleInfo blend() {
  return {.name = "blend",
          .summary = "a fake",
          .source = "none",
          .base = BaseUse::required,
          .max_members = 1,
          .parameters = {{.name = "t", .doc = "", .low = 0, .high = 1}},
          .base_is_member = true,
          .common_submatrix = true};
}

RuleInfo pass() {
  return {.name = "passthrough",
          .summary = "a fake",
          .source = "none",
          .max_members = 1,
          .parameters = {{.name = "scale", .doc = "", .optional = true, .per_member = true}}};
}

MemoryTensor filled(const std::string& name, const Shape& shape, double value,
                    DType dtype = DType::f32) {
  return make_tensor(name, shape, std::vector<double>(element_count(shape, name), value), dtype);
}

// embed, `layers` layers of two tensors, norm, head; every value is `value`.
std::vector<MemoryTensor> transformer(int layers, double value, std::uint64_t vocabulary = 4) {
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

  MergePlan plan(const FakeRule& rule, const std::string& yaml, PlanOptions options = {}) {
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

const PlanTensor& tensor(const MergePlan& plan, std::string_view name) {
  for (const PlanTensor& planned : plan.tensors) {
    if (planned.output.name == name) return planned;
  }
  throw Error("the plan has no tensor '{}'", name);
}

std::vector<std::string> names(const MergePlan& plan) {
  std::vector<std::string> all;
  for (const PlanTensor& planned : plan.tensors) all.push_back(planned.output.name);
  return all;
}

// "label:tensor" of members, and of the base behind a bar.
std::vector<std::string> inputs(const MergePlan& plan, std::string_view name) {
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

std::vector<double> values(const MergePlan& plan, const PlanInput& input) {
  const TensorSource& source = *plan.sources[input.source];
  return values_of(source, source.tensors()[input.tensor].name);
}

double weight(const MergePlan& plan, std::string_view name, std::size_t member = 0) {
  return tensor(plan, name).member_parameters.at(member).number("weight");
}

TEST_F(PlannerTest, EveryTensorOfTheFirstModelIsMergedInOrderOfNames) {
  model("a", transformer(2, 1));
  model("b", transformer(2, 2));
  const FakeRule rule(averaging());
  const MergePlan made = plan(
      rule, "models: [{model: a}, {model: b, parameters: {weight: 3}}]\nparameters: {weight: 2}");
  EXPECT_EQ(made.rule, &rule);
  EXPECT_THAT(names(made), ElementsAre("lm_head.weight", "model.embed_tokens.weight",
                                       "model.layers.0.attn.weight", "model.layers.0.mlp.weight",
                                       "model.layers.1.attn.weight", "model.layers.1.mlp.weight",
                                       "model.norm.weight"));
  EXPECT_THAT(inputs(made, "model.norm.weight"),
              ElementsAre("a:model.norm.weight", "b:model.norm.weight"));
  EXPECT_EQ(weight(made, "model.norm.weight", 0), 2);
  EXPECT_EQ(weight(made, "model.norm.weight", 1), 3);
  EXPECT_TRUE(tensor(made, "model.norm.weight").parameters.flag("normalize"));
  EXPECT_EQ(tensor(made, "model.layers.1.mlp.weight").layer, 1U);
  EXPECT_FALSE(tensor(made, "model.norm.weight").layer.has_value());
  ASSERT_EQ(made.layers.size(), 1U);
  EXPECT_THAT(made.layers[0].origins, ElementsAre(0, 1));
}

// Section 2: [0, 0.5, 1] over L = 5 gives 0, .25, .5, .75, 1; outside the layers t = 0.
TEST_F(PlannerTest, GradientsRunOverTheLayersAndAreZeroOutside) {
  model("a", transformer(5, 1));
  const MergePlan made =
      plan(FakeRule(averaging()), "models: [{model: a, parameters: {weight: [0, 0.5, 1]}}]");
  for (int k = 0; k < 5; ++k) {
    EXPECT_EQ(weight(made, "model.layers." + std::to_string(k) + ".mlp.weight"), 0.25 * k);
  }
  EXPECT_EQ(weight(made, "model.embed_tokens.weight"), 0);
  EXPECT_EQ(weight(made, "lm_head.weight"), 0);
}

TEST_F(PlannerTest, AGradientOverOneLayerIsAtItsEnd) {
  model("a", transformer(1, 1), {.layer_counts = {1}, .tied_embeddings = false});
  const MergePlan made =
      plan(FakeRule(averaging()), "models: [{model: a, parameters: {weight: [0, 1]}}]");
  EXPECT_EQ(weight(made, "model.layers.0.mlp.weight"), 1);
}

TEST_F(PlannerTest, EncoderAndDecoderHaveGradientsOfTheirOwn) {
  std::vector<MemoryTensor> tensors;
  for (int i = 0; i < 3; ++i) {
    for (const char* part : {"a", "b"}) {
      tensors.push_back(filled(fmt::format("encoder.block.{}.{}", i, part), {1}, 0));
      if (i < 2) tensors.push_back(filled(fmt::format("decoder.block.{}.{}", i, part), {1}, 0));
    }
  }
  model("m", std::move(tensors));
  const MergePlan made =
      plan(FakeRule(averaging()), "models: [{model: m, parameters: {weight: [0, 1]}}]");
  EXPECT_EQ(weight(made, "encoder.block.1.a"), 0.5);
  EXPECT_EQ(weight(made, "decoder.block.1.a"), 1);
  // Layers of different stacks are different layers.
  EXPECT_NE(tensor(made, "encoder.block.1.a").layer, tensor(made, "decoder.block.1.a").layer);
}

TEST_F(PlannerTest, NearerLevelsWinAndUnmatchedFiltersFallThrough) {
  model("a", transformer(2, 1));
  const MergePlan made = plan(FakeRule(averaging()), R"(
slices:
  - sources:
      - model: a
        layer_range: [0, 1]
        parameters: {weight: [{filter: mlp, value: 1}]}
      - {model: a, layer_range: [1, 2]}
    parameters: {weight: [{filter: attn, value: 2}]}
  - sources: [{model: a, layer_range: [1, 2]}, {model: a, layer_range: [0, 1]}]
parameters: {weight: 3}
)");
  EXPECT_EQ(weight(made, "model.layers.0.mlp.weight", 0), 1);   // source
  EXPECT_EQ(weight(made, "model.layers.0.mlp.weight", 1), 3);   // document
  EXPECT_EQ(weight(made, "model.layers.0.attn.weight", 0), 2);  // slice
  EXPECT_EQ(weight(made, "model.layers.1.attn.weight", 0), 3);
}

TEST_F(PlannerTest, ModuleParametersStandBetweenSliceAndDocument) {
  model("a", transformer(2, 1));
  const MergePlan made = plan(FakeRule(averaging()), R"(
parameters: {weight: 4, normalize: false}
modules:
  layers:
    slices: [{sources: [{model: a, layer_range: [0, 2]}], parameters: {weight: [{filter: mlp, value: 1}]}}]
    parameters: {weight: 2}
  default:
    models: [{model: a}]
)");
  EXPECT_EQ(weight(made, "model.layers.1.mlp.weight"), 1);
  EXPECT_EQ(weight(made, "model.layers.1.attn.weight"), 2);
  EXPECT_EQ(weight(made, "model.norm.weight"), 4);
  EXPECT_FALSE(tensor(made, "model.norm.weight").parameters.flag("normalize"));
}

TEST_F(PlannerTest, MemberFiltersSeeTheMembersOwnNameAndRuleFiltersTheOutputs) {
  model("a", transformer(3, 1));
  const MergePlan made = plan(FakeRule(averaging()), R"(
slices:
  - sources: [{model: a, layer_range: [2, 3]}]
    parameters:
      weight: [{filter: layers.2., value: 7}, {value: 1}]
      normalize: [{filter: layers.0., value: false}, {value: true}]
)");
  EXPECT_EQ(weight(made, "model.layers.0.mlp.weight"), 7);
  EXPECT_FALSE(tensor(made, "model.layers.0.mlp.weight").parameters.flag("normalize"));
}

TEST_F(PlannerTest, SlicesRenumberLayersAndTakeTheEndsFromFirstAndLast) {
  model("a", transformer(4, 1));
  model("b", transformer(4, 2));
  const MergePlan made = plan(FakeRule(pass()), R"(
slices:
  - sources: [{model: a, layer_range: [0, 3]}]
  - sources: [{model: b, layer_range: [1, 4], parameters: {scale: [{filter: mlp, value: 0.5}]}}]
)");
  EXPECT_EQ(made.tensors.size(), 3U + 2 * 6);
  EXPECT_THAT(inputs(made, "model.layers.2.mlp.weight"),
              ElementsAre("a:model.layers.2.mlp.weight"));
  EXPECT_THAT(inputs(made, "model.layers.3.mlp.weight"),
              ElementsAre("b:model.layers.1.mlp.weight"));
  EXPECT_THAT(inputs(made, "model.layers.5.attn.weight"),
              ElementsAre("b:model.layers.3.attn.weight"));
  EXPECT_THAT(inputs(made, "model.embed_tokens.weight"),
              ElementsAre("a:model.embed_tokens.weight"));
  EXPECT_THAT(inputs(made, "model.norm.weight"), ElementsAre("b:model.norm.weight"));
  EXPECT_THAT(inputs(made, "lm_head.weight"), ElementsAre("b:lm_head.weight"));
  ASSERT_EQ(made.layers.size(), 1U);
  EXPECT_EQ(made.layers[0].old_count, 4U);
  EXPECT_THAT(made.layers[0].origins, ElementsAre(0, 1, 2, 1, 2, 3));
  EXPECT_EQ(tensor(made, "model.layers.3.attn.weight").action, PlanTensor::Action::copy);
  EXPECT_EQ(tensor(made, "model.layers.3.mlp.weight").action, PlanTensor::Action::merge);
}

TEST_F(PlannerTest, PassthroughCopiesOnlyWhatKeepsItsBytes) {
  model("a", {filled("x", {2}, 1, DType::bf16), filled("y", {2}, 1)});
  const FakeRule rule(pass());
  EXPECT_EQ(tensor(plan(rule, "models: [{model: a}]"), "x").action, PlanTensor::Action::copy);
  EXPECT_EQ(tensor(plan(rule, "models: [{model: a}]\nparameters: {scale: 1}"), "x").action,
            PlanTensor::Action::copy);
  const MergePlan narrowed = plan(rule, "models: [{model: a}]\ndtype: bfloat16");
  EXPECT_EQ(tensor(narrowed, "x").action, PlanTensor::Action::copy);
  EXPECT_EQ(tensor(narrowed, "y").action, PlanTensor::Action::merge);
  EXPECT_EQ(tensor(narrowed, "y").output.dtype, DType::bf16);
}

TEST_F(PlannerTest, OutputTypeIsTheBasesUnlessSaidOtherwise) {
  model("base", {filled("x", {2}, 0, DType::f16)});
  model("a", {filled("x", {2}, 1, DType::f32)});
  const FakeRule rule(task_vectors());
  const std::string yaml = "base_model: base\nmodels: [{model: a}]\nparameters: {weight: 1}\n";
  EXPECT_EQ(tensor(plan(rule, yaml), "x").output.dtype, DType::f16);
  EXPECT_EQ(tensor(plan(rule, yaml + "dtype: bfloat16"), "x").output.dtype, DType::bf16);
  EXPECT_EQ(tensor(plan(rule, yaml + "dtype: bfloat16\nout_dtype: float32"), "x").output.dtype,
            DType::f32);
  EXPECT_EQ(tensor(plan(rule, yaml + "dtype: bfloat16", {.dtype = DType::f64}), "x").output.dtype,
            DType::f64);
  // A base that the rule does not use still gives the type.
  EXPECT_EQ(tensor(plan(FakeRule(averaging()), yaml), "x").output.dtype, DType::f16);
}

TEST_F(PlannerTest, QuantisedTypesAreKeptOnlyWhereTheyCanBeWritten) {
  model("a", {filled("x", {2, 32}, 1, DType::q8_0)});
  const FakeRule rule(averaging());
  const std::string yaml = "models: [{model: a}]\nparameters: {weight: 1}\n";
  EXPECT_THAT(error(rule, yaml), AllOf(HasSubstr("tensor 'x' is Q8_0"), HasSubstr("--dtype")));
  EXPECT_EQ(tensor(plan(rule, yaml, {.quantised_output = true}), "x").output.dtype, DType::q8_0);
  EXPECT_EQ(tensor(plan(rule, yaml + "dtype: float16"), "x").output.dtype, DType::f16);
}

TEST_F(PlannerTest, TheBaseOfTaskVectorsIsNoMemberEvenIfListed) {
  model("base", transformer(2, 0));
  model("a", transformer(2, 1));
  const FakeRule rule(task_vectors());
  for (const char* models : {"[{model: base}, {model: a, parameters: {weight: 2}}]",
                             "[{model: a, parameters: {weight: 2}}]"}) {
    const MergePlan made = plan(rule, fmt::format("base_model: base\nmodels: {}\n", models));
    EXPECT_THAT(inputs(made, "model.norm.weight"),
                ElementsAre("a:model.norm.weight", "|base:model.norm.weight"));
    EXPECT_EQ(tensor(made, "model.norm.weight").member_parameters.size(), 1U);
    EXPECT_EQ(weight(made, "model.norm.weight"), 2);
  }
}

TEST_F(PlannerTest, ABlendTakesTheBaseAsOneOfItsTwo) {
  model("a", transformer(2, 0));
  model("b", transformer(2, 1));
  const FakeRule rule(blend());
  for (const char* models :
       {"[{model: a}, {model: b}]", "[{model: b}, {model: a}]", "[{model: b}]"}) {
    const MergePlan made =
        plan(rule, fmt::format("base_model: a\nmodels: {}\nparameters: {{t: 0.5}}\n", models));
    EXPECT_THAT(inputs(made, "lm_head.weight"),
                ElementsAre("b:lm_head.weight", "|a:lm_head.weight"));
  }
  EXPECT_THAT(error(rule, "models: [{model: a}, {model: b}]\nparameters: {t: 0.5}"),
              HasSubstr("r.yml:1: method 'blend' needs a base model"));
  EXPECT_THAT(error(rule, "base_model: a\nmodels: [{model: a}]\nparameters: {t: 0.5}"),
              HasSubstr("method 'blend' merges exactly 1 model besides the base 'a'; found 0"));
  model("c", transformer(2, 1));
  EXPECT_THAT(error(rule, "base_model: a\nmodels: [{model: b}, {model: c}]\nparameters: {t: 0.5}"),
              HasSubstr("merges exactly 1 model besides the base 'a'; found 2: b, c"));
}

TEST_F(PlannerTest, MemberCountsAreChecked) {
  model("a", transformer(1, 0));
  model("b", transformer(1, 0));
  RuleInfo many = averaging();
  many.min_members = 3;
  EXPECT_THAT(error(FakeRule(many), "models: [{model: a}, {model: b}]\nparameters: {weight: 1}"),
              HasSubstr("method 'average' merges at least 3 models; found 2: a, b"));
  many.min_members = 0;
  many.max_members = 1;
  EXPECT_THAT(error(FakeRule(many), "models: [{model: a}, {model: b}]\nparameters: {weight: 1}"),
              HasSubstr("merges at most 1 model; found 2"));
}

TEST_F(PlannerTest, ParametersAreCheckedByNameKindAndRange) {
  model("base", transformer(1, 0));
  model("a", transformer(1, 0));
  const FakeRule rule(task_vectors());
  const auto with = [&](const std::string& parameters) {
    return error(rule,
                 "base_model: base\nmodels:\n- model: a\n  parameters: {" + parameters + "}\n");
  };
  EXPECT_THAT(with("weight: 1"), "no error");
  EXPECT_THAT(with("weight: 1, densty: 1"),
              AllOf(HasSubstr("r.yml:5: method 'vectors' has no parameter 'densty'"),
                    HasSubstr("did you mean 'density'?")));
  for (const char* value : {"0", "1.5", "-0.5", "[0.5, 0]", "[{filter: mlp, value: 2}]"}) {
    EXPECT_THAT(with(fmt::format("weight: 1, density: {}", value)),
                HasSubstr("expected a number in (0, 1]"))
        << value;
  }
  EXPECT_THAT(with("weight: many"), HasSubstr("parameter 'weight' of method 'vectors' is 'many'"));
  EXPECT_THAT(with("weight: true"), HasSubstr("is true; expected a number"));
  EXPECT_THAT(with("weight: 1, rescale: l2"),
              HasSubstr("parameter 'rescale' of method 'vectors' holds for the whole merge"));
  const std::string rest = "base_model: base\nmodels: [{model: a}]\n";
  EXPECT_THAT(error(rule, rest + "parameters: {weight: 1, rescale: l3}"),
              HasSubstr("is 'l3'; expected one of true, false, l2"));
  EXPECT_EQ(tensor(plan(rule, rest + "parameters: {weight: 1, rescale: true}"), "lm_head.weight")
                .parameters.text("rescale"),
            "true");
  EXPECT_EQ(error(rule, rest + "parameters: {weight: 1, int8_mask: true}"), "no error");
}

TEST_F(PlannerTest, AMissingParameterNamesModelAndTensor) {
  model("a", transformer(1, 0));
  model("b", transformer(1, 0));
  EXPECT_THAT(error(FakeRule(averaging()),
                    "models: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: "
                    "[{filter: model, value: 1}]}}]"),
              HasSubstr("r.yml: parameter 'weight' of method 'average' has no value for model 'b', "
                        "tensor 'lm_head.weight'"));
  EXPECT_THAT(error(FakeRule(blend()), "base_model: a\nmodels: [{model: b}]"),
              HasSubstr("parameter 't' of method 'blend' has no value for tensor 'lm_head.weight'; "
                        "expected a number in [0, 1]"));
}

TEST_F(PlannerTest, MissingTensorsAreListedAndExtraOnesPassedOver) {
  model("a", transformer(7, 0));
  std::vector<MemoryTensor> fewer = transformer(1, 0);
  fewer.push_back(filled("extra", {1}, 0));
  model("b", std::move(fewer));
  const FakeRule rule(averaging());
  EXPECT_THAT(error(rule, "models: [{model: a}, {model: b}]\nparameters: {weight: 1}"),
              AllOf(HasSubstr("b: 12 tensors that 'a' has are missing: model.layers.1.attn.weight"),
                    HasSubstr("... (2 more)")));
  model("c", transformer(1, 0));
  const MergePlan made = plan(rule, "models: [{model: c}, {model: b}]\nparameters: {weight: 1}");
  EXPECT_EQ(made.tensors.size(), 5U);
}

TEST_F(PlannerTest, AHeadThatAModelLeavesOutIsItsTiedEmbedding) {
  model("a", transformer(2, 0));
  std::vector<MemoryTensor> tied = transformer(2, 1);
  std::erase_if(tied, [](const MemoryTensor& t) { return t.info.name == "lm_head.weight"; });
  model("b", tied, {.layer_counts = {}, .tied_embeddings = true});
  const MergePlan made =
      plan(FakeRule(averaging()), "models: [{model: a}, {model: b}]\nparameters: {weight: 1}");
  EXPECT_THAT(inputs(made, "lm_head.weight"),
              ElementsAre("a:lm_head.weight", "b:model.embed_tokens.weight"));
  model("c", tied);
  EXPECT_THAT(
      error(FakeRule(averaging()), "models: [{model: a}, {model: c}]\nparameters: {weight: 1}"),
      HasSubstr("1 tensor that 'a' has is missing: lm_head.weight"));
}

TEST_F(PlannerTest, AHeadThatOnlyAMemberHasIsReportedThoughTheFirstModelsIsTied) {
  std::vector<MemoryTensor> tied = transformer(1, 0);
  std::erase_if(tied, [](const MemoryTensor& t) { return t.info.name == "lm_head.weight"; });
  model("tied", tied, {.layer_counts = {}, .tied_embeddings = true});
  model("untied", transformer(1, 1));
  model("also tied", transformer(1, 1), {.layer_counts = {}, .tied_embeddings = true});
  const FakeRule rule(averaging());
  const auto warnings = [&](const std::string& other) {
    ::testing::internal::CaptureStderr();
    plan(rule, "models: [{model: tied}, {model: " + other + "}]\nparameters: {weight: 1}");
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(warnings("untied"), HasSubstr("lm_head.weight"));
  EXPECT_EQ(warnings("also tied"), "");
}

TEST_F(PlannerTest, TiedTensorsCountOnceWhereTheModelIsLookedAtAsAWhole) {
  const ModelConfig config{.layer_counts = {}, .tied_embeddings = true};
  model("a", transformer(2, 0), config);
  model("b", transformer(2, 1), config);
  const std::string yaml = "models: [{model: a}, {model: b}]\nparameters: {weight: 1}";
  const MergePlan whole = plan(FakeRule(averaging(), Scope::model), yaml);
  // The first in order of names is the head.
  EXPECT_FALSE(tensor(whole, "lm_head.weight").tied);
  EXPECT_TRUE(tensor(whole, "model.embed_tokens.weight").tied);
  EXPECT_FALSE(tensor(whole, "model.norm.weight").tied);
  const MergePlan apart = plan(FakeRule(averaging(), Scope::tensor), yaml);
  EXPECT_FALSE(tensor(apart, "model.embed_tokens.weight").tied);
  model("b", transformer(2, 1));  // tied in one of two: two different results
  EXPECT_FALSE(
      tensor(plan(FakeRule(averaging(), Scope::model), yaml), "model.embed_tokens.weight").tied);
}

TEST_F(PlannerTest, IntegersAreCopiedFromTheBase) {
  const auto with = [](double value, DType dtype = DType::i64) {
    return std::vector<MemoryTensor>{filled("ids", {3}, value, dtype), filled("w", {2}, value)};
  };
  model("base", with(1));
  model("a", with(2));
  const MergePlan made = plan(FakeRule(task_vectors()),
                              "base_model: base\nmodels: [{model: a}]\nparameters: {weight: 1}\n"
                              "dtype: bfloat16");
  EXPECT_EQ(tensor(made, "ids").action, PlanTensor::Action::copy);
  EXPECT_EQ(tensor(made, "ids").output.dtype, DType::i64);
  EXPECT_THAT(inputs(made, "ids"), ElementsAre("base:ids"));
  model("f", with(2, DType::f32));
  EXPECT_THAT(
      error(FakeRule(averaging()), "models: [{model: a}, {model: f}]\nparameters: {weight: 1}"),
      HasSubstr("f: tensor 'ids' is F32, but a has I64"));
}

TEST_F(PlannerTest, EmptyTensorsAreCopied) {
  model("a", {filled("x", {0, 3}, 0), filled("y", {1}, 0)});
  const MergePlan made =
      plan(FakeRule(averaging()), "models: [{model: a}]\nparameters: {weight: 1}\ndtype: float16");
  EXPECT_EQ(tensor(made, "x").action, PlanTensor::Action::copy);
  EXPECT_EQ(tensor(made, "x").output.dtype, DType::f16);
}

TEST_F(PlannerTest, DifferentShapesNameBothFiles) {
  model("a", {filled("model.layers.w", {2, 3}, 0)});
  model("b", {filled("model.layers.w", {2, 4}, 0)});
  const std::string yaml = "models: [{model: a}, {model: b}]\nparameters: {weight: 1}";
  const FakeRule rule(averaging());
  EXPECT_THAT(error(rule, yaml),
              AllOf(HasSubstr("b: tensor 'model.layers.w' has shape [2, 4], but a has [2, 3]"),
                    HasSubstr("--allow-shape-mismatch")));
  const MergePlan made = plan(rule, yaml, {.allow_shape_mismatch = true});
  EXPECT_THAT(inputs(made, "model.layers.w"), ElementsAre("a:model.layers.w"));
  EXPECT_EQ(tensor(made, "model.layers.w").member_parameters.size(), 1U);
  EXPECT_THAT(error(FakeRule(averaging(), Scope::model), yaml, {.allow_shape_mismatch = true}),
              HasSubstr("looks at all tensors of a model together"));
  // With no member left, the base stays.
  const MergePlan kept =
      plan(FakeRule(task_vectors()), "base_model: a\nmodels: [{model: b}]\nparameters: {weight: 1}",
           {.allow_shape_mismatch = true});
  EXPECT_EQ(tensor(kept, "model.layers.w").action, PlanTensor::Action::copy);
  EXPECT_THAT(inputs(kept, "model.layers.w"), ElementsAre("a:model.layers.w"));
}

TEST_F(PlannerTest, VocabulariesMeetOnTheirCommonSubmatrixWhereTheRuleSaysSo) {
  model("a", transformer(2, 1, 4));
  model("b", transformer(2, 2, 3));
  const MergePlan made =
      plan(FakeRule(averaging()), "models: [{model: a}, {model: b}]\nparameters: {weight: 1}");
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    const PlanTensor& planned = tensor(made, name);
    EXPECT_EQ(planned.output.shape, (Shape{3, 2})) << name;
    EXPECT_THAT(values(made, planned.members[0]), ElementsAre(1, 1, 1, 1, 1, 1));
    EXPECT_THAT(values(made, planned.members[1]), ElementsAre(2, 2, 2, 2, 2, 2));
  }
  // A base that is one of the two is cut as well.
  const MergePlan blended =
      plan(FakeRule(blend()), "base_model: a\nmodels: [{model: b}]\nparameters: {t: 0.5}");
  EXPECT_EQ(values(blended, *tensor(blended, "lm_head.weight").base).size(), 6U);
}

TEST_F(PlannerTest, TaskVectorsOfAnotherVocabularyAreZeroWhereTheBaseHasNoCounterpart) {
  model("base", {make_tensor("wte.weight", {3, 2}, {1, 2, 3, 4, 5, 6})});
  model("small", {make_tensor("wte.weight", {2, 2}, {10, 20, 30, 40}, DType::bf16)});
  model("large", {make_tensor("wte.weight", {4, 3}, {1, 1, 9, 1, 1, 9, 1, 1, 9, 9, 9, 9})});
  const MergePlan made =
      plan(FakeRule(task_vectors()),
           "base_model: base\nmodels: [{model: small}, {model: large}]\nparameters: {weight: 1}");
  const PlanTensor& planned = tensor(made, "wte.weight");
  EXPECT_EQ(planned.output.shape, (Shape{3, 2}));
  EXPECT_THAT(values(made, planned.members[0]), ElementsAre(10, 20, 30, 40, 5, 6));
  EXPECT_THAT(values(made, planned.members[1]), ElementsAre(1, 1, 1, 1, 1, 1));
  // Raw bytes, as the engine reads them, from an offset inside.
  const TensorSource& padded = *made.sources[planned.members[0].source];
  std::vector<std::byte> bytes(8);
  padded.read_bytes(0, 12, bytes);
  float pair[2];
  std::memcpy(pair, bytes.data(), 8);
  EXPECT_EQ(pair[0], 40);
  EXPECT_EQ(pair[1], 5);
  // Inside the layers nothing is padded.
  model("base", {filled("h.0.wte.weight", {3, 2}, 0), filled("h.1.wte.weight", {3, 2}, 0)});
  model("small", {filled("h.0.wte.weight", {2, 2}, 0), filled("h.1.wte.weight", {2, 2}, 0)});
  EXPECT_THAT(error(FakeRule(task_vectors()),
                    "base_model: base\nmodels: [{model: small}]\nparameters: {weight: 1}"),
              HasSubstr("expected one shape"));
}

TEST_F(PlannerTest, PathParametersBringAnAuxiliaryTensorPerMember) {
  RuleInfo info = averaging();
  info.parameters.push_back({.name = "fisher",
                             .kind = ParameterInfo::Kind::path,
                             .doc = "",
                             .optional = true,
                             .per_member = true});
  const FakeRule rule(info);
  model("a", transformer(2, 1));
  model("b", transformer(2, 2));
  model("fa", transformer(2, 3));
  model("fb", transformer(2, 4));
  const auto with = [&](const std::string& of_b) {
    return "models: [{model: a, parameters: {fisher: fa}}, {model: b, parameters: {" + of_b +
           "}}]\nparameters: {weight: 1}";
  };
  const MergePlan made = plan(rule, with("fisher: fb"));
  const PlanTensor& planned = tensor(made, "model.norm.weight");
  ASSERT_EQ(planned.auxiliary.size(), 2U);
  EXPECT_THAT(values(made, planned.auxiliary[0]), ElementsAre(3, 3));
  EXPECT_THAT(values(made, planned.auxiliary[1]), ElementsAre(4, 4));
  EXPECT_EQ(planned.member_parameters[1].text("fisher"), "fb");
  EXPECT_THAT(tensor(plan(rule, "models: [{model: a}]\nparameters: {weight: 1}"), "lm_head.weight")
                  .auxiliary,
              IsEmpty());
  EXPECT_THAT(error(rule, with("")), HasSubstr("some models have 'fisher' and others have none"));
  EXPECT_THAT(error(rule, with("fisher: nowhere")), HasSubstr("nowhere: no such model"));
  EXPECT_THAT(error(rule, with("fisher: [fa, fb]")), HasSubstr("names one checkpoint per model"));
  model("fb", transformer(1, 4));
  EXPECT_THAT(
      error(rule, with("fisher: fb")),
      HasSubstr("fb: no tensor 'model.layers.1.attn.weight'; the fisher checkpoint of 'b'"));
  model("fb", transformer(2, 4, 5));
  EXPECT_THAT(error(rule, with("fisher: fb")),
              HasSubstr("fb: tensor 'lm_head.weight' is F32 [5, 2]"));
}

TEST_F(PlannerTest, ModulesTakeTheTensorsUnderTheirNames) {
  std::vector<MemoryTensor> tensors;
  for (const char* part : {"model.vision", "text"}) {
    for (int i = 0; i < 2; ++i) {
      tensors.push_back(filled(fmt::format("{}.layers.{}.a", part, i), {1}, 0));
      tensors.push_back(filled(fmt::format("{}.layers.{}.b", part, i), {1}, 0));
    }
  }
  tensors.push_back(filled("text.layers.special", {1}, 0));
  tensors.push_back(filled("projector", {1}, 0));
  model("m", tensors);
  model("n", std::move(tensors));
  const FakeRule rule(averaging());
  const std::string yaml = R"(
parameters: {weight: 1}
modules:
  vision: {models: [{model: n}]}
  text:
    slices:
      - sources: [{model: m, layer_range: [1, 2]}]
      - sources: [{model: m, layer_range: [0, 2]}]
)";
  const MergePlan made = plan(rule, "base_model: m" + yaml);
  EXPECT_THAT(inputs(made, "model.vision.layers.1.b"), ElementsAre("n:model.vision.layers.1.b"));
  EXPECT_THAT(inputs(made, "text.layers.0.a"), ElementsAre("m:text.layers.1.a"));
  EXPECT_THAT(inputs(made, "text.layers.2.a"), ElementsAre("m:text.layers.1.a"));
  EXPECT_EQ(tensor(made, "projector").action, PlanTensor::Action::copy);
  EXPECT_THAT(error(rule, yaml), HasSubstr("1 tensors of 'n' belong to no module: projector"));
  EXPECT_THAT(error(rule, "parameters: {weight: 1}\nmodules: {audio: {models: [{model: m}]}}"),
              HasSubstr("module 'audio': no tensor of 'm' has a name that begins with 'audio.'"));
}

TEST_F(PlannerTest, SlicesThatDoNotFitTheModelAreRefused) {
  model("a", transformer(4, 0));
  model("flat", {filled("w", {1}, 0)});
  model("gaps", {filled("0.weight", {1}, 0), filled("2.weight", {1}, 0)});
  std::vector<MemoryTensor> two = transformer(2, 0);
  for (int i = 0; i < 3; ++i) {
    two.push_back(filled(fmt::format("encoder.{}.a", i), {1}, 0));
    two.push_back(filled(fmt::format("encoder.{}.b", i), {1}, 0));
  }
  model("two", std::move(two));
  const FakeRule rule(pass());
  const auto slice = [&](std::string_view name, std::string_view range) {
    return error(rule, fmt::format("slices:\n- sources:\n  - {{model: {}, layer_range: {}}}\n",
                                   name, range));
  };
  EXPECT_THAT(slice("a", "[0, 5]"),
              HasSubstr("r.yml:4: layer_range [0, 5] goes beyond the 4 layers of 'a'"));
  EXPECT_THAT(slice("flat", "[0, 1]"), HasSubstr("'flat' has no numbered layers"));
  EXPECT_THAT(slice("gaps", "[0, 1]"), HasSubstr("are not numbered 0, 1, 2"));
  EXPECT_THAT(slice("two", "[0, 1]"),
              AllOf(HasSubstr("several stacks of layers: encoder.* (3 layers), model.layers.* (2"),
                    HasSubstr("'modules'")));
  EXPECT_EQ(slice("a", "[3, 4]"), "no error");
}

TEST_F(PlannerTest, ABaseThatSlicesDoNotListTakesTheFirstSourcesLayers) {
  model("base", transformer(4, 0));
  model("a", transformer(4, 1));
  const MergePlan made = plan(FakeRule(task_vectors()), R"(
base_model: base
slices: [{sources: [{model: a, layer_range: [2, 4]}]}]
parameters: {weight: [0, 1]}
)");
  EXPECT_THAT(inputs(made, "model.layers.0.mlp.weight"),
              ElementsAre("a:model.layers.2.mlp.weight", "|base:model.layers.2.mlp.weight"));
  EXPECT_EQ(weight(made, "model.layers.0.mlp.weight"), 0);
  EXPECT_EQ(weight(made, "model.layers.1.mlp.weight"), 1);
}

TEST_F(PlannerTest, AdaptersAreNotSilentlyLeftOut) {
  model("a", transformer(1, 0));
  EXPECT_THAT(error(FakeRule(pass()), "models: [{model: a+lora}]"),
              HasSubstr("r.yml: 'a+lora' asks for the adapter 'lora'"));
}

TEST_F(PlannerTest, AnUnknownMethodGetsTheNearestName) {
  const Recipe recipe = parse_recipe("merge_method: linaer\nmodels: [{model: a}]", "r.yml").front();
  try {
    plan_merge(recipe, [](const ModelReference&) -> OpenedModel { throw Error("not reached"); });
    FAIL();
  } catch (const InputError& thrown) {
    EXPECT_THAT(thrown.what(), AllOf(HasSubstr("r.yml: no merge method 'linaer'"),
                                     HasSubstr("did you mean 'linear'?")));
  }
}

TEST_F(PlannerTest, APlansOutputCanBePlannedWithBeforeItExists) {
  model("a", transformer(2, 0));
  const FakeRule rule(averaging());
  const MergePlan first = plan(rule, "models: [{model: a}]\nparameters: {weight: 1}");
  models_.insert_or_assign("stage", OpenedModel(std::make_shared<PlannedOutput>("stage", first)));
  const MergePlan second =
      plan(rule, "models: [{model: stage}, {model: a}]\nparameters: {weight: 1}");
  EXPECT_EQ(names(second), names(first));
  std::vector<std::byte> bytes(4);
  EXPECT_THROW(second.sources[0]->read_bytes(0, 0, bytes), Error);
}

TEST_F(PlannerTest, DescriptionShowsMethodPassesAndTensors) {
  model("a", transformer(2, 0));
  const FakeRule rule(averaging());
  const MergePlan made = plan(rule, "models: [{model: a}]\nparameters: {weight: 1}");
  EXPECT_THAT(describe_plan(made),
              AllOf(HasSubstr("method average"), HasSubstr("reads a"), HasSubstr("apply: nothing"),
                    HasSubstr("2 layers 'model.layers.*'"), HasSubstr("7 tensors merged, 0 copied"),
                    HasSubstr("lm_head.weight F32 [4, 2] normalize=true weight[1]=1")));
  const nlohmann::ordered_json json = plan_as_json(made);
  EXPECT_EQ(json["method"], "average");
  EXPECT_EQ(json["merged"], 7);
  EXPECT_EQ(json["layers"][0]["count"], 2);
  EXPECT_EQ(json["tensors"][2]["name"], "model.layers.0.attn.weight");
  EXPECT_EQ(json["tensors"][2]["layer"], 0);
  EXPECT_EQ(json["tensors"][2]["inputs"][0], "a: model.layers.0.attn.weight");
}

}  // namespace
}  // namespace amalgam
