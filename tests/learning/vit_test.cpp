#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/gram.hpp"
#include "amalgam/learning/layer_gradients.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/trainer.hpp"
#include "amalgam/weights/learned/permutation.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const nlohmann::json kSmall{
    {"patch", 2}, {"width", 8}, {"depth", 2}, {"attention_heads", 2}, {"mlp_ratio", 3}};

using State = std::map<std::string, torch::Tensor>;

// The definition for one image, row by row, with the state's tensors; in double.
torch::Tensor by_definition(const State& state, const torch::Tensor& image) {
  const torch::Tensor x0 = (image - 0.4) / 0.2;
  const torch::Tensor kernel = state.at("patch_embed.proj.weight").flatten(1);  // [width, 4]
  std::vector<torch::Tensor> tokens{state.at("cls_token")[0][0]};
  for (std::int64_t r = 0; r < 6; r += 2) {
    for (std::int64_t c = 0; c < 6; c += 2) {
      const torch::Tensor pixels = x0[0].narrow(0, r, 2).narrow(1, c, 2).reshape({-1});
      tokens.push_back(kernel.mv(pixels) + state.at("patch_embed.proj.bias"));
    }
  }
  torch::Tensor x = torch::stack(tokens) + state.at("pos_embed")[0];
  const auto norm = [&](const torch::Tensor& rows, const std::string& name) {
    const torch::Tensor centred = rows - rows.mean(1, true);
    const torch::Tensor deviation = (centred.square().mean(1, true) + 1e-6).sqrt();
    return centred / deviation * state.at(name + ".weight") + state.at(name + ".bias");
  };
  const auto linear = [&](const torch::Tensor& rows, const std::string& name) {
    return rows.mm(state.at(name + ".weight").t()) + state.at(name + ".bias");
  };
  for (const std::string block : {"blocks.0.", "blocks.1."}) {
    const torch::Tensor qkv = linear(norm(x, block + "norm1"), block + "attn.qkv");
    std::vector<torch::Tensor> mixed;
    for (std::int64_t head = 0; head < 2; ++head) {
      const auto part = [&](std::int64_t which) { return qkv.narrow(1, 8 * which + 4 * head, 4); };
      const torch::Tensor weights = torch::softmax(part(0).mm(part(1).t()) / 2.0, 1);
      mixed.push_back(weights.mm(part(2)));
    }
    x = x + linear(torch::cat(mixed, 1), block + "attn.proj");
    const torch::Tensor inner = linear(norm(x, block + "norm2"), block + "mlp.fc1");
    const torch::Tensor gelu = inner * 0.5 * (1 + torch::erf(inner / std::sqrt(2.0)));
    x = x + linear(gelu, block + "mlp.fc2");
  }
  return linear(norm(x, "norm"), "head")[0];
}

TEST(Vit, HasTheTensorsOfTimm) {
  const auto network = toy_network("vit", kSmall, 1);
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const auto& [name, tensor] : state_of(*network)) shapes[name] = tensor.sizes().vec();
  std::map<std::string, std::vector<std::int64_t>> expected{
      {"cls_token", {1, 1, 8}},
      {"pos_embed", {1, 10, 8}},
      {"patch_embed.proj.weight", {8, 1, 2, 2}},
      {"patch_embed.proj.bias", {8}},
      {"norm.weight", {8}},
      {"norm.bias", {8}},
      {"head.weight", {4, 8}},
      {"head.bias", {4}}};
  for (const std::string block : {"blocks.0.", "blocks.1."}) {
    for (const std::string norm : {"norm1", "norm2"}) {
      expected[block + norm + ".weight"] = {8};
      expected[block + norm + ".bias"] = {8};
    }
    expected[block + "attn.qkv.weight"] = {24, 8};
    expected[block + "attn.qkv.bias"] = {24};
    expected[block + "attn.proj.weight"] = {8, 8};
    expected[block + "attn.proj.bias"] = {8};
    expected[block + "mlp.fc1.weight"] = {24, 8};
    expected[block + "mlp.fc1.bias"] = {24};
    expected[block + "mlp.fc2.weight"] = {8, 24};
    expected[block + "mlp.fc2.bias"] = {8};
  }
  EXPECT_EQ(shapes, expected);
}

TEST(Vit, ComputesItsDefinition) {
  const auto network = network_with_biases("vit", kSmall, 4);
  network->to(torch::kDouble);
  State state;
  for (const auto& [name, tensor] : state_of(*network)) state[name] = tensor.detach();
  const torch::Tensor images = toy_data(3, 2).inputs.to(torch::kDouble);
  const torch::NoGradGuard no_grad;
  const torch::Tensor logits = network->forward(images);
  for (std::int64_t n = 0; n < 3; ++n) {
    EXPECT_TRUE(torch::allclose(logits[n], by_definition(state, images[n]), 1e-10, 1e-12)) << n;
  }
}

TEST(Vit, LearnsAndIsTheSameWhenLoaded) {
  const auto network = toy_network("vit", {{"patch", 3}, {"width", 16}, {"depth", 2}}, 3);
  TrainingRecipe recipe;
  recipe.network = nlohmann::json::object();
  recipe.epochs = 25;
  recipe.batch = 32;
  recipe.optimizer.kind = OptimizerOptions::Kind::adam;
  recipe.optimizer.learning_rate = 0.01;
  const TrainingReport report =
      train(*network, toy_data(256, 1), recipe, {.progress = Progress::Mode::never});
  EXPECT_LT(report.epochs.back().loss, 0.5 * report.epochs.front().loss);
  for (const auto& one : network->named_parameters()) {
    EXPECT_TRUE(one.value().isfinite().all().item<bool>()) << one.key();
    EXPECT_TRUE(one.value().grad().defined()) << one.key();
  }
  const Dataset test = toy_data(100, 2);
  const fs::path path =
      fs::temp_directory_path() / ("amalgam-vit-" + std::to_string(getpid()) + ".safetensors");
  save_network(path, *network, false);
  const auto loaded = load_network(*open_checkpoint(path));
  fs::remove(path);
  EXPECT_TRUE(torch::equal(predict_logits(*network, test), predict_logits(*loaded, test)));
}

TEST(Vit, RefusesOptionsNamingThem) {
  const auto error_with = [](const nlohmann::json& options) -> std::string {
    try {
      make_network(toy_description("vit", options), "file");
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_with({{"patch", 3}}), "no error");
  EXPECT_THAT(error_with({{"patch", 4}}), HasSubstr("patch is 4; expected a size that divides"));
  EXPECT_THAT(error_with({{"patch", 3}, {"attention_heads", 5}}),
              HasSubstr("attention_heads is 5; expected a number that divides width"));
  EXPECT_THAT(error_with({{"patch", 3}, {"depth", 0}}), HasSubstr("depth is 0"));
  EXPECT_THAT(error_with({{"patch", 3}, {"heads", 2}}), HasSubstr("unknown key 'heads'"));
}

// What goes into a layer that sees tokens is a row per token.
TEST(Vit, GramRowsAreTokens) {
  const auto network = toy_network("vit", kSmall, 3);
  const Dataset data = toy_data(5, 1);
  const GramSums sums = gram_sums(*network, data, 2);
  EXPECT_EQ(sums.at("blocks.0.mlp.fc2").rows, 5U * 10U);
  EXPECT_EQ(sums.at("blocks.0.mlp.fc2").products.size(0), 24);
  EXPECT_EQ(sums.at("patch_embed.proj").rows, 5U * 9U);
  EXPECT_EQ(sums.at("head").rows, 5U);
  EXPECT_EQ(sums.size(), 1U + 2U * 4U + 1U) << "linear layers and the convolution";
  const torch::NoGradGuard no_grad;
  const LayerTrace trace(*network, data.inputs);
  for (const LayerRecord& record : trace.layers()) {
    const torch::Tensor rows = input_rows(*record.layer, record.input);
    const torch::Tensor outputs = rows.mm(record.layer->weight.flatten(1).t()) + record.layer->bias;
    const torch::Tensor expected = record.output.dim() == 4
                                       ? record.output.flatten(2).transpose(1, 2).flatten(0, 1)
                                       : record.output.flatten(0, -2);
    EXPECT_TRUE(torch::allclose(outputs, expected, 1e-4, 1e-5)) << record.name;
  }
}

TEST(Vit, IsNotPermuted) {
  const auto network = toy_network("vit", kSmall, 3);
  EXPECT_THROW(learned::permutation_spec(*network), InputError);
}

}  // namespace
}  // namespace amalgam::learning
