// Planning: models whose tensors, shapes or types differ.
#include "tests/weights/planner_fixture.hpp"

namespace amalgam {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

TEST_F(PlannerTest, AnAverageWithANegativeWeightIsMadeWithOneWarning) {
  model("a", transformer(2, 0));
  model("b", transformer(2, 1));
  const auto warnings = [&](const std::string& method, const std::string& weight) {
    const std::string base = method == "linear" ? "" : "base_model: a\n";
    ::testing::internal::CaptureStderr();
    plan(find_merge_rule(method), base +
                                      "models: [{model: a, parameters: {weight: 1.5}}, {model: b,"
                                      " parameters: {weight: " +
                                      weight + "}}]");
    return ::testing::internal::GetCapturedStderr();
  };
  const std::string warned = warnings("linear", "-0.5");
  EXPECT_THAT(warned, HasSubstr("'b' has the weight -0.5 in 'linear'"));
  EXPECT_EQ(std::ranges::count(warned, '\n'), 1);
  EXPECT_EQ(warnings("linear", "0"), "");
  // Forgetting a task is what task arithmetic is for.
  EXPECT_EQ(warnings("task_arithmetic", "-0.5"), "");
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

}  // namespace
}  // namespace amalgam
