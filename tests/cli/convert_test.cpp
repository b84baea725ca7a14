#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/core/random.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

std::vector<double> normal_values(std::size_t count) {
  RandomStream random(3, "convert");
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(random.normal());
  return values;
}

std::vector<MemoryTensor> small_model() {
  return {make_tensor("layers.0.weight", {4, 64}, normal_values(256)),
          make_tensor("layers.0.bias", {5}, {1, -2, 3.5, 0, 65504}, DType::f16),
          make_tensor("layers.1.weight", {3, 33}, normal_values(99), DType::bf16),
          make_tensor("empty", {0, 2}, {}), make_tensor("count", {}, {12345}, DType::i64)};
}

const TensorInfo& info_of(const TensorSource& source, std::string_view name) {
  return source.tensors().at(index_of(source, name));
}

void expect_same_tensors(const fs::path& path, const std::vector<MemoryTensor>& expected) {
  const auto source = open_checkpoint(path);
  EXPECT_EQ(source->tensors().size(), expected.size()) << path;
  for (const MemoryTensor& tensor : expected) {
    const TensorInfo& info = info_of(*source, tensor.info.name);
    EXPECT_EQ(info.dtype, tensor.info.dtype) << info.name;
    EXPECT_EQ(info.shape, tensor.info.shape) << info.name;
    EXPECT_EQ(bytes_of(*source, info.name), tensor.bytes) << info.name;
  }
}

void expect_done(const RunResult& result) { ASSERT_EQ(result.code, 0) << result.err; }

TEST(Convert, EveryFormatToEveryOtherKeepsEveryByte) {
  const TemporaryFolder folder;
  const std::vector<MemoryTensor> model = small_model();
  write_safetensors(folder / "start.safetensors", model);
  const std::vector<std::string> forms = {".safetensors", ".gguf", ""};
  for (const std::string& from : forms) {
    const std::string middle = (folder / ("middle" + from)).string();
    expect_done(run_amalgam({"convert", (folder / "start.safetensors").string(), middle}));
    for (const std::string& to : forms) {
      const std::string end = (folder / ("end" + from + ".to" + to)).string();
      expect_done(run_amalgam({"convert", middle, end, "--threads", "2"}));
      expect_same_tensors(end, model);
      EXPECT_EQ(fs::is_directory(end), to.empty());
    }
  }
}

TEST(Convert, ReadsFilesOfOtherPrograms) {
  const TemporaryFolder folder;
  for (const char* name : {"torch/types.pt", "torch/views.pt", "torch/tied.bin", "gguf/v3.gguf"}) {
    const fs::path in = fs::path(AMALGAM_TEST_DATA) / name;
    const std::string out = (folder / (in.stem().string() + ".safetensors")).string();
    expect_done(run_amalgam({"convert", in.string(), out}));
    const auto before = open_checkpoint(in);
    const auto after = open_checkpoint(out);
    ASSERT_EQ(after->tensors().size(), before->tensors().size()) << name;
    EXPECT_FALSE(before->tensors().empty()) << name;
    for (const TensorInfo& info : before->tensors()) {
      EXPECT_EQ(info_of(*after, info.name).shape, info.shape) << name << " " << info.name;
      EXPECT_EQ(values_of(*after, info.name), values_of(*before, info.name)) << info.name;
    }
  }
  const std::string forbidden = (fs::path(AMALGAM_TEST_DATA) / "torch/forbidden.pt").string();
  expect_bad_usage(run_amalgam({"convert", forbidden, (folder / "x.gguf").string()}),
                   "forbidden.pt");
}

TEST(Convert, DtypeRoundsOnceToNearestEvenAndLeavesIntegers) {
  const TemporaryFolder folder;
  // 1 + 2^-8 is halfway between two bfloat16 numbers and goes to the even one; the tail of the
  // second, lost if it went through float32, decides upwards.
  const std::string in = write_safetensors(
      folder / "a.safetensors",
      {make_tensor("x", {3}, {1 + 0x1p-8, 1 + 0x1p-8 + 0x1p-40, -0.1}, DType::f64),
       make_tensor("n", {2}, {1, 300}, DType::i32)});
  const std::string out = (folder / "b.safetensors").string();
  expect_done(run_amalgam({"convert", in, out, "--dtype", "bfloat16"}));
  const auto source = open_checkpoint(out);
  EXPECT_EQ(info_of(*source, "x").dtype, DType::bf16);
  EXPECT_EQ(info_of(*source, "n").dtype, DType::i32);
  EXPECT_EQ(values_of(*source, "x"), (std::vector<double>{1, 1 + 0x1p-7, -0.10009765625}));
  EXPECT_EQ(values_of(*source, "n"), (std::vector<double>{1, 300}));
}

TEST(Convert, NumbersBeyondTheNewTypeAreReported) {
  const TemporaryFolder folder;
  const std::string in =
      write_safetensors(folder / "a.safetensors", {make_tensor("x", {4}, {65519, 65520, -1e5, 1})});
  const std::string out = (folder / "b.safetensors").string();
  const RunResult result = run_amalgam({"convert", in, out, "--dtype", "f16", "--json"});
  expect_done(result);
  EXPECT_NE(result.err.find("'x': 2 finite numbers are beyond the range of F16"), std::string::npos)
      << result.err;
  EXPECT_EQ(result.json()["overflows"], 2);
  EXPECT_EQ(result.json()["bytes_written"], 8);
}

TEST(Convert, ANanTakesItsQuantisedBlockWithIt) {
  const TemporaryFolder folder;
  std::vector<double> values(64, 1.0);
  values[0] = std::numeric_limits<double>::quiet_NaN();
  const std::string in =
      write_safetensors(folder / "a.safetensors", {make_tensor("x", {2, 32}, values)});
  const RunResult result =
      run_amalgam({"convert", in, (folder / "b.gguf").string(), "--dtype", "q4_0", "--json"});
  expect_done(result);
  EXPECT_NE(result.err.find("31 finite numbers are in a block with NaN"), std::string::npos)
      << result.err;
  EXPECT_EQ(result.json()["overflows"], 31);
}

TEST(Convert, QuantisesOnlyMatricesOfWholeBlocks) {
  const TemporaryFolder folder;
  const std::vector<MemoryTensor> model = small_model();
  const std::string in = write_safetensors(folder / "a.safetensors", model);
  const std::string out = (folder / "q.gguf").string();
  expect_done(run_amalgam({"convert", in, out, "--quant", "q8_0"}));
  const auto source = open_checkpoint(out);
  EXPECT_EQ(info_of(*source, "layers.0.weight").dtype, DType::q8_0);
  EXPECT_EQ(info_of(*source, "layers.0.bias").dtype, DType::f16);
  EXPECT_EQ(info_of(*source, "layers.1.weight").dtype, DType::bf16);
  // A block of 32 has step max/127, so every value is within half of that (plus the rounding of the
  // scale to float16).
  const std::vector<double> before = normal_values(256);
  const std::vector<double> after = values_of(*source, "layers.0.weight");
  for (std::size_t block = 0; block < 256; block += 32) {
    double largest = 0;
    for (std::size_t i = block; i < block + 32; ++i)
      largest = std::max(largest, std::abs(before[i]));
    for (std::size_t i = block; i < block + 32; ++i) {
      EXPECT_NEAR(after[i], before[i], largest / 127 * 0.5 + largest * 0x1p-10);
    }
  }
  // Back to safetensors, which has no such type: F32, without a further loss.
  const std::string back = (folder / "back.safetensors").string();
  expect_done(run_amalgam({"convert", out, back}));
  EXPECT_EQ(info_of(*open_checkpoint(back), "layers.0.weight").dtype, DType::f32);
  EXPECT_EQ(values_of(*open_checkpoint(back), "layers.0.weight"), after);
}

// Root of the sum of squares of the differences over that of the values.
double relative_error(const std::vector<double>& after, const std::vector<double>& before) {
  double error = 0;
  double squares = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    error += (after[i] - before[i]) * (after[i] - before[i]);
    squares += before[i] * before[i];
  }
  return std::sqrt(error / squares);
}

TEST(Convert, KQuantsReportTheErrorOfEveryTensor) {
  const TemporaryFolder folder;
  const std::vector<double> large = normal_values(5 * 512);
  const std::vector<double> narrow = normal_values(4 * 96);
  const std::string in =
      write_safetensors(folder / "a.safetensors", {make_tensor("a.weight", {5, 512}, large),
                                                   make_tensor("b.weight", {4, 96}, narrow),
                                                   make_tensor("norm", {512}, normal_values(512))});
  const std::string out = (folder / "q.gguf").string();
  const RunResult result = run_amalgam({"convert", in, out, "--dtype", "q4_k", "--json"});
  expect_done(result);
  const auto source = open_checkpoint(out);
  EXPECT_EQ(info_of(*source, "a.weight").dtype, DType::q4_k);
  EXPECT_EQ(info_of(*source, "b.weight").dtype, DType::q5_0);
  EXPECT_EQ(info_of(*source, "norm").dtype, DType::f32);
  EXPECT_NE(result.err.find("1 of the matrices is Q5_0 instead of Q4_K"), std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("'b.weight'"), std::string::npos) << result.err;
  const auto tensors = result.json()["quantisation"]["tensors"];
  ASSERT_EQ(tensors.size(), 2U);
  EXPECT_EQ(tensors[0]["tensor"], "a.weight");
  EXPECT_EQ(tensors[0]["dtype"], "Q4_K");
  EXPECT_EQ(tensors[0]["elements"], 5 * 512);
  const double error = relative_error(values_of(*source, "a.weight"), large);
  EXPECT_GT(error, 0.02);
  EXPECT_NEAR(tensors[0]["relative"], error, 1e-6);
  EXPECT_NEAR(tensors[1]["relative"], relative_error(values_of(*source, "b.weight"), narrow), 1e-6);
  // The same as a table, whatever the threads.
  const RunResult table = run_amalgam({"convert", in, (folder / "r.gguf").string(), "--quant",
                                       "q4_k", "--errors", "--threads", "1"});
  expect_done(table);
  EXPECT_NE(table.out.find("a.weight  Q4_K"), std::string::npos) << table.out;
  EXPECT_EQ(contents_of(folder / "r.gguf"), contents_of(folder / "q.gguf"));
}

TEST(Convert, AnImportanceMatrixLowersTheErrorItWeighs) {
  const TemporaryFolder folder;
  const std::vector<double> values = normal_values(16 * 256);
  const MemoryTensor tensor = make_tensor("blk.0.w.weight", {16, 256}, values);
  create_gguf_file(folder / "a.gguf", {tensor.info}, minimal_gguf_metadata("llama", "tiny"))
      ->write(0, 0, tensor.bytes);
  // The first columns matter most.
  std::vector<double> importance;
  for (int i = 0; i < 256; ++i) importance.push_back(i % 32 < 4 ? 100 : 0.5);
  const std::vector<MemoryTensor> sums = {
      make_tensor("blk.0.w.weight.in_sum2", {1, 256}, importance),
      make_tensor("blk.0.w.weight.counts", {1, 1}, {1})};
  const auto sink = create_gguf_file(folder / "im.gguf", {sums[0].info, sums[1].info}, {});
  for (std::size_t t = 0; t < 2; ++t) sink->write(t, 0, sums[t].bytes);
  sink->finish();
  const auto weighted_error = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = {
        "convert",    (folder / "a.gguf").string(), (folder / "q.gguf").string(), "--dtype", "q3_k",
        "--overwrite"};
    words.insert(words.end(), more.begin(), more.end());
    const RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    const std::vector<double> after =
        values_of(*open_checkpoint(folder / "q.gguf"), "blk.0.w.weight");
    double error = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      error += importance[i % 256] * (after[i] - values[i]) * (after[i] - values[i]);
    }
    return error;
  };
  const double plain = weighted_error({});
  EXPECT_LT(weighted_error({"--imatrix", (folder / "im.gguf").string()}), 0.8 * plain);
  expect_bad_usage(
      run_amalgam({"convert", (folder / "a.gguf").string(), (folder / "x.gguf").string(),
                   "--imatrix", (folder / "im.gguf").string()}),
      "--imatrix");
}

TEST(Convert, TypesThatAreOnlyReadAreNoAim) {
  const TemporaryFolder folder;
  const std::string in = write_safetensors(folder / "a.safetensors", small_model());
  for (const char* type : {"iq2_xxs", "q8_k", "q4_k_l"}) {
    expect_bad_usage(run_amalgam({"convert", in, (folder / "q.gguf").string(), "--dtype", type}),
                     type, "IQ4_XS");
  }
}

TEST(Convert, GgufToGgufKeepsItsMetadata) {
  const TemporaryFolder folder;
  GgufMetadata metadata = minimal_gguf_metadata("llama", "tiny");
  metadata.set("tokenizer.ggml.tokens", GgufValue::of(std::vector<std::string>{"<s>", "a", "b"}));
  metadata.set("llama.block_count", GgufValue::of(std::uint32_t{2}));
  const MemoryTensor tensor = make_tensor("w", {2, 32}, normal_values(64));
  create_gguf_file(folder / "a.gguf", {tensor.info}, metadata)->write(0, 0, tensor.bytes);
  const std::string out = (folder / "b.gguf").string();
  expect_done(run_amalgam({"convert", (folder / "a.gguf").string(), out, "--quant", "q4_0"}));
  const auto source = open_checkpoint(out);
  const GgufMetadata* kept = find_gguf_metadata(*source);
  ASSERT_NE(kept, nullptr);
  for (const char* key :
       {"general.architecture", "general.name", "tokenizer.ggml.tokens", "llama.block_count"}) {
    ASSERT_NE(kept->find(key), nullptr) << key;
    EXPECT_EQ(*kept->find(key), *metadata.find(key)) << key;
  }
}

TEST(Convert, AFolderKeepsConfigAndTokenizerWithTheNewDtype) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "in");
  write_safetensors(folder / "in/model.safetensors", small_model());
  folder.write("in/config.json", R"({"model_type": "llama", "torch_dtype": "float32", "a": 1})");
  folder.write("in/tokenizer.json", "{}");
  folder.write("in/chat_template.jinja", "{{ x }}");
  folder.write("in/additional_chat_templates/rag.jinja", "{{ y }}");
  folder.write("in/LICENSE", "terms");
  folder.write("in/pytorch_model.bin", "old weights");
  folder.write("in/.hidden", "x");
  const std::string out = (folder / "out").string();
  expect_done(run_amalgam({"convert", (folder / "in").string(), out, "--dtype", "bf16"}));
  EXPECT_EQ(contents_of(folder / "out/config.json"),
            "{\n  \"model_type\": \"llama\",\n  \"torch_dtype\": \"bfloat16\",\n  \"a\": 1\n}\n");
  EXPECT_EQ(contents_of(folder / "out/tokenizer.json"), "{}");
  EXPECT_EQ(contents_of(folder / "out/chat_template.jinja"), "{{ x }}");
  EXPECT_EQ(contents_of(folder / "out/additional_chat_templates/rag.jinja"), "{{ y }}");
  EXPECT_EQ(contents_of(folder / "out/LICENSE"), "terms");
  EXPECT_FALSE(fs::exists(folder / "out/pytorch_model.bin"));
  EXPECT_FALSE(fs::exists(folder / "out/.hidden"));
  EXPECT_EQ(info_of(*open_checkpoint(out), "layers.0.weight").dtype, DType::bf16);
  // The architecture of a GGUF made from it is the config's.
  const std::string gguf = (folder / "out.gguf").string();
  expect_done(run_amalgam({"convert", out, gguf}));
  EXPECT_EQ(find_gguf_metadata(*open_checkpoint(gguf))->find("general.architecture")->as_string(),
            "llama");
}

TEST(Convert, ShardSizeSplitsAFolder) {
  const TemporaryFolder folder;
  const std::vector<MemoryTensor> model = small_model();
  const std::string in = write_safetensors(folder / "a.safetensors", model);
  const std::string out = (folder / "out").string();
  expect_done(run_amalgam({"convert", in, out, "--shard-size", "1000"}));
  EXPECT_TRUE(fs::exists(folder / "out/model.safetensors.index.json"));
  EXPECT_FALSE(fs::exists(folder / "out/model.safetensors"));
  expect_same_tensors(out, model);
}

TEST(Convert, ShardSizeSplitsAGgufFileWhichEveryCommandReads) {
  const TemporaryFolder folder;
  const std::vector<MemoryTensor> model = small_model();
  const std::string in = write_safetensors(folder / "a.safetensors", model);
  const std::string out = (folder / "out.gguf").string();
  expect_done(run_amalgam({"convert", in, out, "--shard-size", "1000"}));
  EXPECT_FALSE(fs::exists(out));
  const fs::path first = folder / "out-00001-of-00003.gguf";
  expect_same_tensors(first, model);
  const std::string back = (folder / "back.safetensors").string();
  expect_done(run_amalgam({"convert", first.string(), back}));
  expect_same_tensors(back, model);
  // The parts are not written over while they are read.
  expect_bad_usage(
      run_amalgam({"convert", first.string(), out, "--shard-size", "1000", "--overwrite"}),
      "also an input");
  // What fits into one file is not split.
  expect_done(run_amalgam({"convert", in, out, "--shard-size", "1MB"}));
  expect_same_tensors(out, model);
}

TEST(Convert, AnExistingOutputIsOnlyReplacedWhenAsked) {
  const TemporaryFolder folder;
  const std::string in = write_safetensors(folder / "a.safetensors", small_model());
  const std::string out = write_safetensors(folder / "b.safetensors", {make_tensor("x", {1}, {1})});
  expect_bad_usage(run_amalgam({"convert", in, out}), "b.safetensors", "--overwrite");
  expect_same_tensors(out, {make_tensor("x", {1}, {1})});
  expect_done(run_amalgam({"convert", in, out, "--overwrite"}));
  expect_same_tensors(out, small_model());
}

TEST(Convert, BadUsageLeavesNothingBehind) {
  const TemporaryFolder folder;
  const std::string in = write_safetensors(folder / "a.safetensors", small_model());
  const std::string out = (folder / "b.safetensors").string();
  expect_bad_usage(run_amalgam({"convert", in, out, "--dtype", "f17"}), "'f17'", "BF16");
  expect_bad_usage(run_amalgam({"convert", in, out, "--dtype", "q8_0"}), "GGUF");
  expect_bad_usage(run_amalgam({"convert", in, out, "--dtype", "i32"}), "'i32'");
  expect_bad_usage(run_amalgam({"convert", in, out, "--quant", "q8_0"}), "GGUF");
  expect_bad_usage(run_amalgam({"convert", in, in, "--overwrite"}), "the output is also an input");
  expect_bad_usage(run_amalgam({"convert", (folder / "none").string(), out}), "none");
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    left.push_back(entry.path().filename().string());
  }
  EXPECT_EQ(left, std::vector<std::string>{"a.safetensors"});
}

TEST(Convert, GgufRefusesTypesItDoesNotHaveByName) {
  const TemporaryFolder folder;
  const std::string in = write_safetensors(folder / "a.safetensors",
                                           {make_tensor("mask", {2}, {1, 0}, DType::boolean)});
  const std::string out = (folder / "b.gguf").string();
  const RunResult result = run_amalgam({"convert", in, out, "--quiet"});
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("b.gguf: tensor 'mask' is BOOL, which GGUF does not have"),
            std::string::npos)
      << result.err;
  EXPECT_FALSE(fs::exists(out));
  EXPECT_FALSE(fs::exists(folder / ".b.gguf.partial"));
}

// Before anything is made, with the types that there are and none that is only read.
TEST(Convert, GgufIsNoPlaceForFp8) {
  const TemporaryFolder folder;
  const std::string in = write_safetensors(folder / "a.safetensors", small_model());
  const std::string out = (folder / "new" / "b.gguf").string();
  for (const std::string type : {"f8_e4m3", "F8_E5M2", "fp8_block", "fp8_tensor"}) {
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"convert", in, out},
          {"lora", "apply", in, in, out},
          {"merge", "-m", "linear", in, in, "-p", "weight=1", "-o", out, "--resume"},
          {"merge", "-m", "linear", in, in, "-p", "weight=1", "-o", out, "--dry-run"}}) {
      if (words[0] == "lora" && type.starts_with("fp8")) continue;
      std::vector<std::string> all = words;
      all.insert(all.end(), {"--dtype", type});
      expect_bad_usage(
          run_amalgam(all), "b.gguf: GGUF has no " + (type[1] == '8' ? "F8_E" : type),
          "one of the types F64, F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q5_K_M, Q5_1, Q5_0, "
          "Q4_K, Q4_K_M, Q4_1, Q4_0, IQ4_NL, IQ4_XS, Q3_K, Q3_K_M or Q2_K\n");
      EXPECT_FALSE(fs::exists(folder / "new"));
    }
  }
  // What is said can be done.
  for (const char* type :
       {"F64", "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q5_K_M", "Q5_1", "Q5_0", "Q4_K",
        "Q4_K_M", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K", "Q3_K_M", "Q2_K"}) {
    expect_done(run_amalgam({"convert", in, out, "--dtype", type, "--overwrite", "--quiet"}));
  }
}

}  // namespace
}  // namespace amalgam
