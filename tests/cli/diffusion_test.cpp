#include <numeric>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/weights/recipe.hpp"
#include "tests/checkpoint/diffusion_models.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

class Diffusion : public ::testing::Test {
 protected:
  Diffusion() {
    write("a", DiffusionModel::sd1(1),
          {{"modelspec.title", "A"},
           {"modelspec.hash_sha256", "0x1"},
           {"modelspec.architecture", "stable-diffusion-v1"}});
    write("b", DiffusionModel::sd1(3));
    write("vae", DiffusionModel(5).vae(""));
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  void write(const std::string& name, const DiffusionModel& model,
             const std::map<std::string, std::string>& metadata = {}) const {
    std::vector<TensorInfo> infos;
    for (const MemoryTensor& tensor : model.tensors()) infos.push_back(tensor.info);
    const auto sink = create_safetensors_file(folder_ / (name + ".safetensors"), infos, metadata);
    for (std::size_t i = 0; i < infos.size(); ++i) sink->write(i, 0, model.tensors()[i].bytes);
    sink->finish();
  }

  // Weights 0, 1/32, ..., 25/32: BASE, then the blocks.
  static std::string block_weights() {
    std::string text = "[0";
    for (int i = 1; i < 26; ++i) text += "," + std::to_string(i / 32.0);
    return text + "]";
  }
  const TemporaryFolder folder_;
};

TEST_F(Diffusion, MergesByBlocksWithPartsAndKeepsTheRecipeInTheFile) {
  const RunResult merged = run_amalgam(
      {"merge", "--method", "slerp", "--base", path("a.safetensors"), path("b.safetensors"), "-p",
       "t:blocks:sd1=" + block_weights(), "--part", "vae=" + path("vae.safetensors"), "--part",
       "ema=none", "-o", path("out.safetensors"), "--json"});
  ASSERT_EQ(merged.code, 0) << merged.err;
  const auto out = open_checkpoint(path("out.safetensors"));
  const auto value = [&](const std::string& name) { return values_of(*out, name).front(); };
  // Colinear tensors of 1 and 3 are interpolated: 1 + 2 t.
  const std::string unet = "model.diffusion_model.";
  EXPECT_EQ(value("cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight"), 1);
  EXPECT_EQ(value(unet + "time_embed.0.weight"), 1 + 2 * 1 / 32.0);
  EXPECT_EQ(value(unet + "input_blocks.10.0.weight"), 1 + 2 * 11 / 32.0);
  EXPECT_EQ(value(unet + "middle_block.0.in_layers.2.weight"), 1 + 2 * 13 / 32.0);
  EXPECT_EQ(value(unet + "output_blocks.11.0.in_layers.2.weight"), 1 + 2 * 25 / 32.0);
  EXPECT_EQ(value("first_stage_model.quant_conv.weight"), 5);
  EXPECT_FALSE(out->find("model_ema.decay"));

  const auto& metadata = out->metadata();
  EXPECT_EQ(metadata.at("modelspec.architecture"), "stable-diffusion-v1");
  EXPECT_EQ(metadata.at("modelspec.title"), "out");
  EXPECT_EQ(metadata.at("modelspec.merged_from"), "a, b, vae");
  EXPECT_FALSE(metadata.contains("modelspec.hash_sha256"));
  EXPECT_EQ(metadata.at("amalgam_seed"), "0");
  // Who has the file can make it again.
  folder_.write("again.yml", metadata.at("amalgam_recipe"));
  const RunResult again =
      run_amalgam({"merge", path("again.yml"), "-o", path("again.safetensors")});
  ASSERT_EQ(again.code, 0) << again.err;
  const auto same = open_checkpoint(path("again.safetensors"));
  for (const TensorInfo& info : out->tensors()) {
    EXPECT_EQ(bytes_of(*out, info.name), bytes_of(*same, info.name)) << info.name;
  }
}

// The base has no VAE: that of the member is not in the output, unless a part brings one.
TEST_F(Diffusion, WhatAPartBringsIsNotSaidToBeMissing) {
  write("bare", DiffusionModel(1).unet(12, 768, 1).clip("cond_stage_model.transformer.", true));
  std::vector<std::string> words = {"merge",
                                    "--method",
                                    "slerp",
                                    "--base",
                                    path("bare.safetensors"),
                                    path("a.safetensors"),
                                    "-p",
                                    "t=0.5",
                                    "-o",
                                    path("out.safetensors"),
                                    "--overwrite"};
  const RunResult without = run_amalgam(words);
  ASSERT_EQ(without.code, 0) << without.err;
  EXPECT_NE(without.err.find("a.safetensors: 5 tensors are not in the output"), std::string::npos)
      << without.err;
  words.insert(words.end(), {"--part", "vae=" + path("vae.safetensors")});
  const RunResult with = run_amalgam(words);
  ASSERT_EQ(with.code, 0) << with.err;
  EXPECT_NE(with.err.find("a.safetensors: 2 tensors are not in the output, because the base (or "
                          "first) model has none of that name: betas, model_ema.decay\n"),
            std::string::npos)
      << with.err;
  EXPECT_TRUE(
      open_checkpoint(path("out.safetensors"))->find("first_stage_model.quant_conv.weight"));
}

TEST_F(Diffusion, InspectNamesThePartsAndTheirSizes) {
  const RunResult shown = run_amalgam({"inspect", path("a.safetensors")});
  ASSERT_EQ(shown.code, 0) << shown.err;
  EXPECT_NE(shown.out.find("architecture: Stable Diffusion 1\n"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("\nvae              first_stage_model.      F16"), std::string::npos)
      << shown.out;
  const auto json = run_amalgam({"inspect", path("a.safetensors"), "--json"}).json();
  EXPECT_EQ(json["metadata"]["modelspec.title"], "A");
  EXPECT_EQ(json["diffusion"]["architecture"], "Stable Diffusion 1");
  const auto& parts = json["diffusion"]["parts"];
  ASSERT_EQ(parts.size(), 5U);
  EXPECT_EQ(parts[2]["name"], "clip_l");
  EXPECT_EQ(parts[2]["dtype"], "F16, I64");
  EXPECT_EQ(parts[2]["tensors"], 3);
  EXPECT_EQ(parts[2]["bytes"], 16 + 16 + 24);
}

TEST_F(Diffusion, BadPartsAreOneSentence) {
  const auto merge = [&](const std::string& part) {
    return run_amalgam({"merge", "--method", "linear", path("a.safetensors"), path("b.safetensors"),
                        "-p", "weight=1", "--part", part, "-o", path("out.safetensors")});
  };
  expect_bad_usage(merge("vae"), "expected NAME=MODEL");
  expect_bad_usage(merge("vae=" + path("missing.safetensors")), "missing.safetensors");
  expect_bad_usage(merge("t5xxl=" + path("b.safetensors")), "has no 't5xxl'",
                   "diffusion_model, vae, clip_l");
  expect_bad_usage(run_amalgam({"merge", path("a.yml"), "--part", "vae=x", "-o", path("o")}),
                   "--part go with --method");
}

}  // namespace
}  // namespace amalgam
