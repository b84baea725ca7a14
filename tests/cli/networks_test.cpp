// Networks of every architecture from the command line: trained, merged, calibrated, judged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "tests/cli/learned_merge_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

class NetworkCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run_amalgam({"train", "--help"}).code != 0) {
      GTEST_SKIP() << "this build has no learning library";
    }
    fs::create_directory(folder_ / "data");
    write_images(folder_ / "data", "train", 400, 1);
    write_images(folder_ / "data", "t10k", 200, 2);
    std::ofstream text(folder_ / "text.txt");
    for (int line = 0; line < 200; ++line) text << "the cat sat on the mat " << line % 10 << "\n";
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void recipe(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  static RunResult succeed(std::vector<std::string> words) {
    words.insert(words.end(), {"--threads", "1"});
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }
  json judged(std::vector<std::string> words) const {
    words.insert(words.begin(), "evaluate");
    words.emplace_back("--json");
    return json::parse(succeed(words).out)["results"][0];
  }
  // What tests/reference/llama_reference.py prints.
  static std::string reference(const std::string& arguments) {
    const fs::path script =
        fs::path(AMALGAM_TEST_DATA).parent_path() / "reference" / "llama_reference.py";
    const std::string command = "/usr/bin/python3 -B '" + script.string() + "' " + arguments;
    std::FILE* pipe = popen(command.c_str(), "r");  // NOLINT(bugprone-command-processor)
    std::string out;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) out += static_cast<char>(c);
    EXPECT_EQ(pclose(pipe), 0) << command;
    return out;
  }

  const TemporaryFolder folder_;
};

// Two folders in Hugging Face layout, made from scratch: merged, they load again and lose on text
// what NumPy says of the merged folder.
TEST_F(NetworkCommands, LlamaFoldersMergeAndAreJudgedOnText) {
  for (const std::string name : {"untied", "tied"}) {
    const std::string a = path(name + "-a");
    const std::string b = path(name + "-b");
    const std::string merged = path(name + "-merged");
    reference("write " + a + " " + name + " 1");
    reference("write " + b + " " + name + " 2");
    succeed({"merge", "--method", "linear", a, b, "-p", "weight=1", "-o", merged, "--quiet"});
    std::ofstream(folder_ / "short.txt") << "What one folder cannot say, two may say together.\n";
    const json on_text =
        judged({merged, "--data", path("short.txt"), "--split", "all", "--context", "16"});
    EXPECT_EQ(on_text["examples"], 48) << "every token of three sequences";
    const double expected = std::stod(reference("nll " + merged + " " + path("short.txt") + " 16"));
    EXPECT_NEAR(on_text["nll"].get<double>(), expected, 1e-4) << name;
    const double alone = std::stod(reference("nll " + a + " " + path("short.txt") + " 16"));
    EXPECT_GT(std::abs(alone - expected), 1e-3) << "the merge is another network than a member";
  }
}

TEST_F(NetworkCommands, ADecoderLearnsText) {
  recipe("llama.yml",
         "network: {architecture: llama, hidden_size: 16, num_attention_heads: 2,"
         " num_key_value_heads: 1, tie_word_embeddings: true}\n"
         "data: {set: " +
             path("text.txt") +
             ", context: 24}\n"
             "epochs: 8\nbatch: 8\noptimizer: {name: adam, learning_rate: 0.02}\n");
  const json report = json::parse(
      succeed({"train", path("llama.yml"), "-o", path("llama.safetensors"), "--json"}).out);
  EXPECT_LT(report["epochs"].back()["loss"].get<double>(),
            0.5 * report["epochs"][0]["loss"].get<double>());
  EXPECT_GT(judged({path("llama.safetensors"), "--data", path("text.txt")})["accuracy"], 0.5);
  // And goes on from there, as the tokens it knows.
  recipe("more.yml", "init: " + path("llama.safetensors") + "\ndata: {set: " + path("text.txt") +
                         "}\nepochs: 1\nbatch: 8\n");
  succeed({"train", path("more.yml"), "-o", path("more.safetensors"), "--quiet"});
  recipe("wrong.yml",
         "init: " + path("llama.safetensors") + "\ndata: {set: " + path("data") + "}\nepochs: 1\n");
  expect_bad_usage(run_amalgam({"train", path("wrong.yml"), "-o", path("no.safetensors")}),
                   "not sequences of tokens");
}

TEST_F(NetworkCommands, AMergedResnetIsCalibrated) {
  recipe("resnet.yml", "network: {architecture: resnet, width: 4}\ndata: {set: " + path("data") +
                           "}\nepochs: 3\nbatch: 25\n");
  for (const std::string seed : {"1", "2"}) {
    succeed({"train", path("resnet.yml"), "--seed", seed, "-o", path(seed + ".safetensors"),
             "--quiet"});
  }
  succeed({"merge", "--method", "linear", path("1.safetensors"), path("2.safetensors"), "-p",
           "weight=1", "-o", path("average.safetensors"), "--quiet"});
  succeed({"calibrate", path("average.safetensors"), "--data", path("data"), "-o",
           path("calibrated.safetensors"), "--quiet"});
  const double before = judged({path("average.safetensors"), "--data", path("data")})["nll"];
  const double after = judged({path("calibrated.safetensors"), "--data", path("data")})["nll"];
  EXPECT_NE(before, after);
  // Calibrating a network on the data it was trained on changes little.
  succeed({"calibrate", path("1.safetensors"), "--data", path("data"), "--batch", "1000", "-o",
           path("same.safetensors"), "--quiet"});
  EXPECT_GT(judged({path("same.safetensors"), "--data", path("data")})["accuracy"], 0.8);
  const auto source = open_checkpoint(path("calibrated.safetensors"));
  EXPECT_TRUE(source->find("layer2.0.downsample.1.running_var").has_value());

  recipe("mlp.yml", "network: {architecture: mlp, hidden: [4]}\ndata: {set: " + path("data") +
                        "}\nepochs: 1\n");
  succeed({"train", path("mlp.yml"), "-o", path("mlp.safetensors"), "--quiet"});
  expect_bad_usage(run_amalgam({"calibrate", path("mlp.safetensors"), "--data", path("data"), "-o",
                                path("no.safetensors")}),
                   "has no BatchNorm");
}

TEST_F(NetworkCommands, HeadsAreNamedByRecipesAndOptions) {
  recipe("heads.yml",
         "network: {architecture: vit, patch: 4, width: 16, depth: 1, heads: [{name: corner},"
         " {name: other, classes: 3}]}\n"
         "data: {set: " +
             path("data") +
             ", head: corner}\nepochs: 8\nbatch: 25\n"
             "optimizer: {name: adam, learning_rate: 0.01}\n");
  succeed({"train", path("heads.yml"), "-o", path("heads.safetensors"), "--quiet"});
  const std::vector<std::string> on_data{path("heads.safetensors"), "--data", path("data")};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = on_data;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  EXPECT_GT(judged(with({"--head", "corner"}))["accuracy"], 0.8);
  const auto refuses = [&](const std::vector<std::string>& more, const std::string& what) {
    std::vector<std::string> words = with(more);
    words.insert(words.begin(), "evaluate");
    expect_bad_usage(run_amalgam(words), what);
  };
  refuses({}, "name one of its heads: corner (4), other (3)");
  refuses({"--head", "corners"}, "did you mean 'corner'");
  refuses({"--head", "other"}, "4 classes, but the network's head 'other' has 3");
}

}  // namespace
}  // namespace amalgam
