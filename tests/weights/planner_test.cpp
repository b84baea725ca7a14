// What a recipe decides before anything is read.
#include "tests/weights/planner_fixture.hpp"

namespace amalgam {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
  EXPECT_EQ(tensor(plan(rule, yaml + "dtype: bfloat16", {.type = DType::f64}), "x").output.dtype,
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
