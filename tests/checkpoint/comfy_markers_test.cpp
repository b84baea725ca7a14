// What ComfyUI's checkpoints say of their layers, and what follows for whoever reads the numbers.
#include "amalgam/checkpoint/comfy_markers.hpp"

#include <gmock/gmock.h>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/checkpoint/packed_formats.hpp"
#include "amalgam/checkpoint/safetensors.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/checkpoint/scaled_fp8.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

using ::testing::ElementsAre;

constexpr const char* kFp8 = R"({"format": "float8_e4m3fn"})";

MemoryTensor marker(const std::string& name, const std::string& text, DType dtype = DType::u8) {
  std::vector<double> bytes;
  for (const char byte : text) bytes.push_back(static_cast<unsigned char>(byte));
  return make_tensor(name, {text.size()}, bytes, dtype);
}

MemoryTensor weight(const std::string& name, DType dtype = DType::f8_e4m3) {
  return make_tensor(name, {2, 2}, {1, 2, 3, 4}, dtype);
}

MemoryTensor scale(const std::string& name) { return make_tensor(name, {}, {2}); }

// From a file, since sources in memory have no metadata.
class ComfyMarkers : public ::testing::Test {
 protected:
  std::unique_ptr<TensorSource> open(const std::vector<MemoryTensor>& tensors,
                                     const std::string& metadata = {}) const {
    std::vector<TensorInfo> infos;
    for (const MemoryTensor& tensor : tensors) infos.push_back(tensor.info);
    std::map<std::string, std::string> entries = {{"title", "T"}};
    if (!metadata.empty()) entries[kComfyMetadata] = metadata;
    const std::filesystem::path file = folder_ / "m.safetensors";
    std::filesystem::remove(file);
    const auto sink = create_safetensors_file(file, infos, entries);
    for (std::size_t i = 0; i < tensors.size(); ++i) sink->write(i, 0, tensors[i].bytes);
    sink->finish();
    return unscale_fp8(open_safetensors(file));
  }

  static std::vector<std::string> names(const TensorSource& source) {
    std::vector<std::string> all;
    for (const TensorInfo& info : source.tensors()) all.push_back(info.name);
    return all;
  }

  void expect_refused(const TensorSource& source, const std::string& format) const {
    for (const auto& refuse : {refuse_packed_weights, refuse_unscaled_fp8}) {
      expect_error<InputError>([&] { refuse(source, "m.safetensors"); }, "m.safetensors",
                               "'a.weight' as " + format, "take the model they were made from");
    }
  }

  const TemporaryFolder folder_;
};

TEST_F(ComfyMarkers, GoWithTheScales) {
  const auto source = open({marker("a.comfy_quant", kFp8), weight("a.weight"),
                            scale("a.weight_scale"), weight("b.weight", DType::f16)});
  EXPECT_THAT(names(*source), ElementsAre("a.weight", "b.weight"));
  const auto& scaled = dynamic_cast<const ScaledFp8Source&>(*source);
  ASSERT_NE(scaled.marker(0), nullptr);
  EXPECT_EQ(*scaled.marker(0), kFp8);
  EXPECT_EQ(scaled.marker(1), nullptr);
  EXPECT_NO_THROW(refuse_packed_weights(*source, "m.safetensors"));
}

TEST_F(ComfyMarkers, OfTheMetadataGoToo) {
  const auto source = open({weight("a.weight"), scale("a.weight_scale")},
                           R"({"format_version": "1.0", "layers": {"a": {"format": "float8_e4m3fn"},
                                                   "gone": {"format": "nvfp4"}}})");
  EXPECT_EQ(*dynamic_cast<const ScaledFp8Source&>(*source).marker(0),
            R"({"format":"float8_e4m3fn"})");
  EXPECT_FALSE(source->metadata().contains(kComfyMetadata));
  EXPECT_EQ(source->metadata().at("title"), "T");
  EXPECT_NO_THROW(refuse_packed_weights(*source, "m.safetensors"));
}

TEST_F(ComfyMarkers, OfOtherFormatsAreRefusedByName) {
  expect_refused(
      *open({marker("a.comfy_quant", R"({"format": "int8_tensorwise"})"),
             make_tensor("a.weight", {2, 2}, {1, 2, 3, 4}, DType::i8), scale("a.weight_scale")}),
      "int8_tensorwise");
  // Its scales, of 8 bits, are not those of FP8.
  const auto mxfp8 =
      open({marker("a.comfy_quant", R"({"format": "mxfp8"})"), weight("a.weight"),
            make_tensor("a.weight_scale", {2, 1}, {127, 127}, DType::u8), weight("b.weight"),
            marker("b.comfy_quant", kFp8), scale("b.weight_scale")});
  expect_refused(*mxfp8, "mxfp8");
  EXPECT_THAT(names(*mxfp8),
              ElementsAre("a.comfy_quant", "a.weight", "a.weight_scale", "b.weight"));
  expect_refused(
      *open({weight("a.weight"), scale("a.weight_scale"),
             marker("a.comfy_quant", R"({"format": "float8_e4m3fn", "convrot": true})")}),
      "float8_e4m3fn with 'convrot'");
  const auto mixed = open({make_tensor("a.weight", {4}, {1, 2, 3, 4}, DType::i8),
                           weight("b.weight"), scale("b.weight_scale")},
                          R"({"layers": {"a": {"format": "int8_blockwise", "group_size": 128},
                                         "b": {"format": "float8_e4m3fn"}}})");
  expect_refused(*mixed, "int8_blockwise");
}

TEST_F(ComfyMarkers, OfWeightsThatAreNotSoAreRefused) {
  const auto plain = open({marker("a.comfy_quant", kFp8), weight("a.weight", DType::bf16)});
  const auto unscaled = open({marker("a.comfy_quant", kFp8), weight("a.weight")});
  for (const auto& [source, type] : {std::pair{&plain, "BF16"}, std::pair{&unscaled, "F8_E4M3"}}) {
    expect_error<InputError>([&] { refuse_packed_weights(**source, "m.safetensors"); },
                             "'a.weight' is " + std::string(type), "says float8_e4m3fn",
                             "'a.weight_scale'", "delete the marker");
  }
  expect_error<InputError>(
      [&] {
        open({marker("a.comfy_quant", R"({"format": "float8_e5m2"})"), weight("a.weight"),
              scale("a.weight_scale")});
      },
      "'a.comfy_quant'", "'a.weight' is float8_e5m2, but it is F8_E4M3");
  // Beside no weight there is nothing to misread.
  const auto alone = open({marker("b.comfy_quant", kFp8), weight("a.weight", DType::bf16)});
  EXPECT_NO_THROW(refuse_packed_weights(*alone, "m.safetensors"));
}

TEST_F(ComfyMarkers, AreCheckedLikeAnyInput) {
  const auto open_with = [&](const MemoryTensor& one) {
    open({one, weight("a.weight"), scale("a.weight_scale")});
  };
  for (const char* text : {"[]", "{}", R"({"format": 8})", R"("float8_e4m3fn")"}) {
    expect_error<InputError>([&] { open_with(marker("a.comfy_quant", text)); }, "m.safetensors",
                             "'a.comfy_quant'", "a JSON object with a 'format'");
  }
  expect_error<InputError>([&] { open_with(marker("a.comfy_quant", "{\"format\"")); },
                           "'a.comfy_quant'", "JSON");
  expect_error<InputError>([&] { open_with(marker("a.comfy_quant", "")); }, "'a.comfy_quant'");
  expect_error<InputError>(
      [&] {
        open_with(marker("a.comfy_quant", R"({"format": ")" + std::string(100, 'x') + "\"}"));
      },
      "a JSON object with a 'format'");
  expect_error<InputError>([&] { open_with(marker("a.comfy_quant", std::string(70'000, '['))); },
                           "U8 [70000]", "at most 65536");
  expect_error<InputError>([&] { open_with(marker("a.comfy_quant", "{}", DType::i8)); }, "I8 [2]");
  expect_error<InputError>(
      [&] {
        open({weight("a.weight"), scale("a.weight_scale")}, R"({"layers": []})");
      },
      std::string("metadata '") + kComfyMetadata, "'layers', an object");
  expect_error<InputError>(
      [&] {
        open({weight("a.weight"), scale("a.weight_scale")}, R"({"layers": {"a": 1}})");
      },
      "layer 'a'", "a JSON object with a 'format'");
}

}  // namespace
}  // namespace amalgam
