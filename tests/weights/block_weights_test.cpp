#include "amalgam/weights/block_weights.hpp"

#include <gmock/gmock.h>

#include "amalgam/weights/recipe_arguments.hpp"
#include "tests/checkpoint/diffusion_models.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/weights/planner_fixture.hpp"

namespace amalgam {
namespace {

// 0, 1, 2, ...: the number of a block is its value.
std::string numbers(int count, int first = 0) {
  std::string text = "[";
  for (int i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + std::to_string(first + i);
  return text + "]";
}

ParameterSetting setting(const std::string& yaml) {
  return parse_recipe("merge_method: linear\nmodels: [{model: a}]\nparameters:\n  w: " + yaml, "r")
      .front()
      .parameters.at("w");
}

std::optional<double> value(const ParameterSetting& from, std::string_view name) {
  const auto found = from.evaluate(name, 0);
  return found ? std::optional(std::get<double>(*found)) : std::nullopt;
}

TEST(BlockWeights, EveryBlockHasItsNumber) {
  const ParameterSetting with_base = setting("{blocks: sd1, value: " + numbers(26, -1) + "}");
  const std::string unet = "model.diffusion_model.";
  EXPECT_EQ(value(with_base, unet + "input_blocks.0.0.weight"), 0);
  EXPECT_EQ(value(with_base, unet + "input_blocks.11.0.in_layers.2.weight"), 11);
  EXPECT_EQ(value(with_base, unet + "middle_block.1.norm.weight"), 12);
  EXPECT_EQ(value(with_base, unet + "output_blocks.0.0.in_layers.2.weight"), 13);
  EXPECT_EQ(value(with_base, unet + "output_blocks.11.1.proj_out.weight"), 24);
  // What the web UIs count to the first and the last block.
  EXPECT_EQ(value(with_base, unet + "time_embed.0.weight"), 0);
  EXPECT_EQ(value(with_base, unet + "out.2.bias"), 24);
  // Everything else is BASE, an "out." elsewhere too.
  EXPECT_EQ(value(with_base, "cond_stage_model.transformer.x"), -1);
  EXPECT_EQ(value(with_base, "first_stage_model.decoder.conv_out.weight"), -1);
  EXPECT_EQ(value(with_base, "input_blocks.3.0.op.weight"), 3);  // a UNet alone
}

TEST(BlockWeights, WithoutBaseTheNextEntryCounts) {
  const ParameterSetting from =
      setting("[{blocks: flux, value: " + numbers(57) + "}, {filter: 'vae.', value: 0.5}]");
  EXPECT_EQ(value(from, "double_blocks.18.img_attn.qkv.weight"), 18);
  EXPECT_EQ(value(from, "model.diffusion_model.single_blocks.37.linear1.weight"), 56);
  EXPECT_EQ(value(from, "vae.decoder.conv_in.weight"), 0.5);
  EXPECT_EQ(value(from, "img_in.weight"), std::nullopt);
}

TEST(BlockWeights, AFilterLimitsWhatTheBlocksAreFor) {
  const ParameterSetting from =
      setting("[{filter: '*.attn2.*', blocks: sdxl, value: " + numbers(19) + "}, {value: 7}]");
  EXPECT_EQ(value(from, "model.diffusion_model.input_blocks.4.1.attn2.to_k.weight"), 4);
  EXPECT_EQ(value(from, "model.diffusion_model.input_blocks.4.1.attn1.to_k.weight"), 7);
}

TEST(Filters, ArePatternsOfTheWholeNameIfTheyHaveStars) {
  const auto matches = [](const std::string& filter, std::string_view name) {
    return value(setting("{filter: '" + filter + "', value: 1}"), name).has_value();
  };
  EXPECT_TRUE(matches("*", "anything"));
  EXPECT_TRUE(matches("a.*.c", "a.b.b.c"));
  EXPECT_FALSE(matches("a.*.c", "x.a.b.c"));
  EXPECT_TRUE(matches("*blocks.?.*", "m.input_blocks.4.x"));
  EXPECT_FALSE(matches("*blocks.?.*", "m.input_blocks.10.x"));
  EXPECT_TRUE(matches("*a*ab", "aaaab"));
  EXPECT_FALSE(matches("*a*ab", "aaaa"));
  EXPECT_TRUE(matches("b.1", "a.b.10"));  // without a star: part of the name
}

TEST(BlockWeights, CanonicalFormAndCommandLineMeanTheSame) {
  const std::string yaml =
      "merge_method: linear\nmodels:\n  - model: a\nparameters:\n  weight:\n    - blocks: sdxl\n"
      "      value: " +
      numbers(20) + "\n    - value: 2\n";
  const Recipe recipe = parse_recipe(yaml, "r").front();
  EXPECT_EQ(format_recipe(recipe), yaml);
  EXPECT_EQ(parse_recipe(format_recipe(recipe), "again").front(), recipe);
  const Recipe arguments =
      recipe_from_arguments(find_merge_rule("linear").info(),
                            {.base = "",
                             .members = {"a"},
                             .parameters = {"weight=2", "weight:blocks:sdxl=" + numbers(20)}});
  EXPECT_EQ(arguments, recipe);
}

TEST(BlockWeights, BadListsAreRefused) {
  const auto refused = [](const std::string& yaml, const auto&... parts) {
    expect_error<InputError>([&] { setting(yaml); }, "r:4", parts...);
  };
  refused("{blocks: sd1, value: " + numbers(24) + "}", "24 values",
          "expected 26 (BASE, IN00-IN11, ", "or 25 without BASE");
  refused("{blocks: sdx, value: [1]}", "'blocks' is 'sdx'", "did you mean",
          "expected sd1, sdxl, sd3, sd3.5-large, flux");
  refused("{blocks: sd3, value: [" + std::string("x") + "]}", "1 values");
  expect_error<InputError>(
      [] {
        recipe_from_arguments(
            find_merge_rule("linear").info(),
            {.base = "", .members = {"a"}, .parameters = {"weight:blocks:sd1=[1]"}});
      },
      "-p weight:blocks:sd1=[1]", "1 values");
}

class DiffusionPlan : public PlannerTest {
 protected:
  DiffusionPlan() {
    model("a", DiffusionModel::sd1(1).tensors());
    model("b", DiffusionModel::sd1(2).tensors());
    model("xl", DiffusionModel::sdxl(3).tensors());
    model("vae", DiffusionModel(4, DType::f32).vae("").add("loss.logvar", {1}).tensors());
    model("clip", DiffusionModel(5).clip("").tensors());
  }
  static std::string two(const std::string& rest) {
    return "models: [{model: a}, {model: b}]\nparameters: {weight: 1}\n" + rest;
  }
  const FakeRule average_{averaging()};
};

TEST_F(DiffusionPlan, BlocksMustBeThoseOfTheModel) {
  const std::string yaml = "models: [{model: a}, {model: b}]\nparameters:\n  weight:\n  - blocks: ";
  EXPECT_THAT(error(average_, yaml + "sdxl\n    value: " + numbers(20)),
              ::testing::AllOf(::testing::HasSubstr("r.yml:5: 'blocks: sdxl' is for Stable "),
                               ::testing::HasSubstr("a has 12 of 'input_blocks.*'")));
  const MergePlan made = plan(average_, yaml + "sd1\n    value: " + numbers(26, -1));
  EXPECT_EQ(weight(made, "model.diffusion_model.input_blocks.7.0.weight", 1), 7);
  EXPECT_EQ(weight(made, "first_stage_model.quant_conv.weight"), -1);
}

TEST_F(DiffusionPlan, PartsComeFromOtherModelsUnderTheReferencesNames) {
  const MergePlan made =
      plan(average_, two("parts: {vae: vae, text_encoders: xl, ema: none, schedule: b}\n"));
  EXPECT_EQ(inputs(made, "first_stage_model.encoder.conv_in.weight"),
            std::vector<std::string>{"vae:encoder.conv_in.weight"});
  EXPECT_EQ(tensor(made, "first_stage_model.quant_conv.weight").output.dtype, DType::f32);
  const std::string token = "text_model.embeddings.token_embedding.weight";
  EXPECT_EQ(inputs(made, "cond_stage_model.transformer." + token),
            std::vector<std::string>{"xl:conditioner.embedders.0.transformer." + token});
  // Integers that the donor lacks stay.
  EXPECT_EQ(inputs(made, "cond_stage_model.transformer.text_model.embeddings.position_ids"),
            std::vector<std::string>{
                "a:cond_stage_model.transformer.text_model.embeddings.position_ids"});
  EXPECT_EQ(inputs(made, "betas"), std::vector<std::string>{"b:betas"});
  EXPECT_EQ(inputs(made, "model.diffusion_model.out.2.weight"),
            (std::vector<std::string>{"a:model.diffusion_model.out.2.weight",
                                      "b:model.diffusion_model.out.2.weight"}));
  EXPECT_THAT(names(made), ::testing::Not(::testing::Contains("model_ema.decay")));
  EXPECT_THAT(names(made), ::testing::Not(::testing::Contains(::testing::HasSubstr("loss"))));
}

TEST_F(DiffusionPlan, ALoneTextEncoderFits) {
  const MergePlan made = plan(average_, two("parts: {clip_l: clip}\n"));
  EXPECT_EQ(inputs(made, "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight"),
            std::vector<std::string>{"clip:text_model.encoder.layers.0.mlp.fc1.weight"});
}

TEST_F(DiffusionPlan, APartThatIsMissingIsAddedUnderTheNameOfTheArchitecture) {
  DiffusionModel pruned(1);
  pruned.unet(9, 2048, 4);
  model("pruned", pruned.tensors());
  const MergePlan made = plan(average_,
                              "models: [{model: pruned}]\nparameters: {weight: 1}\n"
                              "parts: {vae: vae, text_encoders: xl}\n");
  EXPECT_EQ(inputs(made, "first_stage_model.quant_conv.weight"),
            std::vector<std::string>{"vae:quant_conv.weight"});
  EXPECT_EQ(inputs(made, "conditioner.embedders.1.model.transformer.resblocks.0.mlp.c_fc.weight"),
            std::vector<std::string>{
                "xl:conditioner.embedders.1.model.transformer.resblocks.0.mlp.c_fc.weight"});
}

TEST_F(DiffusionPlan, AMissingPartSaysWhatToDo) {
  model("pruned", DiffusionModel(1).unet(12, 768, 1).tensors());
  const std::string text = error(average_,
                                 "models: [{model: a}, {model: pruned}]\nparameters: {weight: 1}\n"
                                 "parts: {clip_l: a, ema: none, schedule: a}\n");
  EXPECT_THAT(text, ::testing::HasSubstr("3 tensors that 'a' has are missing"));
  EXPECT_THAT(text, ::testing::HasSubstr("'parts: {vae: a}'"));
  EXPECT_EQ(error(average_,
                  "models: [{model: a}, {model: pruned}]\nparameters: {weight: 1}\n"
                  "parts: {vae: a, clip_l: a, ema: none, schedule: a}\n"),
            "no error");
}

TEST_F(DiffusionPlan, PartsThatDoNotFitAreRefused) {
  using ::testing::HasSubstr;
  EXPECT_THAT(
      error(average_, two("parts: {vea: b}\n")),
      HasSubstr("'vea' is no part of a diffusion checkpoint; a has diffusion_model, vae, clip_l"));
  EXPECT_THAT(error(average_, two("parts: {vae: clip}\n")), HasSubstr("clip has no 'vae'"));
  EXPECT_THAT(error(average_, two("parts: {clip_g: xl}\n")),
              HasSubstr("not known how it would be called there"));
  EXPECT_THAT(error(average_, two("parts: {text_encoders: b, clip_l: b}\n")),
              HasSubstr("given twice"));
  DiffusionModel other(1);
  other.add("encoder.conv_in.weight", {2, 16, 1, 1}).add("decoder.conv_in.weight", {2, 2, 1, 1});
  other.add("quant_conv.weight", {2, 2, 1, 1});
  model("other", other.tensors());
  EXPECT_THAT(error(average_, two("parts: {vae: other}\n")), HasSubstr("has shape [2, 16, 1, 1]"));
  model("diffusers", DiffusionModel(1)
                         .add("encoder.conv_in.weight", {2, 3, 1, 1})
                         .add("decoder.conv_in.weight", {2, 2, 1, 1})
                         .tensors());
  EXPECT_THAT(error(average_, two("parts: {vae: diffusers}\n")),
              HasSubstr("without a counterpart: first_stage_model.quant_conv.weight"));
  model("llama", transformer(1, 1));
  EXPECT_THAT(
      error(average_, "models: [{model: llama}]\nparameters: {weight: 1}\nparts: {vae: a}\n"),
      HasSubstr("'parts' are those of diffusion checkpoints"));
  EXPECT_THAT(error(average_,
                    "slices: [{sources: [{model: llama, layer_range: [0, 1]}]}]\n"
                    "parts: {vae: a}\n"),
              HasSubstr("'parts' go with 'models'"));
}

}  // namespace
}  // namespace amalgam
