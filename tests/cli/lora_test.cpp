#include <gtest/gtest.h>

#include <filesystem>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/random.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

std::vector<double> normal(std::size_t count, const std::string& name) {
  RandomStream random(11, name);
  std::vector<double> values(count);
  for (double& value : values) value = random.normal();
  return values;
}

std::vector<MemoryTensor> model(const std::string& name) {
  return {make_tensor("layers.0.norm.weight", {40}, normal(40, name + "n")),
          make_tensor("layers.0.q.weight", {24, 40}, normal(960, name + "q"), DType::bf16)};
}

class Lora : public ::testing::Test {
 protected:
  Lora() {
    write_safetensors(folder_ / "base.safetensors", model("base"));
    write_safetensors(folder_ / "a.safetensors", model("a"));
    write_safetensors(folder_ / "b.safetensors", model("b"));
    for (const std::string name : {"a", "b"}) {
      done({"lora", "extract", path("base.safetensors"), path(name + ".safetensors"),
            path("lora_" + name), "--rank", "4"});
    }
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static RunResult done(const std::vector<std::string>& words) {
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }
  TemporaryFolder folder_;
};

TEST_F(Lora, AMergeOfBasePlusAdapterHasTheBitsOfTheAppliedModel) {
  const std::string base = path("base.safetensors");
  for (const std::string name : {"a", "b"}) {
    done({"lora", "apply", base, path("lora_" + name), path("applied_" + name + ".safetensors")});
  }
  const std::vector<std::string> options = {"--method", "linear", "-p", "weight=1"};
  const auto merge = [&](const std::string& a, const std::string& b, const std::string& out) {
    std::vector<std::string> words = {"merge", a, b, "-o", path(out)};
    words.insert(words.end(), options.begin(), options.end());
    done(words);
  };
  merge(base + "+" + path("lora_a"), base + "+" + path("lora_b"), "lazy.safetensors");
  merge(path("applied_a.safetensors"), path("applied_b.safetensors"), "eager.safetensors");
  const auto lazy = open_checkpoint(path("lazy.safetensors"));
  const auto eager = open_checkpoint(path("eager.safetensors"));
  const auto plain = open_checkpoint(base);
  ASSERT_EQ(lazy->tensors().size(), 2U);
  for (const TensorInfo& info : lazy->tensors()) {
    EXPECT_EQ(bytes_of(*lazy, info.name), bytes_of(*eager, info.name)) << info.name;
    EXPECT_NE(bytes_of(*lazy, info.name), bytes_of(*plain, info.name)) << info.name;
  }
}

TEST_F(Lora, MergesAndReportsRanks) {
  // The norms differ, and no sum of whole tensors is meant.
  const RunResult refused =
      run_amalgam({"lora", "merge", path("lora_a"), path("lora_b"), "-o", path("both"), "--json"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("saves 'layers.0.norm.weight' whole"), std::string::npos)
      << refused.err;
  EXPECT_FALSE(fs::exists(path("both")));
  const RunResult merged =
      done({"lora", "merge", path("lora_a"), path("lora_a"), "-o", path("both"), "--method",
            "exact", "--weight", "0.5", "0.5", "--json"});
  EXPECT_EQ(merged.json()["modules"][0]["name"], "layers.0.q");
  EXPECT_EQ(merged.json()["modules"][0]["rank"], 4);
}

TEST_F(Lora, InspectAndDiffTakeBasePlusAdapter) {
  const std::string adapted = path("base.safetensors") + "+" + path("lora_a");
  EXPECT_EQ(done({"inspect", adapted, "--json"}).json()["tensors"].size(), 2U);
  const auto compared = done({"diff", adapted, path("base.safetensors"), "--json"}).json();
  EXPECT_GT(compared["tensors"][1]["distance"].get<double>(), 1.0);
}

}  // namespace
}  // namespace amalgam
