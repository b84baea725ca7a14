// FP8 checkpoints for ComfyUI, whose layers are marked as such: the marks are true of what is
// written.
#include <map>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

constexpr const char* kMetadata = "_quantization_metadata";
const std::string kPlain = R"({"format": "float8_e4m3fn"})";
const std::string kFull = R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})";

class ComfyFp8 : public ::testing::Test {
 protected:
  ComfyFp8() {
    write("a", 1, kPlain);
    write("b", 3, kFull);
  }

  std::string path(const std::string& name) const {
    return (folder_ / (name + ".safetensors")).string();
  }

  static MemoryTensor marker(const std::string& name, const std::string& text) {
    std::vector<double> bytes(text.begin(), text.end());
    return make_tensor(name, {text.size()}, bytes, DType::u8);
  }

  // Two layers of a weight 448 times `value` (as 1 of FP8 times a scale) and a bias.
  void write(const std::string& name, double value, const std::string& text,
             const std::string& metadata = {}) const {
    std::vector<MemoryTensor> tensors;
    for (const std::string layer : {"blocks.0.q", "blocks.1.q"}) {
      tensors.push_back(
          make_tensor(layer + ".weight", {2, 2}, {448, 224, -112, 0}, DType::f8_e4m3));
      tensors.push_back(make_tensor(layer + ".weight_scale", {}, {value}));
      tensors.push_back(make_tensor(layer + ".input_scale", {}, {5}));
      tensors.push_back(make_tensor(layer + ".bias", {2}, {1, 2}, DType::bf16));
      if (!text.empty()) tensors.push_back(marker(layer + ".comfy_quant", text));
    }
    std::vector<TensorInfo> infos;
    for (const MemoryTensor& tensor : tensors) infos.push_back(tensor.info);
    std::map<std::string, std::string> entries;
    if (!metadata.empty()) entries[kMetadata] = metadata;
    const auto sink = create_safetensors_file(path(name), infos, entries);
    for (std::size_t i = 0; i < tensors.size(); ++i) sink->write(i, 0, tensors[i].bytes);
    sink->finish();
  }

  void run_well(const std::vector<std::string>& words) const {
    const RunResult result = run_amalgam(words);
    ASSERT_EQ(result.code, 0) << result.err;
  }

  // The text of a layer's marker in what was written; nothing if it has none.
  std::string marker_in(const std::string& name, const std::string& layer) const {
    const auto stored = open_stored_checkpoint(path(name));
    if (!stored->find(layer + ".comfy_quant")) return {};
    const std::vector<std::byte> bytes = bytes_of(*stored, layer + ".comfy_quant");
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  const TemporaryFolder folder_;
};

TEST_F(ComfyFp8, PlainNumbersHaveNoMarkers) {
  run_well({"convert", path("a"), path("bf16"), "--dtype", "bf16"});
  run_well({"merge", "-m", "linear", path("a"), path("b"), "-p", "weight=0.5", "--dtype", "f16",
            "-o", path("f16")});
  for (const char* name : {"bf16", "f16"}) {
    const auto stored = open_stored_checkpoint(path(name));
    EXPECT_EQ(stored->tensors().size(), 4U) << name;
    EXPECT_EQ(marker_in(name, "blocks.0.q"), "") << name;
  }
  EXPECT_EQ(values_of(*open_checkpoint(path("f16")), "blocks.1.q.weight"),
            (std::vector<double>{896, 448, -224, 0}));
}

TEST_F(ComfyFp8, WhatIsFp8AgainIsMarkedAsTheBaseIs) {
  run_well({"merge", "-m", "linear", path("a"), path("b"), "-p", "weight=0.5", "-o", path("ab")});
  run_well({"merge", "-m", "linear", path("b"), path("a"), "-p", "weight=0.5", "--dtype",
            "fp8_tensor", "-o", path("ba")});
  for (const std::string layer : {"blocks.0.q", "blocks.1.q"}) {
    EXPECT_EQ(marker_in("ab", layer), kPlain);
    EXPECT_EQ(marker_in("ba", layer), kFull);
  }
  const auto stored = open_stored_checkpoint(path("ab"));
  EXPECT_EQ(stored->tensors().size(), 8U);  // without scales of activations
  EXPECT_EQ(values_of(*stored, "blocks.0.q.weight"), (std::vector<double>{448, 224, -112, 0}));
  EXPECT_EQ(values_of(*stored, "blocks.0.q.weight_scale"), (std::vector<double>{2}));
  // Scales of another shape are none that ComfyUI reads.
  run_well({"convert", path("a"), path("rows"), "--dtype", "fp8_channel"});
  EXPECT_EQ(marker_in("rows", "blocks.0.q"), "");
}

TEST_F(ComfyFp8, ScalesOfActivationsAreWarnedOfOnceForEveryModel) {
  const RunResult result = run_amalgam(
      {"merge", "-m", "linear", path("a"), path("b"), "-p", "weight=0.5", "-o", path("ab")});
  ASSERT_EQ(result.code, 0) << result.err;
  for (const char* name : {"a", "b"}) {
    const std::string warning = path(name) + ": 2 scales of activations";
    const std::size_t first = result.err.find(warning);
    ASSERT_NE(first, std::string::npos) << result.err;
    EXPECT_EQ(result.err.find(warning, first + 1), std::string::npos) << result.err;
  }
}

TEST_F(ComfyFp8, LayersInOtherPlacesTakeTheirMarkersAlong) {
  folder_.write("stack.yml",
                "merge_method: passthrough\nslices:\n- sources: [{model: " + path("a") +
                    ", layer_range: [1, 2]}]\n- sources: [{model: " + path("a") +
                    ", layer_range: [0, 2]}]\n");
  run_well({"merge", (folder_ / "stack.yml").string(), "-o", path("stack")});
  for (const std::string layer : {"blocks.0.q", "blocks.1.q", "blocks.2.q"}) {
    EXPECT_EQ(marker_in("stack", layer), kPlain) << layer;
    EXPECT_EQ(bytes_of(*open_stored_checkpoint(path("stack")), layer + ".weight"),
              bytes_of(*open_stored_checkpoint(path("a")), "blocks.0.q.weight"));
  }
}

// Markers in the metadata name layers that need not be those of the output: they become tensors.
TEST_F(ComfyFp8, MarkersOfTheMetadataBecomeTensorsOrGo) {
  write("m", 1, "",
        R"({"format_version": "1.0", "layers": {"blocks.0.q": {"format": "float8_e4m3fn"},
            "blocks.1.q": {"format": "float8_e4m3fn", "full_precision_matrix_mult": true}}})");
  run_well({"merge", "-m", "linear", path("m"), path("a"), "-p", "weight=0.5", "-o", path("ma")});
  EXPECT_EQ(marker_in("ma", "blocks.0.q"), R"({"format":"float8_e4m3fn"})");
  EXPECT_EQ(marker_in("ma", "blocks.1.q"),
            R"({"format":"float8_e4m3fn","full_precision_matrix_mult":true})");
  run_well({"convert", path("m"), path("plain"), "--dtype", "bf16"});
  EXPECT_EQ(marker_in("plain", "blocks.0.q"), "");
  run_well({"convert", path("m"), path("same")});
  EXPECT_EQ(marker_in("same", "blocks.0.q"), marker_in("ma", "blocks.0.q"));
  for (const char* name : {"ma", "plain", "same"}) {
    EXPECT_FALSE(open_stored_checkpoint(path(name))->metadata().contains(kMetadata)) << name;
  }
}

TEST_F(ComfyFp8, OtherFormatsAreRefusedByName) {
  write_safetensors(folder_ / "i.safetensors",
                    {make_tensor("blocks.0.q.weight", {2, 2}, {1, 2, 3, 4}, DType::i8),
                     make_tensor("blocks.0.q.weight_scale", {}, {1}),
                     marker("blocks.0.q.comfy_quant", R"({"format": "int8_tensorwise"})")});
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"merge", "-m", "linear", path("i"), path("i"), "-p", "weight=1", "-o", path("x")},
           {"convert", path("i"), path("x"), "--dtype", "bf16"},
           {"diff", path("i"), path("i")}}) {
    expect_bad_usage(run_amalgam(words), path("i"), "'blocks.0.q.weight' as int8_tensorwise");
  }
  EXPECT_FALSE(std::filesystem::exists(path("x")));
  EXPECT_EQ(run_amalgam({"convert", path("i"), path("x")}).code, 0);
}

}  // namespace
}  // namespace amalgam
