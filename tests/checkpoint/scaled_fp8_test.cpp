#include "amalgam/checkpoint/scaled_fp8.hpp"

#include <gmock/gmock.h>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/checkpoint/packed_formats.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

using ::testing::ElementsAre;

std::unique_ptr<TensorSource> source_of(std::vector<MemoryTensor> tensors) {
  return std::make_unique<MemorySource>("m", std::move(tensors));
}

// 3 x 5 of eighths, all exact in F8_E4M3.
MemoryTensor weight() {
  std::vector<double> values(15);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  return make_tensor("a.weight", {3, 5}, values, DType::f8_e4m3);
}

std::vector<float> values_of(const TensorSource& source, std::size_t tensor, std::uint64_t first,
                             std::size_t count) {
  std::vector<float> values(count);
  source.read(tensor, first, std::span<float>(values));
  return values;
}

TEST(ScaledFp8, MultipliesEveryBlockByItsScale) {
  const auto source = unscale_fp8(
      source_of({weight(),
                 make_tensor("a.weight_scale_inv", {2, 3}, {1, 2, 4, 0.5, 1, 10}, DType::f32),
                 make_tensor("norm.weight", {1}, {3}, DType::f32)}),
      {.block = {2, 2}});
  ASSERT_EQ(source->tensors().size(), 2);
  EXPECT_EQ(source->tensors()[0].name, "a.weight");
  EXPECT_EQ(source->tensors()[0].dtype, DType::f32);
  EXPECT_EQ(source->tensors()[1].dtype, DType::f32);
  // Rows 0 and 1 share scales, columns 0-1, 2-3 and 4.
  EXPECT_THAT(values_of(*source, 0, 0, 15),
              ElementsAre(0, 1, 4, 6, 16, 5, 6, 14, 16, 36, 5, 5.5F, 12, 13, 140));
  EXPECT_THAT(values_of(*source, 0, 8, 4), ElementsAre(16, 36, 5, 5.5F));
  std::vector<std::byte> bytes(60);
  source->read_bytes(0, 0, bytes);
  std::vector<float> decoded(15);
  decode(DType::f32, std::span<const std::byte>(bytes), std::span<float>(decoded));
  EXPECT_EQ(decoded, values_of(*source, 0, 0, 15));
  std::vector<std::byte> part(13);
  source->read_bytes(0, 7, part);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), bytes.begin() + 7));
}

// 3 * 0.1F is no float: the product is rounded once, and is the same number in double.
TEST(ScaledFp8, ValuesAreFloats) {
  const auto source =
      unscale_fp8(source_of({weight(), make_tensor("a.weight_scale", {}, {0.1F}, DType::f32)}));
  std::vector<double> value(1);
  source->read(0, 3, std::span<double>(value));
  EXPECT_EQ(value[0], static_cast<double>(3 * 0.1F));
}

TEST(ScaledFp8, SaysHowWeightsAreStored) {
  const auto source = unscale_fp8(
      source_of({weight(), make_tensor("a.weight_scale_inv", {2, 3}, {1, 2, 4, 0.5, 1, 10}),
                 make_tensor("norm.weight", {1}, {3})}),
      {.block = {2, 2}, .powers_of_two = true});
  const auto& scaled = dynamic_cast<const ScaledFp8Source&>(*source);
  EXPECT_EQ(scaled.format(1), nullptr);
  const Fp8Format* format = scaled.format(0);
  ASSERT_NE(format, nullptr);
  EXPECT_EQ(format->scaling, Fp8Scaling::block);
  EXPECT_EQ(format->ending, "_scale_inv");
  EXPECT_TRUE(format->powers_of_two);
  EXPECT_EQ(format->scale_shape({3, 5}), (Shape{2, 3}));
}

TEST(ScaledFp8, KnowsOneScaleAndOnePerRow) {
  const auto one =
      unscale_fp8(source_of({weight(), make_tensor("a.weight_scale", {}, {2}, DType::f32)}));
  EXPECT_THAT(values_of(*one, 0, 4, 3), ElementsAre(8, 10, 12));
  const auto rows = unscale_fp8(
      source_of({weight(), make_tensor("a.weight_scale", {3, 1}, {1, 2, 3}, DType::bf16),
                 make_tensor("a.input_scale", {1}, {7}, DType::f32)}));
  EXPECT_EQ(rows->tensors().size(), 1);
  EXPECT_THAT(values_of(*rows, 0, 4, 7), ElementsAre(4, 10, 12, 14, 16, 18, 30));
}

// Two matrices of 3 x 2, whose name does not end in "weight".
TEST(ScaledFp8, KnowsStacksOfMatrices) {
  const auto stack = [] {
    return make_tensor("experts.down_proj", {2, 3, 2}, {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6},
                       DType::f8_e4m3);
  };
  const auto read = [&](const char* ending, const Shape& shape, const std::vector<double>& scales) {
    const auto source = unscale_fp8(
        source_of({stack(), make_tensor(std::string("experts.down_proj") + ending, shape, scales)}),
        {.block = {2, 2}});
    EXPECT_EQ(source->tensors().size(), 1U);
    const Fp8Format* format = dynamic_cast<const ScaledFp8Source&>(*source).format(0);
    EXPECT_EQ(format->scale_shape({2, 3, 2}), shape);
    return values_of(*source, 0, 0, 12);
  };
  EXPECT_THAT(read("_scale_inv", {2, 2, 1}, {1, 10, 2, 20}),
              ElementsAre(1, 2, 3, 4, 50, 60, 2, 4, 6, 8, 100, 120));
  EXPECT_THAT(read("_scale", {2, 3, 1}, {1, 2, 3, 4, 5, 6}),
              ElementsAre(1, 2, 6, 8, 15, 18, 4, 8, 15, 20, 30, 36));
  for (const Shape& shape : {Shape{2}, Shape{2, 1}, Shape{2, 1, 1}}) {
    EXPECT_THAT(read("_scale", shape, {1, 10}),
                ElementsAre(1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60));
  }
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
    EXPECT_THAT(read("_scale", shape, {2}), ElementsAre(2, 4, 6, 8, 10, 12, 2, 4, 6, 8, 10, 12));
  }
  expect_error<InputError>([&] { read("_scale", {3}, {1, 1, 1}); }, "for each matrix");
}

// Powers of two are exact in F8_E5M2. Its layout is not written.
TEST(ScaledFp8, AppliesScalesToTheOther8BitFloatsToo) {
  const auto source =
      unscale_fp8(source_of({make_tensor("a.weight", {2, 2}, {1, 2, 4, 8}, DType::f8_e5m2),
                             make_tensor("a.weight_scale", {2, 1}, {3, 5}, DType::f32)}));
  ASSERT_EQ(source->tensors().size(), 1U);
  EXPECT_EQ(source->tensors()[0].dtype, DType::f32);
  EXPECT_THAT(values_of(*source, 0, 0, 4), ElementsAre(3, 6, 20, 40));
  EXPECT_EQ(dynamic_cast<const ScaledFp8Source&>(*source).format(0), nullptr);
}

TEST(ScaledFp8, KnowsTheNamesOfDiffusionModels) {
  const auto source =
      unscale_fp8(source_of({weight(), make_tensor("a.scale_weight", {}, {2}, DType::f32),
                             make_tensor("a.scale_input", {}, {7}, DType::f32),
                             make_tensor("b.weight", {2}, {1, 2}, DType::f8_e4m3),
                             make_tensor("scaled_fp8", {2}, {0, 0}, DType::f8_e4m3)}));
  ASSERT_EQ(source->tensors().size(), 2U);
  EXPECT_THAT(values_of(*source, 0, 4, 3), ElementsAre(8, 10, 12));
  EXPECT_EQ(dynamic_cast<const ScaledFp8Source&>(*source).format(0), nullptr);
  EXPECT_EQ(source->tensors()[1].dtype, DType::f8_e4m3);
  expect_error<InputError>(
      [] {
        unscale_fp8(source_of({weight(), make_tensor("a.scale_weight", {3}, {1, 2, 3})}));
      },
      "a.scale_weight", "[3]", "one number");
}

TEST(ScaledFp8, LeavesWeightsWithoutScalesAndScalesOfOthersAlone) {
  const auto source =
      unscale_fp8(source_of({weight(), make_tensor("b.weight_scale", {1}, {2}, DType::f32)}));
  EXPECT_EQ(source->tensors().size(), 2);
  EXPECT_EQ(source->tensors()[0].dtype, DType::f8_e4m3);
}

TEST(ScaledFp8, RefusesScalesThatDoNotFit) {
  expect_error<InputError>(
      [] {
        unscale_fp8(source_of(
            {weight(), make_tensor("a.weight_scale_inv", {2, 2}, {1, 1, 1, 1}, DType::f32)}));
      },
      "a.weight_scale_inv", "[2, 2]", "[3, 5]", "128 x 128");
}

TEST(PackedFormats, AreRefusedByName) {
  const auto refused = [](std::vector<std::string> names, std::string_view format) {
    std::vector<MemoryTensor> tensors;
    for (const std::string& name : names) tensors.push_back(make_tensor(name, {1}, {0}, DType::u8));
    const auto source = source_of(std::move(tensors));
    expect_error<InputError>([&] { refuse_packed_weights(*source, "model"); },
                             "packed as " + std::string(format), "dequantize");
  };
  refused({"q.qweight", "q.qzeros", "q.scales", "q.g_idx"}, "GPTQ");
  refused({"q.qweight", "q.qzeros", "q.scales"}, "AWQ");
  refused({"q.weight", "q.weight.absmax"}, "bitsandbytes");
  refused({"q.down_proj_blocks", "q.down_proj_scales"}, "MXFP4");
  refused({"q.weight", "q.weight_scale", "q.weight_scale_2"}, "NVFP4");
}

TEST(PackedFormats, AreKnownByTheConfigToo) {
  const TemporaryFolder folder;
  folder.write("config.json", R"({"quantization_config": {"quant_method": "bitsandbytes"}})");
  const auto packed = source_of({make_tensor("q.weight", {1}, {0}, DType::u8)});
  expect_error<InputError>([&] { refuse_packed_weights(*packed, folder.path()); }, "bitsandbytes");
  const auto plain = source_of({make_tensor("q.weight", {1}, {0}, DType::f16)});
  EXPECT_NO_THROW(refuse_packed_weights(*plain, folder.path()));
}

TEST(UnscaledFp8, IsRefusedBesideWhatIsCalledLikeItsScales) {
  for (const char* scales : {"a.scale", "a.scales", "a_scale", "a.scale_inv", "a.weight.scale",
                             "a.weight_scales", "a.input_scale", "a.scale_b"}) {
    const auto source =
        unscale_fp8(source_of({weight(), make_tensor(scales, {1}, {2}, DType::f32)}));
    for (const auto& refuse : {refuse_packed_weights, refuse_unscaled_fp8}) {
      expect_error<InputError>([&] { refuse(*source, "m.safetensors"); }, "m.safetensors",
                               "'a.weight' is F8_E4M3", std::string(scales), "*.weight_scale");
    }
  }
}

TEST(UnscaledFp8, IsNumbersWhereNothingSpeaksOfScales) {
  const TemporaryFolder folder;
  folder.write("config.json", R"({"model_type": "llama"})");
  const auto source = unscale_fp8(
      source_of({weight(), make_tensor("b.scale", {1}, {2}), make_tensor("a.upscale", {1}, {2}),
                 make_tensor("c.norm.scale", {1}, {2}, DType::f8_e4m3)}));
  EXPECT_NO_THROW(refuse_packed_weights(*source, folder.path()));
}

TEST(UnscaledFp8, IsRefusedWhereAConfigSaysThereAreScales) {
  const auto plain = source_of({weight()});
  for (const auto& [name, text] :
       {std::pair{"config.json", R"({"quantization_config": {"quant_method": "fp8"}})"},
        std::pair{"hf_quant_config.json", R"({"quantization": {"quant_algo": "FP8"}})"}}) {
    const TemporaryFolder folder;
    folder.write(name, text);
    const std::filesystem::path shard = folder.write("model-00001-of-00002.safetensors", "");
    for (const std::filesystem::path& path : {folder.path(), shard}) {
      expect_error<InputError>([&] { refuse_packed_weights(*plain, path); }, path.string(),
                               "'a.weight' is F8_E4M3 without scales", name, "a.weight_scale");
    }
    const auto scaled =
        unscale_fp8(source_of({weight(), make_tensor("a.weight_scale", {}, {2}, DType::f32)}));
    EXPECT_NO_THROW(refuse_packed_weights(*scaled, folder.path()));
  }
}

TEST(UnscaledFp8, IsRefusedWhereAnotherShardHasItsScales) {
  const TemporaryFolder folder;
  const std::filesystem::path shard = folder.write("model-00001-of-00002.safetensors", "");
  folder.write("model.safetensors.index.json",
               R"({"weight_map": {"a.weight": "model-00001-of-00002.safetensors",
                                  "a.weight_scale_inv": "model-00002-of-00002.safetensors"}})");
  const auto plain = source_of({weight()});
  expect_error<InputError>([&] { refuse_packed_weights(*plain, shard); }, shard.string(),
                           "a.weight_scale_inv", "another shard", "folder");
}

TEST(PackedFormats, TheSizeOfBlocksIsRead) {
  const TemporaryFolder folder;
  EXPECT_THAT(read_fp8_layout(folder.path()).block, ElementsAre(128, 128));
  folder.write("config.json", R"({"quantization_config": {"weight_block_size": [64, 32]}})");
  EXPECT_THAT(read_fp8_layout(folder.path()).block, ElementsAre(64, 32));
  folder.write("config.json",
               R"({"quantization_config": {"scale_fmt": "ue8m0", "config_groups": {"group_0":
                   {"weights": {"strategy": "block", "block_structure": [16, 8]}}}}})");
  EXPECT_THAT(read_fp8_layout(folder.path()).block, ElementsAre(16, 8));
  EXPECT_TRUE(read_fp8_layout(folder.path()).powers_of_two);
  folder.write("config.json", R"({"quantization_config": {"weight_block_size": [0, 32]}})");
  expect_error<InputError>([&] { read_fp8_layout(folder.path()); }, "weight_block_size");
}

}  // namespace
}  // namespace amalgam
