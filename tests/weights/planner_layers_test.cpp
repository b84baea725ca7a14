// Planning: layers, slices and modules, and parameters over them.
#include "tests/weights/planner_fixture.hpp"

namespace amalgam {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
  EXPECT_THAT(error(rule, yaml), HasSubstr("'n' has a tensor of no module: projector"));
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

}  // namespace
}  // namespace amalgam
