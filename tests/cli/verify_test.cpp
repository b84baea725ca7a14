// What `amalgam verify` promises: a changed byte is found and named.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/cli/merge_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

class Verify : public MergeFixture {
 protected:
  void merge(const std::string& output, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"merge", "-m",        "ties",     "-b", base_,         a_,
                                      b_,      "-p",        "weight=1", "-p", "density=0.5", "-o",
                                      output,  "--manifest"};
    words.insert(words.end(), more.begin(), more.end());
    const RunResult result = run_amalgam(words);
    ASSERT_EQ(result.code, 0) << result.err;
  }

  static void expect_good(const std::vector<std::string>& words) {
    const RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.out << result.err;
  }

  static void expect_difference(const std::vector<std::string>& words, const std::string& text) {
    const RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 1) << result.err;
    EXPECT_NE(result.out.find(text), std::string::npos) << result.out;
  }

  static void flip_last_byte(const fs::path& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-1, std::ios::end);
    const char byte = static_cast<char>(file.peek() ^ 1);
    file.seekp(-1, std::ios::end);
    file.put(byte);
  }
};

TEST_F(Verify, FindsAChangedByteAndNamesItsTensor) {
  merge(out());
  expect_good({"verify", out()});
  expect_good({"verify", out(), "--recompute", "100", "--inputs"});
  flip_last_byte(out());
  const std::string last = open_checkpoint(out())->tensors().back().name;
  expect_difference({"verify", out()}, "in tensor '");
  expect_difference({"verify", out(), "--no-hash", "--recompute", "100"},
                    "tensor '" + last + "' is not what its recipe gives");
}

TEST_F(Verify, AManifestGoesWithTheFileItIsOf) {
  const std::string manifest = out() + ".manifest.json";
  merge(out());
  const std::string first = contents_of(manifest);
  merge(out(), {"--overwrite", "--seed", "9"});
  EXPECT_NE(contents_of(manifest), first);
  expect_good({"verify", out()});
  ASSERT_EQ(
      run_amalgam({"merge", "-m", "linear", a_, b_, "-p", "weight=1", "-o", out(), "--overwrite"})
          .code,
      0);
  EXPECT_FALSE(fs::exists(manifest));
}

TEST_F(Verify, ChecksEveryFileOfAFolder) {
  const std::string folder = path("merged");
  merge(folder, {"--shard-size", "100"});
  expect_good({"verify", folder, "--recompute", "3"});
  std::ofstream(fs::path(folder) / "added.txt") << "x";
  expect_difference({"verify", folder}, "added.txt: is not in the manifest");
  fs::remove(fs::path(folder) / "added.txt");
  flip_last_byte(fs::path(folder) / "README.md");
  expect_difference({"verify", folder}, "README.md: bytes 0 to");
  fs::remove(fs::path(folder) / "README.md");
  expect_difference({"verify", folder}, "README.md: is missing");
}

TEST_F(Verify, FindsAnInputThatIsNotTheOneThatWasMerged) {
  merge(out());
  write("b", model(9));
  expect_good({"verify", out()});
  expect_difference({"verify", out(), "--inputs"},
                    "b.safetensors: is not the file that was merged");
  expect_difference({"verify", out(), "--no-hash", "--recompute", "2", "--sample-seed", "1"},
                    "is not what its recipe gives");
}

TEST_F(Verify, RefusesAManifestThatIsNone) {
  expect_bad_usage(run_amalgam({"verify", out()}), "out.safetensors.manifest.json", "no such file");
  merge(out());
  const std::string place = out() + ".manifest.json";
  std::string text = contents_of(place);
  const std::size_t root = text.rfind("\"root\": \"") + 9;
  text[root] = text[root] == '0' ? '1' : '0';
  std::ofstream(place) << text;
  expect_bad_usage(run_amalgam({"verify", out()}), "do not give its root");
  std::ofstream(place) << "{}";
  expect_bad_usage(run_amalgam({"verify", out()}), "not a manifest");
}

}  // namespace
}  // namespace amalgam
