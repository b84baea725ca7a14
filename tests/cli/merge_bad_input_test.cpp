// Everything that can be wrong with a merge ends with exit code 2, one sentence, and no output.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/cli/merge_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

class MergeBadInput : public MergeFixture {
 protected:
  /// Runs the words with an output, expects a refusal naming all parts, and that nothing is left.
  template <class... Parts>
  void expect_refused(std::vector<std::string> words, const Parts&... parts) {
    words.insert(words.begin(), "merge");
    words.insert(words.end(), {"-o", out()});
    expect_bad_usage(run_amalgam(words), parts...);
    expect_nothing_left();
  }

  std::string write_bytes(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return path(name);
  }

  // A safetensors file with this header and `data` bytes of zeros.
  std::string with_header(const std::string& name, const std::string& header, std::size_t data) {
    const std::uint64_t size = header.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &size, 8);
    return write_bytes(name, bytes + header + std::string(data, '\0'));
  }
};

TEST_F(MergeBadInput, TruncatedFile) {
  const std::string a = write("a", {tensor("w", {100}, 1)});
  fs::resize_file(a, fs::file_size(a) - 10);
  expect_refused({"-m", "linear", a, "-p", "weight=1"}, "a.safetensors", "truncated");
}

TEST_F(MergeBadInput, HeaderTooLong) {
  const std::string a =
      write_bytes("a.safetensors", std::string("\xff\xff\xff\xff\xff\xff\xff\x00", 8));
  expect_refused({"-m", "linear", a, "-p", "weight=1"}, "a.safetensors", "header");
}

TEST_F(MergeBadInput, OverlappingAndOutOfRangeOffsets) {
  const std::string overlap = with_header(
      "overlap.safetensors",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
      12);
  expect_refused({"-m", "linear", overlap, "-p", "weight=1"}, "overlap.safetensors", "'b'");
  const std::string range = with_header(
      "range.safetensors", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})", 8);
  expect_refused({"-m", "linear", range, "-p", "weight=1"}, "range.safetensors", "'a'");
}

TEST_F(MergeBadInput, DuplicateNames) {
  const std::string twice = with_header(
      "twice.safetensors",
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
      8);
  expect_refused({"-m", "linear", twice, "-p", "weight=1"}, "twice.safetensors", "'a'", "twice");
}

TEST_F(MergeBadInput, ShapesThatDiffer) {
  const std::string a = write("a", {tensor("h.0.w", {4, 8}, 1)});
  const std::string b = write("b", {tensor("h.0.w", {4, 16}, 2)});
  expect_refused({"-m", "linear", a, b, "-p", "weight=1"}, "'h.0.w'", "[4, 8]", "[4, 16]",
                 "a.safetensors", "b.safetensors");
}

TEST_F(MergeBadInput, AFloatingTensorAgainstAnIntegerOne) {
  const std::string a = write("a", {tensor("w", {4}, 1)});
  const std::string b = write("b", {make_tensor("w", {4}, {1, 2, 3, 4}, DType::i64)});
  expect_refused({"-m", "linear", a, b, "-p", "weight=1"}, "'w'", "F32", "I64");
}

TEST_F(MergeBadInput, MissingTensor) {
  const std::string a = write("a", {tensor("v", {4}, 1), tensor("w", {4}, 1)});
  const std::string b = write("b", {tensor("v", {4}, 2)});
  expect_refused({"-m", "linear", a, b, "-p", "weight=1"}, "b.safetensors", "missing: w");
}

TEST_F(MergeBadInput, MissingBase) {
  expect_refused({"-m", "ties", a_, b_, "-p", "weight=1"}, "ties", "base");
}

TEST_F(MergeBadInput, WrongNumberOfMembers) {
  expect_refused({"-m", "nearswap", "--base", base_, a_, b_, "-p", "t=0.1"}, "nearswap", "2", "1");
  expect_refused({"-m", "krum", a_, b_, "-p", "f=1"}, "krum", "at least 3", "found 2");
  expect_refused({"-m", "krum", a_, b_, base_, "-p", "f=1"}, "krum", "5");
}

TEST_F(MergeBadInput, DensityOutsideItsRange) {
  for (const char* density : {"density=0", "density=1.5", "density=-0.1", "density=nan"}) {
    expect_refused({"-m", "ties", "--base", base_, a_, b_, "-p", "weight=1", "-p", density},
                   "density");
  }
}

TEST_F(MergeBadInput, UnknownParameterWithTheNearestName) {
  expect_refused({"-m", "ties", "--base", base_, a_, b_, "-p", "weight=1", "-p", "densty=0.5"},
                 "'densty'", "'density'");
}

TEST_F(MergeBadInput, UnknownMethodWithTheNearestName) {
  expect_refused({"-m", "tise", "--base", base_, a_, "-p", "weight=1"}, "'tise'", "'ties'");
}

TEST_F(MergeBadInput, MissingRequiredParameter) {
  expect_refused({"-m", "linear", a_, b_}, "weight", "a.safetensors");
}

TEST_F(MergeBadInput, WrongCountOfPerMemberValues) {
  expect_refused({"-m", "linear", a_, b_, "-p", "weight=1,2,3"}, "weight", "3", "2");
}

TEST_F(MergeBadInput, WeightsThatSumToZeroUnderNormalise) {
  const RunResult result =
      run_amalgam({"merge", "-m", "linear", a_, b_, "-p", "weight=1,-1", "-o", out()});
  EXPECT_EQ(result.code, 2);  // after a warning of the negative weight
  EXPECT_NE(result.err.find("sum to 0, which cannot be normalised"), std::string::npos)
      << result.err;
  expect_nothing_left();
}

TEST_F(MergeBadInput, NaNAndInfinityNamedByTensorAndIndex) {
  std::vector<double> values(20, 1.0);
  values[17] = std::nan("");
  const std::string bad = write("bad", {make_tensor("v", {4, 5}, values), tensor("w", {3}, 3)});
  const std::string good = write("good", {tensor("v", {4, 5}, 1), tensor("w", {3}, 3)});
  expect_refused({"-m", "linear", good, bad, "-p", "weight=1"}, "bad.safetensors", "'v'", "NaN",
                 "index 17");
  const RunResult allowed = run_amalgam(
      {"merge", "-m", "linear", good, bad, "-p", "weight=1", "--nan", "propagate", "-o", out()});
  ASSERT_EQ(allowed.code, 0) << allowed.err;
  EXPECT_TRUE(std::isnan(values_of(*open_checkpoint(out()), "v")[17]));
}

// Elections and selections compare, and NaN loses every comparison.
TEST_F(MergeBadInput, NaNThatIsAllowedIsInTheResultOfEveryRuleThatIsNotRobust) {
  std::vector<double> values(20, 1.0);
  values[17] = std::nan("");
  const std::string bad = write("bad", {make_tensor("v", {4, 5}, values)});
  const std::string good = write("good", {tensor("v", {4, 5}, 1)});
  const std::string base = write("other", {tensor("v", {4, 5}, 2)});
  for (const std::string method :
       {"ties", "dare_ties", "della", "breadcrumbs_ties", "sce", "ram"}) {
    std::vector<std::string> words{"merge", "-m",    method,      "--base",      base, good,
                                   bad,     "--nan", "propagate", "--overwrite", "-o", out()};
    if (method != "sce" && method != "ram") words.insert(words.end(), {"-p", "weight=1"});
    const RunResult result = run_amalgam(words);
    ASSERT_EQ(result.code, 0) << method << result.err;
    const auto merged = values_of(*open_checkpoint(out()), "v");
    EXPECT_TRUE(std::isnan(merged[17])) << method;
    // The shares of sce stand on energies of the whole tensor.
    if (method != "sce") EXPECT_FALSE(std::isnan(merged[16])) << method;
  }
}

TEST_F(MergeBadInput, NamesInErrorsAreSafeForTerminals) {
  const std::string odd = write("odd", {tensor("a\x1b[31mred", {2}, 1)});
  const std::string other = write("plain", {tensor("b", {2}, 1)});
  expect_refused({"-m", "linear", odd, other, "-p", "weight=1"}, "\\x1b[31mred");
}

TEST_F(MergeBadInput, ARecipeWithACycle) {
  const std::string recipe = write_bytes("cycle.yml",
                                         "name: one\nmerge_method: linear\nmodels:\n"
                                         "  - {model: two, parameters: {weight: 1}}\n---\n"
                                         "name: two\nmerge_method: linear\nmodels:\n"
                                         "  - {model: one, parameters: {weight: 1}}\n");
  expect_refused({recipe}, "cycle.yml", "two");
}

TEST_F(MergeBadInput, RecipesThatAreNone) {
  expect_refused({write_bytes("list.yml", "- 1\n- 2\n")}, "list.yml");
  expect_refused({write_bytes("broken.yml", "models: [\n")}, "broken.yml");
  expect_refused({write_bytes("empty.yml", "")}, "empty.yml");
  expect_refused({path("none.yml")}, "none.yml");
  expect_refused({write_bytes("key.yml", "merge_methd: linear\nmodels:\n  - model: a\n")},
                 "merge_methd", "merge_method");
}

TEST_F(MergeBadInput, AnOutputThatIsAnInput) {
  expect_bad_usage(
      run_amalgam({"merge", "-m", "linear", a_, b_, "-p", "weight=1", "-o", a_, "--overwrite"}),
      "a.safetensors", "input");
  const std::string link = path("link.safetensors");
  fs::create_symlink(a_, link);
  expect_bad_usage(
      run_amalgam({"merge", "-m", "linear", a_, b_, "-p", "weight=1", "-o", link, "--overwrite"}),
      "input");
}

TEST_F(MergeBadInput, AnExistingOutputUnlessOverwriteIsGiven) {
  write_bytes("out.safetensors", "precious");
  expect_bad_usage(run_amalgam({"merge", "-m", "linear", a_, b_, "-p", "weight=1", "-o", out()}),
                   "out.safetensors", "--overwrite");
  EXPECT_EQ(contents_of(out()), "precious");
}

TEST_F(MergeBadInput, AnUnreadableFile) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  ASSERT_EQ(chmod(a_.c_str(), 0), 0);
  expect_refused({"-m", "linear", a_, b_, "-p", "weight=1"}, "a.safetensors", "ermission");
}

TEST_F(MergeBadInput, APathThatDoesNotExistOrIsNoCheckpoint) {
  expect_refused({"-m", "linear", path("absent.safetensors"), "-p", "weight=1"},
                 "absent.safetensors");
  fs::create_directory(folder_ / "empty");
  expect_refused({"-m", "linear", path("empty"), "-p", "weight=1"}, "empty");
  expect_refused(
      {"-m", "linear", write_bytes("notes.txt", "hello, this is text"), "-p", "weight=1"},
      "notes.txt");
}

TEST_F(MergeBadInput, AGgufWithAbsurdCounts) {
  std::string bytes = "GGUF";
  const std::uint32_t version = 3;
  const std::uint64_t absurd = std::uint64_t{1} << 63;
  bytes.append(reinterpret_cast<const char*>(&version), 4);
  bytes.append(reinterpret_cast<const char*>(&absurd), 8);
  bytes.append(reinterpret_cast<const char*>(&absurd), 8);
  expect_refused({"-m", "linear", write_bytes("absurd.gguf", bytes), "-p", "weight=1"},
                 "absurd.gguf");
}

TEST_F(MergeBadInput, AResultThatDoesNotFitTheOutputType) {
  const std::string big = write("big", {make_tensor("v", {2}, {1, 60000})});
  expect_refused(
      {"-m", "linear", big, big, "-p", "weight=1", "-p", "normalize=false", "--dtype", "f16"},
      "'v'", "120000", "F16");
}

TEST_F(MergeBadInput, OptionsThatMakeNoSense) {
  expect_refused({"-m", "linear", a_, b_, "-p", "weight=1", "--memory", "1MB"}, "--memory");
  expect_refused({"-m", "linear", a_, b_, "-p", "weight=1", "--dtype", "i8"}, "--dtype");
  expect_refused({"-m", "linear", a_, b_, "-p", "weight=1", "--nan", "maybe"}, "--nan");
  expect_refused({a_, b_}, "--method");
  expect_bad_usage(run_amalgam({"merge", "-m", "linear", a_, b_, "-p", "weight=1"}), "-o");
}

}  // namespace
}  // namespace amalgam
