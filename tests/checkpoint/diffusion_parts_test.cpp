#include "amalgam/checkpoint/diffusion_parts.hpp"

#include <gmock/gmock.h>

#include "tests/checkpoint/diffusion_models.hpp"

namespace amalgam {
namespace {

DiffusionLayout layout_of(const DiffusionModel& model) {
  const MemorySource source("m", model.tensors());
  return find_diffusion_parts(source).value();
}

TEST(DiffusionParts, TellsArchitecturesApart) {
  EXPECT_EQ(layout_of(DiffusionModel::sd1(1)).architecture, "Stable Diffusion 1");
  EXPECT_EQ(layout_of(DiffusionModel::sdxl(1)).architecture, "Stable Diffusion XL");
  EXPECT_EQ(layout_of(DiffusionModel(1).unet(12, 1024, 1)).architecture, "Stable Diffusion 2");
  EXPECT_EQ(layout_of(DiffusionModel(1).flux(2, 2, "")).architecture, "Flux");
  EXPECT_EQ(layout_of(DiffusionModel(1).add(
                          "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", {2, 2}))
                .architecture,
            "Stable Diffusion 3");
}

TEST(DiffusionParts, NamesPartsAndTheirSizes) {
  const DiffusionLayout layout = layout_of(DiffusionModel::sd1(1));
  EXPECT_EQ(layout.part_names(), "diffusion_model, vae, clip_l, ema, schedule");
  EXPECT_EQ(layout.find("vae")->prefix, "first_stage_model.");
  EXPECT_EQ(layout.find("vae")->tensors.size(), 3U);
  // 6 + 4 + 4 numbers of two bytes.
  EXPECT_EQ(layout.find("vae")->bytes, 28U);
  EXPECT_EQ(layout.find("clip_l")->prefix, "cond_stage_model.");
  EXPECT_TRUE(layout.find("clip_l")->is_text_encoder());
  EXPECT_FALSE(layout.find("ema")->is_text_encoder());
  EXPECT_EQ(layout.find("clip_g"), nullptr);
  EXPECT_EQ(layout_of(DiffusionModel::sdxl(1)).part_names(),
            "diffusion_model, vae, clip_g, clip_l");
}

TEST(DiffusionParts, KnowsAllInOneFilesAndPartsAlone) {
  DiffusionModel flux(1);
  flux.flux(1, 1, "model.diffusion_model.").vae("vae.");
  flux.clip("text_encoders.clip_l.transformer.")
      .add("text_encoders.t5xxl.transformer.shared.weight", {2, 2});
  EXPECT_EQ(layout_of(flux).part_names(), "diffusion_model, vae, clip_l, t5xxl");
  const DiffusionLayout alone = layout_of(DiffusionModel(1).flux(1, 1, ""));
  EXPECT_EQ(alone.part_names(), "diffusion_model");
  EXPECT_EQ(alone.parts[0].prefix, "");
  const DiffusionLayout vae = layout_of(DiffusionModel(1).vae(""));
  EXPECT_EQ(vae.architecture, "unknown");
  EXPECT_EQ(vae.part_names(), "vae");
}

TEST(DiffusionParts, OtherCheckpointsHaveNone) {
  const MemorySource llama(
      "m", DiffusionModel(1).add("model.layers.0.mlp.up_proj.weight", {2, 2}).tensors());
  EXPECT_FALSE(find_diffusion_parts(llama));
  EXPECT_EQ(diffusion_part_of("model.layers.0.mlp.up_proj.weight"), "");
  EXPECT_EQ(diffusion_part_of("text_encoders.t5xxl.transformer.x"), "t5xxl");
}

}  // namespace
}  // namespace amalgam
