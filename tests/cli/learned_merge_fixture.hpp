#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {

/// A folder of IDX files: 8 x 8 images whose bright quarter tells the class.
inline void write_images(const std::filesystem::path& folder, const std::string& prefix,
                         std::uint32_t count, std::uint64_t seed) {
  const auto header = [](std::initializer_list<std::uint32_t> sizes) {
    std::string bytes{0, 0, 8, static_cast<char>(sizes.size())};
    for (const std::uint32_t size : sizes) {
      for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift);
    }
    return bytes;
  };
  std::string images = header({count, 8, 8});
  std::string labels = header({count});
  RandomStream random(seed, prefix);
  for (std::uint32_t n = 0; n < count; ++n) {
    const auto label = static_cast<unsigned>(random.below(4));
    labels += static_cast<char>(label);
    for (unsigned pixel = 0; pixel < 64; ++pixel) {
      const bool bright = pixel / 32 == label / 2 && pixel % 8 / 4 == label % 2;
      images += static_cast<char>((bright ? 120 : 20) + random.below(100));
    }
  }
  std::ofstream(folder / (prefix + "-images-idx3-ubyte"), std::ios::binary) << images;
  std::ofstream(folder / (prefix + "-labels-idx1-ubyte"), std::ios::binary) << labels;
}

/// Two networks tuned from one base on a small image set, for tests of merges that look at data.
class LearnedMergeCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run_amalgam({"train", "--help"}).code != 0) {
      GTEST_SKIP() << "this build has no learning library";
    }
    std::filesystem::create_directory(folder_ / "data");
    write_images(folder_ / "data", "train", 600, 1);
    write_images(folder_ / "data", "t10k", 200, 2);
    std::ofstream(folder_ / "recipe.yml")
        << "network: {architecture: mlp, hidden: [8]}\ndata: {set: " << path("data")
        << "}\nepochs: 2\nbatch: 32\n";
    succeed({"train", path("recipe.yml"), "-o", path("base.safetensors"), "--quiet"});
    for (const char* name : {"a", "b"}) {
      succeed({"train", path("recipe.yml"), "--init", path("base.safetensors"), "--seed",
               name == std::string("a") ? "1" : "2", "-o", member(name), "--quiet"});
    }
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string member(const std::string& name) const { return path(name + ".safetensors"); }
  // Networks as small as these are fastest on one thread.
  static RunResult succeed(std::vector<std::string> words) {
    words.insert(words.end(), {"--threads", "1"});
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }
  // Merges a and b, and gives what --json printed.
  nlohmann::json merge(const std::string& method, const std::vector<std::string>& more) const {
    std::vector<std::string> words{
        "merge",  "--method",   method,   member("a"), member("b"),
        "--data", path("data"), "--json", "-o",        path(method + ".safetensors")};
    words.insert(words.end(), more.begin(), more.end());
    return nlohmann::json::parse(succeed(words).out);
  }
  double accuracy(const std::string& name) const {
    const nlohmann::json judged = nlohmann::json::parse(
        succeed({"evaluate", member(name), "--data", path("data"), "--json"}).out);
    return judged["results"][0]["accuracy"];
  }

  const TemporaryFolder folder_;
};

}  // namespace amalgam
