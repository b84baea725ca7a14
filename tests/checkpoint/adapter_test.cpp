#include "amalgam/checkpoint/adapter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstring>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/tensor/low_rank_kernel.hpp"
#include "amalgam/tensor/simd_targets.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/error_of.hpp"

namespace amalgam {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;

SharedSource memory(std::vector<MemoryTensor> tensors, std::string label = "base") {
  return std::make_shared<MemorySource>(std::move(label), std::move(tensors));
}

std::unique_ptr<TensorSource> adapted(const SharedSource& base, std::vector<MemoryTensor> tensors,
                                      const std::string& config) {
  return apply_adapter(base, make_adapter(memory(std::move(tensors), "adapter"),
                                          parse_adapter_config(config, "config"), "adapter"));
}

std::vector<double> normal(std::size_t count, const std::string& name) {
  RandomStream random(5, name);
  std::vector<double> values(count);
  for (double& value : values) value = random.normal();
  return values;
}

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<MemoryTensor>& tensors) {
  std::vector<TensorInfo> infos;
  for (const MemoryTensor& tensor : tensors) infos.push_back(tensor.info);
  const auto sink = create_safetensors_file(path, infos, {});
  for (std::size_t i = 0; i < tensors.size(); ++i) sink->write(i, 0, tensors[i].bytes);
  sink->finish();
}

const std::string kA = "base_model.model.q.lora_A.weight";
const std::string kB = "base_model.model.q.lora_B.weight";

TEST(Adapter, LoraAddsTheScaledProduct) {
  // B A = [1; 2] [3 4 5] = [3 4 5; 6 8 10], times alpha / r = 2.
  const auto base = memory(
      {make_tensor("q.weight", {2, 3}, {1, 1, 1, 1, 1, 1}), make_tensor("q.bias", {2}, {7, 8})});
  const auto model =
      adapted(base, {make_tensor(kA, {1, 3}, {3, 4, 5}), make_tensor(kB, {2, 1}, {1, 2})},
              R"({"peft_type": "LORA", "r": 1, "lora_alpha": 2})");
  EXPECT_THAT(values_of(*model, "q.weight"), ElementsAre(7, 9, 11, 13, 17, 21));
  EXPECT_THAT(values_of(*model, "q.bias"), ElementsAre(7, 8));
  EXPECT_EQ(model->label(), "base+adapter");
}

TEST(Adapter, ScalesFollowRankAlphaAndTheirPatterns) {
  const AdapterConfig config = parse_adapter_config(
      R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "rank_pattern": {"layers.1.q": 16},
          "alpha_pattern": {"layers.\\d+.v": 2}})",
      "c");
  EXPECT_EQ(config.rank_of("model.layers.1.q"), 16U);
  EXPECT_EQ(config.rank_of("model.layers.11.q"), 4U);
  EXPECT_EQ(config.rank_of("modellayers.1.q"), 4U) << "a pattern begins at a part of the name";
  EXPECT_DOUBLE_EQ(config.scale_of("model.layers.1.q", 16), 0.5);
  EXPECT_DOUBLE_EQ(config.scale_of("model.layers.27.v", 4), 0.5);
  const AdapterConfig stabilised = parse_adapter_config(
      R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_rslora": true})", "c");
  EXPECT_DOUBLE_EQ(stabilised.scale_of("q", 4), 4.0);
}

TEST(Adapter, TransposedWeightsAndEmbeddingsGetTheTransposedProduct) {
  const auto base = memory({make_tensor("q.weight", {3, 2}, std::vector<double>(6, 0.0))});
  const auto linear =
      adapted(base, {make_tensor(kA, {1, 3}, {3, 4, 5}), make_tensor(kB, {2, 1}, {1, 2})},
              R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "fan_in_fan_out": true})");
  EXPECT_THAT(values_of(*linear, "q.weight"), ElementsAre(3, 6, 4, 8, 5, 10));
  const auto embedding =
      adapted(base,
              {make_tensor("base_model.model.q.lora_embedding_A", {1, 3}, {3, 4, 5}),
               make_tensor("base_model.model.q.lora_embedding_B", {2, 1}, {1, 2})},
              R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1})");
  EXPECT_THAT(values_of(*embedding, "q.weight"), ElementsAre(3, 6, 4, 8, 5, 10));
}

TEST(Adapter, ConvolutionsAreMatricesOfOutputsAndPatches) {
  const auto base = memory({make_tensor("q.weight", {2, 1, 1, 2}, {0, 0, 0, 0})});
  const auto model =
      adapted(base, {make_tensor(kA, {1, 1, 1, 2}, {3, 4}), make_tensor(kB, {2, 1, 1, 1}, {1, 10})},
              R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1})");
  EXPECT_THAT(values_of(*model, "q.weight"), ElementsAre(3, 4, 30, 40));
}

TEST(Adapter, DoraGivesEveryOutputItsMagnitude) {
  // W + B A = [3 4; 0 5]: norms 5 and 5, magnitudes 10 and 1.
  const auto base = memory({make_tensor("q.weight", {2, 2}, {2, 3, 0, 5})});
  const auto model =
      adapted(base,
              {make_tensor(kA, {1, 2}, {1, 1}), make_tensor(kB, {2, 1}, {1, 0}),
               make_tensor("base_model.model.q.lora_magnitude_vector", {2}, {10, 1})},
              R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "use_dora": true})");
  EXPECT_THAT(values_of(*model, "q.weight"), Pointwise(DoubleNear(1e-6), {6., 8., 0., 1.}));
}

TEST(Adapter, Ia3ScalesInputsOfFeedForwardLayersAndOutputsOfOthers) {
  const auto base =
      memory({make_tensor("k.weight", {2, 2}, {1, 2, 3, 4}), make_tensor("k.bias", {2}, {1, 1}),
              make_tensor("down.weight", {2, 2}, {1, 2, 3, 4})});
  const auto model = adapted(base,
                             {make_tensor("base_model.model.k.ia3_l", {2, 1}, {10, 100}),
                              make_tensor("base_model.model.down.ia3_l", {1, 2}, {10, 100})},
                             R"({"peft_type": "IA3", "feedforward_modules": ["down"]})");
  EXPECT_THAT(values_of(*model, "k.weight"), ElementsAre(10, 20, 300, 400));
  EXPECT_THAT(values_of(*model, "k.bias"), ElementsAre(10, 100));
  EXPECT_THAT(values_of(*model, "down.weight"), ElementsAre(10, 200, 30, 400));
}

TEST(Adapter, SavedModulesReplaceTheBaseAndMayHaveMoreRows) {
  const auto base = memory({make_tensor("model.embed.weight", {2, 2}, {1, 2, 3, 4})});
  const auto model =
      adapted(base,
              {make_tensor("base_model.model.model.embed.weight", {3, 2}, {1, 2, 3, 4, 5, 6}),
               make_tensor("base_model.model.score.weight", {1, 2}, {9, 9})},
              R"({"peft_type": "LORA", "modules_to_save": ["embed", "score"]})");
  EXPECT_THAT(values_of(*model, "model.embed.weight"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(values_of(*model, "score.weight"), ElementsAre(9, 9));
}

// The base's head is its embedding, so its file has none; PEFT saves both with a token more.
TEST(Adapter, AHeadThatIsTheEmbeddingIsNotMissed) {
  const auto base = memory({make_tensor("model.embed.weight", {1, 2}, {1, 2})});
  const auto with_head = [&](const std::vector<double>& head) {
    return adapted(base,
                   {make_tensor("base_model.model.model.embed.weight", {2, 2}, {1, 2, 3, 4}),
                    make_tensor("base_model.model.lm_head.weight", {2, 2}, head)},
                   R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1})");
  };
  const auto model = with_head({1, 2, 3, 4});
  EXPECT_EQ(model->tensors().size(), 1U);
  EXPECT_THAT(values_of(*model, "model.embed.weight"), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(error_of([&] { with_head({1, 2, 3, 5}); }), HasSubstr("does not have"));
}

TEST(Adapter, NamesOfTheBaseMayLackAWrapperOrHaveOneMore) {
  const std::string config = R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1})";
  const std::vector<MemoryTensor> tensors = {
      make_tensor("base_model.model.m.q.lora_A.weight", {1, 1}, {2}),
      make_tensor("base_model.model.m.q.lora_B.weight", {1, 1}, {3})};
  for (const char* name : {"m.q.weight", "q.weight", "text.m.q.weight"}) {
    const auto model = adapted(memory({make_tensor(name, {1, 1}, {1})}), tensors, config);
    EXPECT_THAT(values_of(*model, name), ElementsAre(7)) << name;
  }
}

TEST(Adapter, QuantisedWeightsBecomeFloatsSoThatTheChangeIsNotLost) {
  const auto base =
      memory({make_tensor("q.weight", {1, 32}, std::vector<double>(32, 1.0), DType::q8_0),
              make_tensor("x", {1, 32}, std::vector<double>(32, 1.0), DType::q8_0)});
  const auto model = adapted(
      base, {make_tensor(kA, {1, 32}, std::vector<double>(32, 1e-4)), make_tensor(kB, {1, 1}, {1})},
      R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1})");
  EXPECT_EQ(model->tensors()[index_of(*model, "q.weight")].dtype, DType::f32);
  EXPECT_EQ(model->tensors()[index_of(*model, "x")].dtype, DType::q8_0);
  EXPECT_NEAR(values_of(*model, "q.weight")[0] - values_of(*base, "q.weight")[0], 1e-4, 1e-7);
}

// Whatever range is read, its bits are those of that part of the whole, and the values those that
// the bytes encode.
RC_GTEST_PROP(AdapterProperty, AnyRangeIsThatPartOfTheWhole, ()) {
  const auto dtype = *rc::gen::element(DType::f32, DType::f64, DType::bf16, DType::f16);
  const bool dora = *rc::gen::arbitrary<bool>();
  const bool transposed = *rc::gen::arbitrary<bool>();
  constexpr std::size_t kInputs = 70;
  constexpr std::size_t kOutputs = 9;
  const Shape shape = transposed ? Shape{kInputs, kOutputs} : Shape{kOutputs, kInputs};
  std::vector<MemoryTensor> tensors = {make_tensor(kA, {3, kInputs}, normal(3 * kInputs, "a")),
                                       make_tensor(kB, {kOutputs, 3}, normal(3 * kOutputs, "b"))};
  if (dora) {
    tensors.push_back(make_tensor("base_model.model.q.lora_magnitude_vector", {kOutputs},
                                  std::vector<double>(kOutputs, 1.5)));
  }
  const auto model = adapted(
      memory({make_tensor("q.weight", shape, normal(kInputs * kOutputs, "w"), dtype)}),
      std::move(tensors),
      std::string(R"({"peft_type": "LORA", "r": 3, "lora_alpha": 5, "fan_in_fan_out": )") +
          (transposed ? "true" : "false") + R"(, "use_dora": )" + (dora ? "true}" : "false}"));
  const TensorInfo& info = model->tensors()[0];
  RC_ASSERT(info.dtype == dtype);
  const std::vector<std::byte> whole = bytes_of(*model, "q.weight");
  const auto offset = *rc::gen::inRange<std::uint64_t>(0, info.bytes);
  std::vector<std::byte> part(*rc::gen::inRange<std::uint64_t>(0, info.bytes - offset + 1));
  model->read_bytes(0, offset, part);
  RC_ASSERT(std::memcmp(part.data(), whole.data() + offset, part.size()) == 0);
  std::vector<double> decoded(info.elements);
  decode(info.dtype, whole, std::span<double>(decoded));
  const auto first = *rc::gen::inRange<std::uint64_t>(0, info.elements);
  std::vector<double> values(*rc::gen::inRange<std::uint64_t>(0, info.elements - first + 1));
  model->read(0, first, std::span<double>(values));
  for (std::size_t i = 0; i < values.size(); ++i) RC_ASSERT(values[i] == decoded[first + i]);
}

TEST(Adapter, TheProductHasTheSameBitsOnEveryTarget) {
  constexpr std::size_t kRows = 7;
  constexpr std::size_t kColumns = 101;
  constexpr std::size_t kRank = 5;
  const std::vector<double> wide = normal(kRank * kColumns, "right");
  const std::vector<float> right(wide.begin(), wide.end());
  const std::vector<double> factors = normal(kRows * kRank, "left");
  const std::vector<float> left(factors.begin(), factors.end());
  std::vector<float> expected(kRows * kColumns, 0.25F);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    float sum = 0;
    for (std::size_t k = 0; k < kRank; ++k) {
      sum = std::fma(left[i / kColumns * kRank + k], right[k * kColumns + i % kColumns], sum);
    }
    expected[i] += sum;
  }
  for_each_simd_target([&](const std::string& target) {
    std::vector<float> out(kRows * kColumns, 0.25F);
    kernels::add_low_rank(kernels::LowRankBlock<float>{.left = left.data(),
                                                       .rank = kRank,
                                                       .right = right.data(),
                                                       .out = out.data(),
                                                       .stride = kColumns,
                                                       .rows = kRows,
                                                       .columns = kColumns});
    EXPECT_EQ(out, expected) << target;
  });
}

// Sums that cancel, overflow and underflow: where a product and a sum rounded one by one would
// differ from the fused operation, which targets without one must compute.
TEST(Adapter, TheProductIsFusedForNumbersOfAnySize) {
  constexpr std::size_t kColumns = 3000;
  constexpr std::size_t kRank = 3;
  RandomStream random(5, "fused");
  std::vector<float> right(kRank * kColumns);
  for (float& value : right) {
    value =
        static_cast<float>(std::ldexp(random.normal(), static_cast<int>(random.below(250)) - 125));
  }
  for (std::size_t i = 0; i < kColumns / 2; ++i) right[kColumns + i] = -right[i] * 0.75F;
  const std::vector<float> left = {0.75F, 1.0F, 0x1.000002p-20F};
  std::vector<float> expected(kColumns);
  for (std::size_t i = 0; i < kColumns; ++i) {
    float sum = 0;
    for (std::size_t k = 0; k < kRank; ++k) sum = std::fma(left[k], right[k * kColumns + i], sum);
    expected[i] += sum;
  }
  for_each_simd_target([&](const std::string& target) {
    std::vector<float> out(kColumns);
    kernels::add_low_rank(kernels::LowRankBlock<float>{.left = left.data(),
                                                       .rank = kRank,
                                                       .right = right.data(),
                                                       .out = out.data(),
                                                       .stride = kColumns,
                                                       .rows = 1,
                                                       .columns = kColumns});
    EXPECT_EQ(out, expected) << target;
  });
}

// Added to BF16 where it lies, the product has the bits of what is decoded, changed and rounded.
TEST(Adapter, Bf16IsChangedInPlaceOnEveryTarget) {
  constexpr std::size_t kRows = 9;
  constexpr std::size_t kColumns = 77;
  constexpr std::size_t kRank = 4;
  const std::vector<double> wide = normal(kRank * kColumns, "right");
  const std::vector<float> right(wide.begin(), wide.end());
  const std::vector<double> factors = normal(kRows * kRank, "left");
  const std::vector<float> left(factors.begin(), factors.end());
  MemoryTensor start =
      make_tensor("w", {kRows, kColumns}, normal(kRows * kColumns, "w"), DType::bf16);
  start.bytes[1] = std::byte{0x7F};  // NaN
  start.bytes[0] = std::byte{0x81};
  start.bytes[3] = std::byte{0x7F};  // the largest number
  start.bytes[2] = std::byte{0x7F};
  kernels::LowRankBlock<float> block{.left = left.data(),
                                     .rank = kRank,
                                     .right = right.data(),
                                     .out = nullptr,
                                     .stride = kColumns,
                                     .rows = kRows,
                                     .columns = kColumns};
  std::vector<float> values(kRows * kColumns);
  decode(DType::bf16, start.bytes, std::span(values));
  block.out = values.data();
  kernels::add_low_rank(block);
  std::vector<std::byte> expected(start.bytes.size());
  encode(DType::bf16, std::span<const float>(values), std::span(expected));
  for_each_simd_target([&](const std::string& target) {
    std::vector<std::byte> bytes = start.bytes;
    kernels::add_low_rank(block, reinterpret_cast<std::uint16_t*>(bytes.data()));
    EXPECT_EQ(bytes, expected) << target;
  });
}

TEST(Adapter, WhatDoesNotFitIsRefusedByName) {
  const auto base = memory({make_tensor("q.weight", {2, 3}, std::vector<double>(6, 1.0))});
  const std::string config = R"({"peft_type": "LORA", "r": 1, "base_model_name_or_path": "org/b"})";
  const auto error = [&](std::vector<MemoryTensor> tensors, const std::string& text) {
    return error_of([&] { adapted(base, std::move(tensors), text); });
  };
  EXPECT_THAT(
      error({make_tensor(kA, {1, 4}, {1, 2, 3, 4}), make_tensor(kB, {2, 1}, {1, 2})}, config),
      HasSubstr("changes a weight of shape [2, 4], but 'q.weight' of 'base' is F32 [2, 3]"));
  EXPECT_THAT(error({make_tensor("base_model.model.v.lora_A.weight", {1, 3}, {1, 2, 3}),
                     make_tensor("base_model.model.v.lora_B.weight", {2, 1}, {1, 2})},
                    config),
              HasSubstr("changes the tensor 'v.weight', which 'base' does not have; expected the "
                        "model that the adapter was trained on (org/b)"));
  EXPECT_THAT(error({make_tensor(kA, {1, 3}, {1, 2, 3})}, config), HasSubstr("lacks lora_B"));
  EXPECT_THAT(
      error({make_tensor(kA, {2, 3}, normal(6, "a")), make_tensor(kB, {2, 2}, normal(4, "b"))},
            config),
      HasSubstr("but the configuration gives the module rank 1"));
  EXPECT_THAT(error({make_tensor("base_model.model.q.hada_w1_a", {1}, {1})}, config),
              HasSubstr("belongs to no part of a LoRA or IA3 adapter"));
}

TEST(AdapterConfig, UnknownKindsAndVariantsAreRefusedByName) {
  const auto error = [](const std::string& text) {
    return error_of([&] { parse_adapter_config(text, "c.json"); });
  };
  EXPECT_THAT(error(R"({"peft_type": "LOHA"})"), HasSubstr("c.json: 'peft_type' is \"LOHA\""));
  EXPECT_THAT(error("{}"), HasSubstr("'peft_type' is missing"));
  EXPECT_THAT(error("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(error(R"({"peft_type": "LORA", "r": 0})"), HasSubstr("'r' is 0"));
  EXPECT_THAT(error(R"({"peft_type": "LORA", "r": 1e300})"), HasSubstr("whole number"));
  EXPECT_THAT(error(R"({"peft_type": "LORA", "init_lora_weights": "pissa_niter_4"})"),
              HasSubstr("changed the base model before training"));
  EXPECT_THAT(error(R"({"peft_type": "LORA", "use_qalora": true})"), HasSubstr("'use_qalora'"));
  EXPECT_THAT(error(R"({"peft_type": "LORA", "rank_pattern": {"[ab]": 4
}
})"),
              HasSubstr("the pattern '[ab]' is a regular expression"));
}

TEST(AdapterConfig, WhatIsWrittenIsRead) {
  AdapterConfig config;
  config.rank = 3;
  config.alpha = 1.5;
  config.rank_pattern = {{"^m.q$", 7}};
  config.alpha_pattern = {{"^m.q$", 2.5}};
  config.modules_to_save = {"embed"};
  const AdapterConfig back = parse_adapter_config(format_adapter_config(config, {"m.q"}), "c");
  EXPECT_EQ(back.rank, 3U);
  EXPECT_EQ(back.alpha, 1.5);
  EXPECT_EQ(back.rank_pattern, config.rank_pattern);
  EXPECT_EQ(back.alpha_pattern, config.alpha_pattern);
  EXPECT_EQ(back.modules_to_save, config.modules_to_save);
}

TEST(Adapter, APathOfBaseAndAdapterIsACheckpoint) {
  const TemporaryFolder folder;
  write_safetensors(folder / "b.safetensors", {make_tensor("q.weight", {1, 1}, {1})});
  std::filesystem::create_directory(folder / "lora");
  write_safetensors(folder / "lora" / "adapter_model.safetensors",
                    {make_tensor(kA, {1, 1}, {2}), make_tensor(kB, {1, 1}, {3})});
  write_text_file(folder / "lora" / "adapter_config.json",
                  R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1})");
  const std::string lora = (folder / "lora").string();
  const std::string path = (folder / "b.safetensors").string() + "+" + lora;
  EXPECT_THAT(values_of(*open_checkpoint(path), "q.weight"), ElementsAre(7));
  EXPECT_THAT(values_of(*open_checkpoint(path + "+" + lora), "q.weight"), ElementsAre(13));
  EXPECT_EQ(detect_format(path), CheckpointFormat::safetensors_file);
  EXPECT_THAT(error_of([&] { open_checkpoint(path + "x"); }),
              HasSubstr("lorax: no such folder; expected a PEFT adapter"));
  // The folder is an adapter alone until it has a model too.
  EXPECT_THAT(error_of([&] { refuse_lone_adapter(lora, "do so"); }),
              HasSubstr("lora: the folder of an adapter, expected a model; do so"));
  refuse_lone_adapter(path, "");
  write_safetensors(folder / "lora" / "model.safetensors", {make_tensor("q.weight", {1}, {1})});
  refuse_lone_adapter(lora, "");
}

}  // namespace
}  // namespace amalgam
