#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
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
