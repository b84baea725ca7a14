#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/tensor/convert.hpp"
#include "tests/cli/fp8_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

class Fp8Command : public Fp8Fixture {
 protected:
  // An adapter of rank 1 that adds 0.5 to every element of up_proj.
  void write_adapter(const std::string& name) const {
    fs::create_directories(folder_.path() / name);
    const std::string module = "base_model.model.model.layers.0.mlp.up_proj.";
    write_safetensors(
        folder_.path() / name / "adapter_model.safetensors",
        {make_tensor(module + "lora_A.weight", {1, kColumns}, std::vector<double>(kColumns, 1.0)),
         make_tensor(module + "lora_B.weight", {kRows, 1}, std::vector<double>(kRows, 0.5))});
    folder_.write(
        name + "/adapter_config.json",
        R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["up_proj"]})");
  }
  // Scales and codes of a matrix by the plain definition: a block's largest magnitude / 448, and
  // value / scale rounded.
  struct Reference {
    std::vector<float> scales;
    std::vector<std::byte> codes;
  };
  static Reference quantised(const std::vector<float>& values, std::size_t rows,
                             std::size_t columns) {
    constexpr std::size_t kBlock = 128;
    const std::size_t across = (columns + kBlock - 1) / kBlock;
    Reference made;
    made.scales.resize((rows + kBlock - 1) / kBlock * across);
    const auto scale_at = [&](std::size_t i) -> float& {
      return made.scales[i / columns / kBlock * across + i % columns / kBlock];
    };
    for (std::size_t i = 0; i < values.size(); ++i) {
      scale_at(i) = std::max(scale_at(i), std::abs(values[i]));
    }
    for (float& scale : made.scales) scale = scale == 0 ? 1 : scale / 448;
    std::vector<float> divided(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) divided[i] = values[i] / scale_at(i);
    made.codes.resize(values.size());
    encode(DType::f8_e4m3, std::span<const float>(divided), std::span(made.codes));
    return made;
  }

  static std::vector<float> floats(const std::vector<std::byte>& bytes) {
    std::vector<float> numbers(bytes.size() / 4);
    decode(DType::f32, bytes, std::span(numbers));
    return numbers;
  }
};

TEST_F(Fp8Command, ConvertQuantisesTheMatricesOfLayers) {
  const std::string plain = write_model("plain", 1);
  const std::string out = path("out");
  const auto report =
      run_well({"convert", plain, out, "--dtype", "fp8_block", "--json"}).json()["quantisation"];
  EXPECT_EQ(report["tensors"].size(), 4);
  EXPECT_GT(report["relative"], 0.01);
  EXPECT_LT(report["relative"], 0.04);  // 4 significant bits
  const std::vector<double> exact = values(plain, kFp8Up);
  const Reference expected =
      quantised(std::vector<float>(exact.begin(), exact.end()), kRows, kColumns);
  EXPECT_EQ(stored_info(out, kFp8Up).dtype, DType::f8_e4m3);
  EXPECT_EQ(stored_info(out, kFp8Up + "_scale_inv").shape, (Shape{2, 2}));
  EXPECT_EQ(floats(stored(out, kFp8Up + "_scale_inv")), expected.scales);
  EXPECT_EQ(stored(out, kFp8Up), expected.codes);
  // Nothing else changes.
  for (const char* kept :
       {"model.embed_tokens.weight", "lm_head.weight", "model.layers.0.input_layernorm.weight",
        "model.layers.1.mlp.gate.weight"}) {
    EXPECT_EQ(stored(out, kept), stored(plain, kept)) << kept;
  }
  const auto config = config_of(out)["quantization_config"];
  EXPECT_EQ(config["quant_method"], "fp8");
  EXPECT_EQ(config["weight_block_size"], (nlohmann::json{128, 128}));
  EXPECT_EQ(config["modules_to_not_convert"],
            (nlohmann::json{"lm_head", "model.layers.0.mlp.gate", "model.layers.1.mlp.gate"}));
  EXPECT_EQ(config_of(out)["torch_dtype"], "bfloat16");
}

TEST_F(Fp8Command, AModelWithoutLayersHasNothingToQuantise) {
  write_safetensors(folder_ / "table.safetensors",
                    {make_tensor("embed_tokens.weight", {4, 8}, std::vector<double>(32, 1.0))});
  for (const bool merges : {false, true}) {
    std::vector<std::string> words = {"convert", path("table.safetensors"), path("out")};
    if (merges)
      words = {"merge", "-m", "linear", words[1], words[1], "-p", "weight=1", "-o", words[2]};
    words.insert(words.end(), {"--dtype", "fp8_block"});
    const RunResult refused = run_amalgam(words);
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("no tensor to write as fp8_block"), std::string::npos)
        << refused.err;
    EXPECT_FALSE(fs::exists(path("out")));
  }
}

// A model of one layer, with stacked experts: every matrix has scales of its own, of which 130 and
// 200 are no multiples of the block.
TEST_F(Fp8Command, StackedExpertsHaveScalesOfTheirOwn) {
  const std::string stack = "model.layers.0.mlp.experts.gate_up_proj";
  constexpr std::size_t kMatrix = kRows * kColumns;
  const auto write = [&](const std::string& name, std::uint64_t seed) {
    RandomStream random(seed, stack);
    std::vector<double> values(3 * kMatrix);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = std::pow(10.0, static_cast<double>(i / kMatrix)) * random.normal();
    }
    fs::create_directories(folder_.path() / name);
    write_safetensors(
        folder_ / (name + "/model.safetensors"),
        {make_tensor(stack, {3, kRows, kColumns}, values, DType::f32),
         make_tensor("model.layers.0.mlp.gate.weight", {3, 4}, std::vector<double>(12, 1.0)),
         make_tensor("model.embed_tokens.weight", {2, 4}, std::vector<double>(8, 1.0))});
    folder_.write(name + "/config.json", R"({"model_type": "qwen3_moe"})");
    return values;
  };
  const std::vector<double> a = write("a", 1);
  const std::vector<double> b = write("b", 2);
  run_well({"merge", "-m", "linear", path("a"), path("b"), "-p", "weight=1", "-o", path("out"),
            "--dtype", "fp8_block"});
  EXPECT_EQ(stored_info(path("out"), stack + "_scale_inv").shape, (Shape{3, 2, 2}));
  const std::vector<float> scales = floats(stored(path("out"), stack + "_scale_inv"));
  const std::vector<std::byte> codes = stored(path("out"), stack);
  for (std::size_t matrix = 0; matrix < 3; ++matrix) {
    std::vector<float> mean(kMatrix);
    for (std::size_t i = 0; i < kMatrix; ++i) {
      const std::size_t at = matrix * kMatrix + i;
      mean[i] = static_cast<float>(
          (static_cast<double>(static_cast<float>(a[at])) + static_cast<float>(b[at])) / 2);
    }
    const Reference expected = quantised(mean, kRows, kColumns);
    const auto first = static_cast<std::ptrdiff_t>(matrix * 4);
    EXPECT_EQ(std::vector<float>(scales.begin() + first, scales.begin() + first + 4),
              expected.scales);
    EXPECT_TRUE(std::equal(expected.codes.begin(), expected.codes.end(),
                           codes.begin() + static_cast<std::ptrdiff_t>(matrix * kMatrix)));
  }
  EXPECT_EQ(config_of(path("out"))["quantization_config"]["modules_to_not_convert"],
            nlohmann::json{"model.layers.0.mlp.gate"});
  // What is read back stays as it is, and can be stored in another way.
  run_well({"convert", path("out"), path("copy")});
  EXPECT_EQ(contents_of(path("copy/model.safetensors")),
            contents_of(path("out/model.safetensors")));
  for (const auto& [word, shape] :
       {std::pair{"fp8_channel", Shape{3, kRows, 1}}, std::pair{"fp8_tensor", Shape{3, 1}}}) {
    run_well({"convert", path("out"), path(word), "--dtype", word});
    EXPECT_EQ(stored_info(path(word), stack + "_scale").shape, shape);
    const std::vector<double> before = values(path("out"), stack);
    const std::vector<double> after = values(path(word), stack);
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double smallest = 1e-5 * std::pow(10.0, static_cast<double>(i / kMatrix));
      ASSERT_NEAR(after[i], before[i], std::max(std::abs(before[i]) / 16, 10 * smallest));
    }
  }
}

TEST_F(Fp8Command, RowsAndWholeTensorsAreForCompressedTensors) {
  const std::string plain = write_model("plain", 1);
  for (const auto& [word, strategy, shape] : {std::tuple{"fp8_channel", "channel", Shape{kRows, 1}},
                                              std::tuple{"fp8_tensor", "tensor", Shape{1}}}) {
    const std::string out = path(word);
    run_well({"convert", plain, out, "--dtype", word});
    EXPECT_EQ(stored_info(out, kFp8Up + "_scale").shape, shape);
    const auto config = config_of(out)["quantization_config"];
    EXPECT_EQ(config["quant_method"], "compressed-tensors");
    EXPECT_EQ(config["config_groups"]["group_0"]["weights"]["strategy"], strategy);
    EXPECT_TRUE(std::ranges::count(config["ignore"], "lm_head") == 1) << config;
    const std::vector<double> before = values(plain, kFp8Up);
    const std::vector<double> after = values(out, kFp8Up);
    for (std::size_t i = 0; i < before.size(); ++i) {
      ASSERT_NEAR(after[i], before[i], std::max(std::abs(before[i]) / 16, 1e-6));
    }
  }
}

// The mean of what both hold, in float, becomes FP8 once; so does the error that is reported. The
// output has the base's type without a word, and the same bits for any threads and memory.
TEST_F(Fp8Command, MergesAreRoundedOnce) {
  const auto zeros = [](std::vector<double>& values) {
    for (std::size_t row = 0; row < 128; ++row) {
      for (std::size_t column = 128; column < kColumns; ++column)
        values[row * kColumns + column] = 0;
    }
    for (std::size_t column = 0; column < 128; ++column) {
      values[128 * kColumns + column] = 1e-39;  // subnormal in BF16 and float
      values[129 * kColumns + column] = -3e-39;
    }
  };
  const std::string a = write_fp8("a", 1, "fp8_block", zeros);
  const std::string b = write_fp8("b", 2, "fp8_block", zeros);
  const std::vector<std::string> merge = {"merge", "-m", "linear",   a,
                                          b,       "-p", "weight=1", "--json"};
  const auto made = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> words = merge;
    words.insert(words.end(), {"-o", path(out)});
    words.insert(words.end(), more.begin(), more.end());
    return run_well(words).json();
  };
  const auto report = made("out", {"--threads", "1"})["quantisation"];
  made("again", {"--threads", "3", "--memory", "64MB"});
  std::vector<float> mean;
  const std::vector<double> x = values(a, kFp8Up);
  const std::vector<double> y = values(b, kFp8Up);
  for (std::size_t i = 0; i < x.size(); ++i) mean.push_back(static_cast<float>((x[i] + y[i]) / 2));
  Reference expected = quantised(mean, kRows, kColumns);
  EXPECT_EQ(expected.scales[1], 1);                        // of zeros
  expected.scales[2] = std::numeric_limits<float>::min();  // not 0
  EXPECT_EQ(floats(stored(path("out"), kFp8Up + "_scale_inv")), expected.scales);
  const std::vector<std::byte> codes = stored(path("out"), kFp8Up);
  EXPECT_TRUE(std::equal(codes.begin(), codes.begin() + 128 * kColumns, expected.codes.begin()));
  EXPECT_EQ(contents_of(path("out/model.safetensors")),
            contents_of(path("again/model.safetensors")));
  EXPECT_EQ(config_of(path("out"))["quantization_config"], config_of(a)["quantization_config"]);

  const std::vector<double> z = values(path("out"), kFp8Up);
  double error = 0;
  for (std::size_t i = 0; i < z.size(); ++i) error += std::pow(z[i] - (x[i] + y[i]) / 2, 2);
  for (const auto& one : report["tensors"]) {
    if (one["tensor"] != kFp8Up) continue;
    EXPECT_NEAR(one["rmse"], std::sqrt(error / static_cast<double>(z.size())), 1e-8);
  }
  EXPECT_EQ(report["tensors"].size(), 4);
}

TEST_F(Fp8Command, WhatIsNotMergedKeepsItsBytes) {
  const std::string a = write_fp8("a", 1, "fp8_block");
  run_well({"convert", a, path("copy")});
  EXPECT_EQ(contents_of(path("copy/model.safetensors")), contents_of(a + "/model.safetensors"));
  EXPECT_EQ(config_of(path("copy")), config_of(a));
  // Merged with itself every code stays, and scales to the last bit but one.
  run_well({"merge", "-m", "linear", a, a, "-p", "weight=1", "-o", path("same")});
  EXPECT_EQ(stored(path("same"), kFp8Up), stored(a, kFp8Up));
  const std::vector<float> before = floats(stored(a, kFp8Up + "_scale_inv"));
  const std::vector<float> after = floats(stored(path("same"), kFp8Up + "_scale_inv"));
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_FLOAT_EQ(after[i], before[i]);
  // Stacked layers are copied, under other numbers.
  folder_.write("stack.yml",
                "merge_method: passthrough\nslices:\n"
                "- sources: [{model: " +
                    a +
                    ", layer_range: [1, 2]}]\n"
                    "- sources: [{model: " +
                    a + ", layer_range: [0, 2]}]\n");
  run_well({"merge", path("stack.yml"), "-o", path("stack")});
  EXPECT_EQ(stored(path("stack"), "model.layers.1.mlp.up_proj.weight"), stored(a, kFp8Up));
  EXPECT_EQ(stored(path("stack"), "model.layers.1.mlp.up_proj.weight_scale_inv"),
            stored(a, kFp8Up + "_scale_inv"));
  EXPECT_EQ(config_of(path("stack"))["quantization_config"]["modules_to_not_convert"].size(), 4);
}

TEST_F(Fp8Command, OtherTypesCanBeAskedFor) {
  const std::string a = write_fp8("a", 1, "fp8_block");
  run_well(
      {"merge", "-m", "linear", a, a, "-p", "weight=1", "-o", path("wide"), "--dtype", "bf16"});
  EXPECT_EQ(stored_info(path("wide"), kFp8Up).dtype, DType::bf16);
  EXPECT_FALSE(config_of(path("wide")).contains("quantization_config"));
  folder_.write(
      "channel.yml",
      "merge_method: linear\ndtype: fp8_channel\nparameters: {weight: 1}\nmodels:\n- model: " + a +
          "\n- model: " + a + "\n");
  run_well({"merge", path("channel.yml"), "-o", path("channel")});
  EXPECT_EQ(stored_info(path("channel"), kFp8Up + "_scale").shape, (Shape{kRows, 1}));
  EXPECT_EQ(config_of(path("channel"))["quantization_config"]["quant_method"],
            "compressed-tensors");
  for (const std::string command : {"convert", "merge"}) {
    std::vector<std::string> words = {"convert", a, path("x.gguf"), "--dtype", "fp8_block"};
    if (command == "merge") words = {"merge", path("channel.yml"), "-o", path("x.gguf")};
    const RunResult refused = run_amalgam(words);
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("GGUF has no fp8_"), std::string::npos) << refused.err;
  }
}

TEST_F(Fp8Command, NanIsRefusedOrStaysInItsPlace) {
  const std::string a = write_fp8("a", 1, "fp8_block");
  const std::string plain = write_model("with-nan", 2, [](std::vector<double>& values) {
    values[7] = std::numeric_limits<double>::quiet_NaN();
    values[8] = -std::numeric_limits<double>::infinity();
  });
  run_well({"convert", plain, path("converted"), "--dtype", "fp8_block"});
  const std::vector<double> converted = values(path("converted"), kFp8Up);
  const std::vector<double> before = values(plain, kFp8Up);
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (i == 7 || i == 8) {
      EXPECT_TRUE(std::isnan(converted[i]));
    } else {
      ASSERT_NEAR(converted[i], before[i], std::max(std::abs(before[i]) / 16, 1e-6));
    }
  }
  std::vector<std::string> merge = {"merge", "-m",       "linear", a,          path("converted"),
                                    "-p",    "weight=1", "-o",     path("out")};
  const RunResult refused = run_amalgam(merge);
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find(kFp8Up), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(path("out")));
  merge.insert(merge.end(), {"--nan", "propagate"});
  run_well(merge);
  const std::vector<double> merged = values(path("out"), kFp8Up);
  EXPECT_TRUE(std::isnan(merged[7]));
  EXPECT_EQ(std::ranges::count_if(merged, [](double v) { return std::isnan(v); }), 2);
}

TEST_F(Fp8Command, ManifestsAndPassesOfRules) {
  const std::string a = write_fp8("a", 1, "fp8_block");
  const std::string b = write_fp8("b", 2, "fp8_block");
  run_well({"merge", "-m", "ties", "--base", a, b, a, "-p", "density=0.5", "-p", "weight=1", "-o",
            path("out"), "--dtype", "fp8_tensor", "--manifest"});
  const RunResult checked = run_well({"verify", path("out"), "--recompute", "1000", "--json"});
  EXPECT_TRUE(checked.json()["differences"].empty()) << checked.out;
  EXPECT_GT(checked.json()["recomputed"], 8);
}

// The adapter's product is added to what the weights mean, and the result is FP8 again.
TEST_F(Fp8Command, AdaptersOnFp8Models) {
  const std::string a = write_fp8("a", 1, "fp8_block");
  write_adapter("adapter");
  run_well({"lora", "apply", a, path("adapter"), path("applied")});
  run_well({"convert", a + "+" + path("adapter"), path("converted")});
  EXPECT_EQ(contents_of(path("applied/model.safetensors")),
            contents_of(path("converted/model.safetensors")));
  EXPECT_EQ(stored_info(path("applied"), kFp8Up).dtype, DType::f8_e4m3);
  const std::vector<double> before = values(a, kFp8Up);
  const std::vector<double> after = values(path("applied"), kFp8Up);
  for (std::size_t i = 0; i < before.size(); ++i) ASSERT_NEAR(after[i], before[i] + 0.5, 0.04);
  EXPECT_EQ(stored(path("applied"), kFp8Down), stored(a, kFp8Down));
}

// ModelOpt describes the weights in a file of its own, which is not true of what is written.
TEST_F(Fp8Command, TheConfigOfModelOptGoesWithTheLayout) {
  const std::string a = write_fp8("a", 1, "fp8_tensor");
  folder_.write("a/config.json",
                R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "FP8"}})");
  folder_.write("a/hf_quant_config.json", R"({"quantization": {"quant_algo": "FP8"}})");
  write_adapter("adapter");
  const std::string both = a + "+" + path("adapter");
  for (const std::vector<std::string>& words : {std::vector<std::string>{"convert", a},
                                                {"convert", both},
                                                {"lora", "apply", a, path("adapter")}}) {
    for (const bool is_plain : {false, true}) {
      std::vector<std::string> command = words;
      command.insert(command.end(), {path("out"), "--overwrite"});
      if (is_plain) command.insert(command.end(), {"--dtype", "bf16"});
      run_well(command);
      EXPECT_EQ(stored_info(path("out"), kFp8Up).dtype, is_plain ? DType::bf16 : DType::f8_e4m3);
      EXPECT_FALSE(fs::exists(path("out/hf_quant_config.json")));
      const auto config =
          config_of(path("out")).value("quantization_config", nlohmann::json::object());
      EXPECT_EQ(config.value("quant_method", ""), is_plain ? "" : "compressed-tensors");
      fs::remove_all(path("out"));
    }
  }
}

TEST_F(Fp8Command, RefusesToComputeWithNumbersWithoutTheirScales) {
  for (const std::string name : {"a", "b"}) {
    fs::create_directories(folder_.path() / name);
    write_safetensors(folder_ / (name + "/model.safetensors"),
                      {make_tensor(kFp8Up, {2, 2}, {1, 2, 3, 4}, DType::f8_e4m3),
                       make_tensor("model.layers.0.mlp.up_proj.scale", {1}, {0.5}, DType::f32)});
    folder_.write(name + "/config.json", R"({"num_hidden_layers": 1})");
  }
  fs::create_directories(folder_ / "adapter");
  const std::string module = "base_model.model.model.layers.0.mlp.up_proj.";
  write_safetensors(folder_ / "adapter/adapter_model.safetensors",
                    {make_tensor(module + "lora_A.weight", {1, 2}, {1, 1}),
                     make_tensor(module + "lora_B.weight", {2, 1}, {1, 1})});
  folder_.write("adapter/adapter_config.json",
                R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["up_proj"]})");
  const std::string a = path("a");
  const std::string out = path("out");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"merge", "-m", "linear", a, path("b"), "-p", "weight=1", "-o",
                                 out},
        {"convert", a, out, "--dtype", "bf16"},
        {"convert", a, out, "--dtype", "fp8_block"},
        {"convert", a, path("out.gguf")},
        {"convert", a, path("out.safetensors"), "--csr"},
        {"diff", a, path("b")},
        {"lora", "apply", a, path("adapter"), out},
        {"convert", a + "+" + path("adapter"), out},
        {"lora", "extract", a, path("b"), out},
        {"inspect", a, "--stats"},
        {"study", "vectors", a, path("b")}}) {
    const RunResult refused = run_amalgam(words);
    EXPECT_EQ(refused.code, 2) << words[0];
    EXPECT_NE(refused.err.find("'model.layers.0.mlp.up_proj.scale' beside it"), std::string::npos)
        << refused.err;
    EXPECT_FALSE(fs::exists(out));
    EXPECT_FALSE(fs::exists(path("out.gguf")));
    EXPECT_FALSE(fs::exists(path("out.safetensors")));
    EXPECT_FALSE(fs::exists(path(".out.safetensors.partial")));
  }
  // What computes nothing shows and copies them.
  run_well({"inspect", a});
  run_well({"convert", a, out});
  EXPECT_EQ(contents_of(out + "/model.safetensors"), contents_of(a + "/model.safetensors"));
}

TEST_F(Fp8Command, SparseRowsAreOfWhatTheWeightsMean) {
  std::vector<double> sparse(64 * 64);
  sparse[5] = 1.5;
  sparse[700] = -2;
  const auto write = [&](const std::string& name, const std::vector<MemoryTensor>& more) {
    std::vector<MemoryTensor> tensors = {make_tensor(kFp8Up, {64, 64}, sparse, DType::f8_e4m3)};
    tensors.insert(tensors.end(), more.begin(), more.end());
    return write_safetensors(folder_ / name, tensors);
  };
  const auto sparse_rows = [&](const std::string& model) {
    fs::remove(path("csr.safetensors"));
    const RunResult made =
        run_amalgam({"convert", model, path("csr.safetensors"), "--csr", "--json"});
    EXPECT_EQ(made.code, 0) << made.err;
    EXPECT_EQ(made.json()["sparse_tensors"], 1);
    return values_of(*open_checkpoint(path("csr.safetensors")), kFp8Up);
  };
  // Plain numbers stay FP8.
  const std::string plain = write("plain.safetensors", {});
  EXPECT_EQ(sparse_rows(plain), sparse);
  EXPECT_EQ(stored_info(path("csr.safetensors"), kFp8Up).dtype, DType::f8_e4m3);
  const std::string scaled = write(
      "scaled.safetensors", {make_tensor(std::string(kFp8Up) + "_scale", {1}, {0.5}, DType::f32)});
  std::vector<double> meant = sparse;
  for (double& value : meant) value /= 2;
  EXPECT_EQ(sparse_rows(scaled), meant);
  // One shard, or a folder, whose scales are elsewhere.
  fs::create_directories(folder_ / "lost");
  fs::copy_file(plain, folder_ / "lost/model.safetensors");
  folder_.write("lost/config.json", R"({"quantization_config": {"quant_method": "fp8"}})");
  for (const std::string& model : {path("lost"), path("lost/model.safetensors")}) {
    expect_bad_usage(run_amalgam({"convert", model, path("out.safetensors"), "--csr"}),
                     "F8_E4M3 without scales", "says that weights are quantised");
  }
  EXPECT_FALSE(fs::exists(path("out.safetensors")));
}

TEST_F(Fp8Command, LayoutsThatAreOnlyReadAreNumbersOrStayAsTheyAre) {
  const std::string weight = "blocks.0.proj.weight";
  const auto write = [&](const std::string& name, DType dtype, const std::string& scale) {
    write_safetensors(folder_ / name, {make_tensor(weight, {2, 2}, {1, -2, 4, 8}, dtype),
                                       make_tensor(scale, {}, {0.75}, DType::f32),
                                       make_tensor("scaled_fp8", {2}, {0, 0}, DType::f8_e4m3)});
    return path(name);
  };
  for (const auto& [dtype, scale] : {std::pair{DType::f8_e4m3, "blocks.0.proj.scale_weight"},
                                     std::pair{DType::f8_e5m2, "blocks.0.proj.scale_weight"},
                                     std::pair{DType::f8_e5m2, "blocks.0.proj.weight_scale"}}) {
    fs::remove(path("a.safetensors"));
    const std::string a = write("a.safetensors", dtype, scale);
    run_well({"convert", a, path("copy.safetensors"), "--overwrite"});
    EXPECT_EQ(contents_of(path("copy.safetensors")), contents_of(a));
    const std::vector<double> expected = {0.75, -1.5, 3, 6};
    run_well({"convert", a, path("wide.safetensors"), "--dtype", "bf16", "--overwrite"});
    EXPECT_EQ(values(path("wide.safetensors"), weight), expected);
    run_well({"merge", "-m", "linear", a, a, "-p", "weight=1", "-o", path("merged.safetensors"),
              "--overwrite"});
    EXPECT_EQ(values(path("merged.safetensors"), weight), expected);
    EXPECT_EQ(stored_info(path("merged.safetensors"), weight).dtype, DType::f32);
    EXPECT_FALSE(open_stored_checkpoint(path("merged.safetensors"))->find(scale));
  }
}

}  // namespace
}  // namespace amalgam
