#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "amalgam/checkpoint/gguf.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/cli/merge_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// GGUF models of one matrix that is quantised and a norm that is not.
class MergeGguf : public MergeFixture {
 protected:
  std::string write_gguf(const std::string& name, std::uint64_t seed, DType dtype) const {
    const std::vector<MemoryTensor> tensors = {tensor("blk.0.w.weight", {40, 512}, seed, dtype),
                                               tensor("blk.0.norm.weight", {512}, seed)};
    const fs::path place = folder_ / (name + ".gguf");
    const auto sink = create_gguf_file(place, {tensors[0].info, tensors[1].info},
                                       minimal_gguf_metadata("llama", name));
    for (std::size_t t = 0; t < tensors.size(); ++t) sink->write(t, 0, tensors[t].bytes);
    sink->finish();
    return place.string();
  }

  // A language model of four layers, in which a mixture favours some matrices.
  std::string write_layers(const std::string& name, std::uint64_t seed) const {
    std::vector<MemoryTensor> tensors = {tensor("token_embd.weight", {24, 256}, seed),
                                         tensor("output.weight", {24, 256}, seed)};
    for (int layer = 0; layer < 4; ++layer) {
      const std::string prefix = "blk." + std::to_string(layer) + ".";
      tensors.push_back(tensor(prefix + "attn_v.weight", {16, 256}, seed));
      tensors.push_back(tensor(prefix + "attn_norm.weight", {256}, seed));
      tensors.push_back(tensor(prefix + "ffn_down.weight", {16, 512}, seed));
    }
    std::vector<TensorInfo> infos;
    for (const MemoryTensor& one : tensors) infos.push_back(one.info);
    const fs::path place = folder_ / (name + ".gguf");
    const auto sink = create_gguf_file(place, infos, minimal_gguf_metadata("llama", name));
    for (std::size_t t = 0; t < tensors.size(); ++t) sink->write(t, 0, tensors[t].bytes);
    sink->finish();
    return place.string();
  }

  static RunResult run_well(const std::vector<std::string>& words) {
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }

  // Types and bytes of every tensor.
  static void expect_equal(const std::string& found, const std::string& expected) {
    const auto a = open_checkpoint(found);
    const auto b = open_checkpoint(expected);
    ASSERT_EQ(a->tensors().size(), b->tensors().size());
    for (const TensorInfo& info : b->tensors()) {
      EXPECT_EQ(a->tensors()[index_of(*a, info.name)].dtype, info.dtype) << info.name;
      EXPECT_EQ(bytes_of(*a, info.name), bytes_of(*b, info.name)) << info.name;
    }
  }

  static std::vector<double> matrix_of(const std::string& path) {
    return values_of(*open_checkpoint(path), "blk.0.w.weight");
  }
};

// The mean of what two models of different types hold, rounded to the first one's type once: the
// error that is reported is that of this rounding alone.
TEST_F(MergeGguf, RoundsOnceAndReportsTheError) {
  const std::string a = write_gguf("qa", 1, DType::q4_k);
  const std::string b = write_gguf("qb", 2, DType::q6_k);
  const std::string out = path("m.gguf");
  const RunResult result =
      run_amalgam({"merge", "-m", "linear", a, b, "-p", "weight=1", "-o", out, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto merged = open_checkpoint(out);
  EXPECT_EQ(merged->tensors()[index_of(*merged, "blk.0.w.weight")].dtype, DType::q4_k);
  EXPECT_EQ(merged->tensors()[index_of(*merged, "blk.0.norm.weight")].dtype, DType::f32);
  const std::vector<double> x = matrix_of(a);
  const std::vector<double> y = matrix_of(b);
  const std::vector<double> z = matrix_of(out);
  double error = 0;
  double squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double mean = (x[i] + y[i]) / 2;
    squares += mean * mean;
    error += (z[i] - mean) * (z[i] - mean);
  }
  const auto report = result.json()["quantisation"];
  ASSERT_EQ(report["tensors"].size(), 1U);
  EXPECT_EQ(report["tensors"][0]["elements"], x.size());
  EXPECT_NEAR(report["tensors"][0]["rmse"], std::sqrt(error / static_cast<double>(x.size())), 1e-9);
  EXPECT_NEAR(report["tensors"][0]["relative"], std::sqrt(error / squares), 1e-9);
  EXPECT_GT(report["relative"], 0.02);
  EXPECT_LT(report["relative"], 0.10);
}

TEST_F(MergeGguf, DtypeQuantisesMatricesOnly) {
  const std::string a = write_gguf("fa", 1, DType::f16);
  const std::string b = write_gguf("fb", 2, DType::f16);
  const std::string out = path("m.gguf");
  const RunResult result =
      run_amalgam({"merge", "-m", "ties", "--base", a, b, a, "-p", "density=0.5", "-p", "weight=1",
                   "-o", out, "--dtype", "q6_k", "--errors"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("blk.0.w.weight  Q6_K"), std::string::npos) << result.out;
  const auto merged = open_checkpoint(out);
  EXPECT_EQ(merged->tensors()[index_of(*merged, "blk.0.w.weight")].dtype, DType::q6_k);
  EXPECT_EQ(merged->tensors()[index_of(*merged, "blk.0.norm.weight")].dtype, DType::f32);
}

// What a mixture favours depends on the layers of the output: eight here, of models of four.
TEST_F(MergeGguf, AMixtureIsThatOfTheOutput) {
  const std::string a = write_layers("a", 1);
  const std::string b = write_layers("b", 2);
  const std::string source = "{model: " + a + ", layer_range: [0, 4], parameters: {weight: 1}}";
  const std::string other = "{model: " + b + ", layer_range: [0, 4], parameters: {weight: 2}}";
  const std::string recipe = "merge_method: linear\nslices:\n- sources: [" + source + ", " + other +
                             "]\n- sources: [" + source + ", " + other + "]\n";
  folder_.write("wide.yml", recipe + "dtype: float32\n");
  folder_.write("mixed.yml", recipe + "dtype: q4_k_m\n");
  run_well({"merge", path("wide.yml"), "-o", path("wide.gguf")});
  run_well({"convert", path("wide.gguf"), path("expected.gguf"), "--dtype", "q4_k_m"});
  const auto report = run_well({"merge", path("mixed.yml"), "-o", path("m.gguf"), "--json"}).json();
  expect_equal(path("m.gguf"), path("expected.gguf"));
  const auto merged = open_checkpoint(path("m.gguf"));
  const auto type_of = [&](const std::string& name) {
    return merged->tensors()[index_of(*merged, name)].dtype;
  };
  EXPECT_EQ(type_of("output.weight"), DType::q6_k);
  EXPECT_EQ(type_of("token_embd.weight"), DType::q4_k);
  EXPECT_EQ(type_of("blk.0.ffn_down.weight"), DType::q6_k);  // the first eighth
  EXPECT_EQ(type_of("blk.2.ffn_down.weight"), DType::q4_k);
  EXPECT_EQ(type_of("blk.7.attn_v.weight"), DType::q6_k);  // the last
  EXPECT_EQ(report["quantisation"]["tensors"].size(), 2 + 8 * 2);
  // The command line says the same as a recipe, and types are spelled in any case.
  run_well({"merge", path("wide.yml"), "-o", path("n.gguf"), "--dtype", "Q4_K_M"});
  expect_equal(path("n.gguf"), path("expected.gguf"));
  expect_bad_usage(run_amalgam({"merge", path("mixed.yml"), "-o", path("m.safetensors")}),
                   "only GGUF files hold Q4_K_M", "ends in .gguf");
}

TEST_F(MergeGguf, EveryPartOfASplitInputIsOfTheManifest) {
  const std::string whole = write_layers("a", 1);
  run_well({"convert", whole, path("p.gguf"), "--shard-size", "100kB"});
  const std::string first = path("p-00001-of-00003.gguf");
  const std::vector<std::string> words = {
      "merge",    "-m", "linear",         first,       write_layers("b", 2), "-p",
      "weight=1", "-o", path("out.gguf"), "--manifest"};
  run_well(words);
  const auto verify = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"verify", path("out.gguf"), "--inputs", "--recompute", "1000"});
    return more;
  };
  EXPECT_EQ(run_well(verify({"--json"})).json()["inputs"], 4);
  // Where the first part goes, the others go.
  fs::create_directory(path("there"));
  for (const char* part : {"1", "2", "3"}) {
    fs::rename(path("p-0000" + std::string(part) + "-of-00003.gguf"),
               path("there/q-0000" + std::string(part) + "-of-00003.gguf"));
  }
  const std::string move = first + "=" + path("there/q-00001-of-00003.gguf");
  run_well(verify({"--input", move}));
  {
    std::fstream part(path("there/q-00002-of-00003.gguf"), std::ios::in | std::ios::out);
    part.seekp(-1, std::ios::end);
    part.put('\x55');
  }
  const RunResult changed = run_amalgam(verify({"--input", move}));
  EXPECT_EQ(changed.code, 1);
  EXPECT_NE(changed.out.find("q-00002-of-00003.gguf: is not the file that was merged"),
            std::string::npos)
      << changed.out;
}

TEST_F(MergeGguf, ALargerOutputIsSplitIfAsked) {
  const std::string a = write_layers("a", 1);
  const std::string b = write_layers("b", 2);
  const auto merge = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> words = {"merge",    "-m",      "linear", a,    b,  "-p",
                                      "weight=1", "--dtype", "q4_k_m", "-o", out};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  run_well(merge(path("whole.gguf"), {"--shard-size", "1MB"}));
  const auto report =
      run_well(merge(path("m.gguf"), {"--shard-size", "16kB", "--manifest", "--json"})).json();
  EXPECT_FALSE(fs::exists(path("m.gguf")));
  const std::string first = path("m-00001-of-00003.gguf");
  EXPECT_EQ(report["outputs"], nlohmann::json{first});
  ASSERT_TRUE(fs::exists(first));
  expect_equal(first, path("whole.gguf"));
  for (const std::string& name : {path("m.gguf"), first}) {
    const RunResult good = run_well({"verify", name, "--recompute", "1000", "--json"});
    EXPECT_EQ(good.json()["files"], 3);
    EXPECT_EQ(good.json()["recomputed"], 14);
  }
  const auto again =
      run_well(merge(path("m.gguf"), {"--shard-size", "16kB", "--resume", "--json"})).json();
  EXPECT_EQ(again["was_finished"], true);
  EXPECT_EQ(again["outputs"], nlohmann::json{first});
  // The parts take the place of a whole file, which nobody should take for the output.
  run_well(merge(path("whole.gguf"), {"--shard-size", "16kB", "--overwrite"}));
  EXPECT_FALSE(fs::exists(path("whole.gguf")));
  expect_equal(path("whole-00001-of-00003.gguf"), first);
  {
    std::fstream part(path("m-00003-of-00003.gguf"), std::ios::in | std::ios::out);
    part.seekp(-1, std::ios::end);
    part.put('\x55');
  }
  const RunResult changed = run_amalgam({"verify", path("m.gguf"), "--recompute", "1000"});
  EXPECT_EQ(changed.code, 1);
  EXPECT_NE(changed.out.find("m-00003-of-00003.gguf: bytes 0 to"), std::string::npos);
  expect_bad_usage(run_amalgam(merge(path("m.gguf"), {"--shard-size", "16kB"})), "already exists",
                   "--overwrite");
  EXPECT_FALSE(fs::exists(path(".m.gguf.partial")));
  for (const auto& [option, why] :
       {std::pair{"--resume", "m.gguf: already exists, and is not what this merge makes"},
        std::pair{"--keep-partial", "m-00001-of-00003.gguf: already exists"}}) {
    expect_bad_usage(run_amalgam(merge(path("m.gguf"), {"--shard-size", "16kB", option})), why);
    EXPECT_FALSE(fs::exists(path(".m.gguf.partial"))) << option;
  }
  // A part would be written over what is read.
  fs::rename(b, path("x-00001-of-00003.gguf"));
  fs::rename(a, path("b.gguf"));
  expect_bad_usage(
      run_amalgam({"merge", "-m", "linear", path("b.gguf"), path("x-00001-of-00003.gguf"), "-p",
                   "weight=1", "-o", path("x.gguf"), "--dtype", "q4_k_m", "--shard-size", "16kB",
                   "--overwrite"}),
      "is also an input");
}

// Before anything is begun that --resume would keep.
TEST_F(MergeGguf, TensorsThatGgufDoesNotHaveAreRefusedAtOnce) {
  const MemoryTensor mask = make_tensor("mask", {2}, {1, 0}, DType::boolean);
  const std::string a = write("a", {tensor("w", {4, 4}, 1), mask});
  const std::string b = write("b", {tensor("w", {1, 2, 1, 2, 4}, 1)});
  const auto refused = [&](const std::string& in, const auto&... parts) {
    for (const char* option : {"--resume", "--dry-run", "--overwrite"}) {
      expect_bad_usage(run_amalgam({"merge", "-m", "linear", in, in, "-p", "weight=1", "-o",
                                    path("m.gguf"), option}),
                       parts...);
      EXPECT_FALSE(fs::exists(path(".m.gguf.partial")));
    }
  };
  refused(a, "m.gguf: tensor 'mask' is BOOL, which GGUF does not have; expected one of F32, F16, ",
          ", IQ4_NL or IQ4_XS\n");
  refused(b, "m.gguf: tensor 'w' has shape [1, 2, 1, 2, 4], but GGUF allows at most 4 dimensions");
}

// Nobody can take parts of an older output for the new one, whichever command makes it.
TEST_F(MergeGguf, AnOutputReplacesTheOlderOneInHoweverManyFiles) {
  const std::string a = write_layers("a", 1);
  const std::string b = write_layers("b", 2);
  folder_.write("adapter/adapter_config.json",
                R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["output"]})");
  write_safetensors(
      folder_ / "adapter/adapter_model.safetensors",
      {make_tensor("base_model.model.output.lora_A.weight", {1, 256}, std::vector<double>(256, 1)),
       make_tensor("base_model.model.output.lora_B.weight", {24, 1}, std::vector<double>(24, 1))});
  const auto makes = [&](std::vector<std::string> words, const std::vector<std::string>& more,
                         const std::vector<std::string>& names) {
    words.insert(words.end(), more.begin(), more.end());
    words.emplace_back("--overwrite");
    run_well(words);
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("m") || name.starts_with(".")) found.push_back(name);
    }
    std::sort(found.begin(), found.end());
    EXPECT_EQ(found, names);
  };
  const std::string out = path("m.gguf");
  const std::vector<std::string> merge = {"merge",    "-m",      "linear", a,    b,  "-p",
                                          "weight=1", "--dtype", "q4_k_m", "-o", out};
  const std::vector<std::string> convert = {"convert", a, out, "--dtype", "q8_0"};
  const std::vector<std::string> two = {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"};
  const std::vector<std::string> three = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                          "m-00003-of-00003.gguf"};
  makes(merge, {"--shard-size", "16kB"}, three);
  makes(merge, {"--shard-size", "32kB"}, two);
  makes(merge, {"--resume"}, {"m.gguf"});
  makes(convert, {"--shard-size", "30kB"}, three);
  makes(convert, {"--shard-size", "50kB"}, two);
  makes({"lora", "apply", a, path("adapter"), out}, {}, {"m.gguf"});
  makes(merge, {"--shard-size", "16kB", "--keep-partial"}, three);
  makes(convert, {}, {"m.gguf"});
  // What is read is not replaced.
  fs::remove(out);
  makes(convert, {"--shard-size", "30kB"}, three);
  const std::string first = path(three[0]);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"convert", first, out, "--overwrite"},
        {"convert", first, out, "--overwrite", "--shard-size", "50kB"},
        {"lora", "apply", first, path("adapter"), out, "--overwrite"},
        {"merge", "-m", "linear", first, b, "-p", "weight=1", "-o", out, "--overwrite"}}) {
    expect_bad_usage(run_amalgam(words),
                     "m-00001-of-00003.gguf: is a part of what the output "
                     "would replace, and an input");
    EXPECT_FALSE(fs::exists(path(".m.gguf.partial")));
  }
  run_well({"convert", first, out});
  expect_equal(out, first);
}

// types.gguf has a tensor of every type, and beside each its values as F32.
TEST_F(MergeGguf, TypesThatAreOnlyReadNeedAnotherOne) {
  const std::string types = (fs::path(AMALGAM_TEST_DATA) / "gguf/types.gguf").string();
  const std::vector<std::string> merge = {"merge", "-m", "linear", types, types, "-p", "weight=1"};
  std::vector<std::string> as_it_is = merge;
  as_it_is.insert(as_it_is.end(), {"-o", path("m.gguf")});
  expect_bad_usage(run_amalgam(as_it_is), "only read", "--dtype");
  std::vector<std::string> as_float = merge;
  as_float.insert(as_float.end(), {"-o", path("m.safetensors"), "--dtype", "float32"});
  const RunResult result = run_amalgam(as_float);
  ASSERT_EQ(result.code, 0) << result.err;
  const auto merged = open_checkpoint(path("m.safetensors"));
  for (const char* name : {"iq2_xxs", "q3_k", "mxfp4", "tq1_0"}) {
    EXPECT_EQ(values_of(*merged, name), values_of(*merged, std::string(name) + ".values")) << name;
  }
}

}  // namespace
}  // namespace amalgam
