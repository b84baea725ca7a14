// What `amalgam merge --imatrix` promises: what merging and then `amalgam convert --imatrix` gives,
// in one go, whether it was interrupted or not, for others to check.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "amalgam/checkpoint/gguf.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/cli/merge_fixture.hpp"
#include "tests/cli/unfinished_merge.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

using Words = std::vector<std::string>;

class MergeImportance : public MergeFixture {
 protected:
  MergeImportance() : first_(write_model("first", 1)), second_(write_model("second", 2)) {
    matrix_ = write_matrix("a", {{kDown, 512}, {kValues, 256}});
  }

  std::string write_gguf(const std::string& name, const std::vector<MemoryTensor>& tensors) const {
    std::vector<TensorInfo> infos;
    for (const MemoryTensor& one : tensors) infos.push_back(one.info);
    const fs::path place = folder_ / (name + ".gguf");
    fs::remove(place);
    const auto sink = create_gguf_file(place, infos, minimal_gguf_metadata("llama", name));
    for (std::size_t t = 0; t < tensors.size(); ++t) sink->write(t, 0, tensors[t].bytes);
    sink->finish();
    return place.string();
  }

  // Several leaves in one matrix; rows that need another type; a norm that is not quantised.
  std::string write_model(const std::string& name, std::uint64_t seed) const {
    return write_gguf(
        name, {tensor(kDown, {900, 512}, seed), tensor(kValues, {40, 256}, seed),
               tensor("blk.0.attn_k.weight", {8, 96}, seed), tensor("output_norm.weight", {256}, 3),
               tensor("token_embd.weight", {50, 256}, seed, DType::bf16)});
  }

  struct Columns {
    std::string name;
    std::uint64_t count = 0;
  };

  // Some columns matter far more than others.
  std::string write_matrix(const std::string& name, const std::vector<Columns>& all,
                           double most = 100) const {
    std::vector<MemoryTensor> tensors;
    for (const Columns& of : all) {
      std::vector<double> sums;
      for (std::uint64_t i = 0; i < of.count; ++i) sums.push_back(i % 32 < 5 ? most : 0.5);
      tensors.push_back(make_tensor(of.name + ".in_sum2", {1, of.count}, sums));
      tensors.push_back(make_tensor(of.name + ".counts", {1, 1}, {2}));
    }
    return write_gguf("matrix-" + name, tensors);
  }

  Words merge(const std::string& output, const Words& more) const {
    Words words = {"merge", "-m", "linear", first_, second_, "-p", "weight=1,2", "-o", output};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  Words merge_weighed(const std::string& output, const Words& more = {}) const {
    Words words = merge(output, {"--dtype", "q3_k_m", "--imatrix", matrix_});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  static RunResult run_well(const Words& words) {
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }

  static void expect_found(const RunResult& result, int code, const std::string& text) {
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_NE((result.out + result.err).find(text), std::string::npos) << result.out << result.err;
  }

  static constexpr const char* kDown = "blk.0.ffn_down.weight";
  static constexpr const char* kValues = "blk.0.attn_v.weight";
  std::string first_;
  std::string second_;
  std::string matrix_;
};

TEST_F(MergeImportance, IsConvertingWhatWasMergedInOneGo) {
  run_well(merge(path("wide.gguf"), {"--dtype", "f32"}));
  for (const std::string type : {"q3_k_m", "q4_k", "q5_0", "iq4_xs"}) {
    const Words weighed = {"--dtype", type, "--imatrix", matrix_, "--overwrite"};
    Words convert = {"convert", path("wide.gguf"), path("expected.gguf")};
    convert.insert(convert.end(), weighed.begin(), weighed.end());
    const RunResult converted = run_well(convert);
    const RunResult merged = run_well(merge(path("merged.gguf"), weighed));
    const auto a = open_checkpoint(path("merged.gguf"));
    const auto b = open_checkpoint(path("expected.gguf"));
    ASSERT_EQ(a->tensors().size(), b->tensors().size());
    for (const TensorInfo& info : b->tensors()) {
      EXPECT_EQ(a->tensors()[index_of(*a, info.name)].dtype, info.dtype) << info.name;
      EXPECT_EQ(bytes_of(*a, info.name), bytes_of(*b, info.name)) << type << " " << info.name;
    }
    // Both say what the matrix does not know.
    const std::string unknown = "has no importance for 2 of the 4 matrices";
    expect_found(converted, 0, unknown);
    expect_found(merged, 0, unknown);
  }
  // The matrix changes what it knows and nothing else.
  run_well(merge(path("plain.gguf"), {"--dtype", "iq4_xs"}));
  const auto plain = open_checkpoint(path("plain.gguf"));
  const auto weighed = open_checkpoint(path("merged.gguf"));
  EXPECT_NE(bytes_of(*plain, kDown), bytes_of(*weighed, kDown));
  EXPECT_NE(bytes_of(*plain, kValues), bytes_of(*weighed, kValues));
  for (const char* name : {"token_embd.weight", "blk.0.attn_k.weight", "output_norm.weight"}) {
    EXPECT_EQ(bytes_of(*plain, name), bytes_of(*weighed, name)) << name;
  }
}

// The types of a quantised base stay, and what is made of them is weighed.
TEST_F(MergeImportance, NeedsNoTypeWhereTheBaseIsQuantised) {
  run_well({"convert", first_, path("q.gguf"), "--dtype", "q4_k"});
  const auto merge_of = [&](const std::string& output, const Words& more) {
    Words words = {"merge", "-m",       "linear", path("q.gguf"), second_,
                   "-p",    "weight=1", "-o",     output};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  run_well(merge_of(path("wide.gguf"), {"--dtype", "f32"}));
  run_well({"convert", path("wide.gguf"), path("expected.gguf"), "--dtype", "q4_k", "--imatrix",
            matrix_});
  run_well(merge_of(path("merged.gguf"), {"--imatrix", matrix_}));
  const auto merged = open_checkpoint(path("merged.gguf"));
  EXPECT_EQ(merged->tensors()[index_of(*merged, kDown)].dtype, DType::q4_k);
  EXPECT_EQ(bytes_of(*merged, kDown), bytes_of(*open_checkpoint(path("expected.gguf")), kDown));
}

TEST_F(MergeImportance, ThreadsMemoryAndResumingGiveTheSameBits) {
  run_well(merge_weighed(path("whole.gguf"), {"--threads", "1", "--memory", "64MB"}));
  const Words resumed = merge_weighed(path("part.gguf"), {"--threads", "2", "--resume"});
  kill_after(2, resumed, path("part.gguf"));
  const RunResult result = run_amalgam(resumed);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(contents_of(path("part.gguf")), contents_of(path("whole.gguf")));
}

TEST_F(MergeImportance, AnotherMatrixIsAnotherMerge) {
  const Words resumed = merge_weighed(path("part.gguf"), {"--resume"});
  kill_after(1, resumed, path("part.gguf"));
  const std::string refusal = "cannot go on with this unfinished merge: ";
  expect_found(run_amalgam(merge(path("part.gguf"), {"--dtype", "q3_k_m", "--resume"})), 2,
               refusal + "the options have changed");
  write_matrix("a", {{kDown, 512}, {kValues, 256}}, 7);
  expect_found(run_amalgam(resumed), 2, refusal + "input '" + matrix_ + "' has changed");
  EXPECT_TRUE(fs::exists(partial_of(path("part.gguf"))));  // the work is still there
}

TEST_F(MergeImportance, VerifyMakesTheSameBlocksAgain) {
  const std::string out = path("out.gguf");
  run_well(merge_weighed(out, {"--manifest"}));
  const auto manifest = nlohmann::json::parse(contents_of(out + ".manifest.json"));
  EXPECT_EQ(manifest["importance"], matrix_);
  EXPECT_EQ(manifest["inputs"].size(), 3U);
  const RunResult good = run_well({"verify", out, "--inputs", "--recompute", "100", "--json"});
  EXPECT_EQ(good.json()["recomputed"], 8);
  // The matrix and a model lie elsewhere now.
  fs::rename(matrix_, path("moved-matrix"));
  fs::rename(first_, path("moved-first.gguf"));
  run_well({"verify", out, "--inputs", "--recompute", "100", "--input",
            matrix_ + "=" + path("moved-matrix"), "--input",
            first_ + "=" + path("moved-first.gguf")});
  fs::rename(path("moved-matrix"), matrix_);
  fs::rename(path("moved-first.gguf"), first_);
  {  // before what fills up the last 32 bytes
    std::fstream file(out, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-40, std::ios::end);
    const char byte = static_cast<char>(file.peek() ^ 1);
    file.seekp(-40, std::ios::end);
    file.put(byte);
  }
  expect_found(run_amalgam({"verify", out}), 1, "have changed");
  expect_found(run_amalgam({"verify", out, "--no-hash", "--recompute", "100"}), 1,
               "is not what its recipe gives");
  // Another matrix under the name of the one that was used.
  run_well(merge_weighed(out, {"--manifest", "--overwrite"}));
  write_matrix("a", {{kDown, 512}, {kValues, 256}}, 7);
  expect_found(run_amalgam({"verify", out, "--inputs"}), 1,
               "matrix-a.gguf: is not the file that was merged");
  expect_found(run_amalgam({"verify", out, "--no-hash", "--recompute", "100"}), 1,
               std::string("tensor '") + kDown + "' is not what its recipe gives");
}

TEST_F(MergeImportance, AMatrixThatDoesNotSuitIsRefused) {
  const std::string out = path("out.gguf");
  const auto refused = [&](const Words& more, const auto&... parts) {
    expect_bad_usage(run_amalgam(merge(out, more)), parts...);
    EXPECT_FALSE(fs::exists(out));
    EXPECT_FALSE(fs::exists(partial_of(out)));
  };
  const std::string other = write_matrix("other", {{"blk.7.ffn_up.weight", 512}});
  const std::string narrow = write_matrix("narrow", {{kDown, 256}});
  refused({"--dtype", "q5_0", "--imatrix", other}, "matrix-other.gguf", "none that are quantised");
  refused({"--dtype", "q5_0", "--imatrix", narrow}, "256 values", kDown, "expected 512");
  refused({"--dtype", "q5_0", "--imatrix", narrow, "--dry-run"}, "256 values");
  refused({"--dtype", "q5_0", "--imatrix", path("none")}, "none", "no such file");
  refused({"--dtype", "q5_0", "--imatrix", first_}, "no importance matrix");
  refused({"--imatrix", matrix_}, "--imatrix", "nothing of the output is quantised");
  refused({"--dtype", "bf16", "--imatrix", matrix_}, "--imatrix", "--dtype Q4_K");
  expect_bad_usage(
      run_amalgam(merge(matrix_, {"--dtype", "q5_0", "--imatrix", matrix_, "--overwrite"})),
      "matrix-a.gguf", "also an input");
  expect_bad_usage(run_amalgam({"merge", "-m", "greedy_soup", a_, b_, "-o",
                                path("soup.safetensors"), "--imatrix", matrix_}),
                   "--imatrix", "amalgam convert");
}

}  // namespace
}  // namespace amalgam
