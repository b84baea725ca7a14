#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Inspect, WithoutStatsPrintsExactlyTheHeader) {
  const TemporaryFolder folder;
  const std::string path = write_safetensors(
      folder / "a.safetensors", {make_tensor("x", {2, 3}, {1, 2, 3, 4, 5, 6}, DType::bf16),
                                 make_tensor("a", {}, {7}, DType::i64)});
  const RunResult result = run_amalgam({"inspect", path, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json(), nlohmann::ordered_json::parse(R"({"tensors": [
      {"name": "a", "dtype": "I64", "shape": [], "bytes": 8},
      {"name": "x", "dtype": "BF16", "shape": [2, 3], "bytes": 12}],
      "metadata": {"format": "pt"}})"));
}

TEST(Inspect, StatsAreOfTheFiniteElementsWithDivisorN) {
  // 1 2 3 4: mean 2.5, variance (2.25 + .25 + .25 + 2.25) / 4 = 1.25, norm sqrt(30).
  const TemporaryFolder folder;
  const std::string path = write_safetensors(
      folder / "a.safetensors",
      {make_tensor("x", {8}, {1, kNan, 2, kInfinity, 3, -kInfinity, 4, -kInfinity})});
  const RunResult result = run_amalgam({"inspect", path, "--stats", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto tensor = result.json()["tensors"][0];
  EXPECT_EQ(keys_of(tensor),
            (std::vector<std::string>{"name", "dtype", "shape", "bytes", "min", "max", "mean",
                                      "std", "norm", "nan_count", "inf_count"}));
  EXPECT_EQ(tensor["min"], 1.0);
  EXPECT_EQ(tensor["max"], 4.0);
  EXPECT_EQ(tensor["mean"], 2.5);
  EXPECT_DOUBLE_EQ(tensor["std"].get<double>(), std::sqrt(1.25));
  EXPECT_DOUBLE_EQ(tensor["norm"].get<double>(), std::sqrt(30.0));
  EXPECT_EQ(tensor["nan_count"], 1);
  EXPECT_EQ(tensor["inf_count"], 3);
}

TEST(Inspect, StatsAreNullWhereNothingIsFinite) {
  const TemporaryFolder folder;
  const std::string path =
      write_safetensors(folder / "a.safetensors",
                        {make_tensor("empty", {0, 4}, {}), make_tensor("nan", {2}, {kNan, kNan})});
  const auto tensors = run_amalgam({"inspect", path, "--stats", "--json"}).json()["tensors"];
  ASSERT_EQ(tensors.size(), 2U);
  for (const auto& tensor : tensors) {
    for (const char* key : {"min", "max", "mean", "std", "norm"}) {
      EXPECT_TRUE(tensor[key].is_null()) << tensor["name"] << " " << key;
    }
  }
  EXPECT_EQ(tensors[1]["nan_count"], 2);
}

TEST(Inspect, TheDeviationOfValuesFarFromZeroIsNotLost) {
  // A one-pass sum of squares would lose the variance, 1/4, of 1e8 and 1e8 + 1 in float64.
  std::vector<double> values;
  for (int i = 0; i < 300'000; ++i) values.push_back(1e8 + i % 2);
  const TemporaryFolder folder;
  const std::string path = write_safetensors(
      folder / "a.safetensors", {make_tensor("x", {values.size()}, values, DType::f64)});
  const auto tensor = run_amalgam({"inspect", path, "--stats", "--json"}).json()["tensors"][0];
  EXPECT_NEAR(tensor["std"].get<double>(), 0.5, 1e-9);
  EXPECT_NEAR(tensor["mean"].get<double>(), 1e8 + 0.5, 1e-6);
}

TEST(Inspect, StatsHaveTheSameBitsForAnyNumberOfThreads) {
  RandomStream random(1, "inspect");
  std::vector<double> values;
  for (int i = 0; i < 700'001; ++i) values.push_back(random.normal());
  const TemporaryFolder folder;
  const std::string path = write_safetensors(
      folder / "a.safetensors",
      {make_tensor("big", {values.size()}, values), make_tensor("small", {3}, {0.1, 0.2, 0.3}),
       make_tensor("u", {7, 100'000}, {values.begin(), values.end() - 1})});
  const std::string one = run_amalgam({"inspect", path, "--stats", "--json", "--threads", "1"}).out;
  EXPECT_NE(one.find("\"mean\""), std::string::npos);
  for (const char* threads : {"2", "3", "8"}) {
    EXPECT_EQ(run_amalgam({"inspect", path, "--stats", "--json", "--threads", threads}).out, one);
  }
}

TEST(Inspect, GgufShapesAreRowMajor) {
  const TemporaryFolder folder;
  const MemoryTensor tensor = make_tensor("w", {2, 3}, {1, 2, 3, 4, 5, 6});
  create_gguf_file(folder / "a.gguf", {tensor.info}, minimal_gguf_metadata("test", ""))
      ->write(0, 0, tensor.bytes);
  const auto shown = run_amalgam({"inspect", (folder / "a.gguf").string(), "--stats", "--json"});
  EXPECT_EQ(shown.json()["tensors"][0]["shape"], (std::vector<int>{2, 3}));
  EXPECT_EQ(shown.json()["tensors"][0]["max"], 6.0);
}

TEST(Inspect, ShowsATableWithTotalsToPeople) {
  const TemporaryFolder folder;
  const std::string path = write_safetensors(
      folder / "a.safetensors",
      {make_tensor("layer.weight", {2, 2}, {1, 2, 3, 4}), make_tensor("evil\x1b[31m", {1}, {5})});
  const RunResult result = run_amalgam({"inspect", path, "--stats"});
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.out.find("layer.weight  F32    [2, 2]  16 B    1    4   2.5  1.11803"),
            std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("2 tensors (2 F32), 5 elements, 20 B"), std::string::npos)
      << result.out;
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
}

TEST(Inspect, BadInputExitsWith2AndNamesTheFile) {
  const TemporaryFolder folder;
  expect_bad_usage(run_amalgam({"inspect", (folder / "none").string()}), "none");
  const std::string text = folder.write("notes.safetensors", "just some text\n").string();
  expect_bad_usage(run_amalgam({"inspect", text}), "notes.safetensors");
  std::string bytes = contents_of(
      write_safetensors(folder / "a.safetensors", {make_tensor("x", {4}, {1, 2, 3, 4})}));
  bytes.pop_back();
  const std::string cut = folder.write("cut.safetensors", bytes).string();
  expect_bad_usage(run_amalgam({"inspect", cut, "--json"}), "cut.safetensors");
}

}  // namespace
}  // namespace amalgam
