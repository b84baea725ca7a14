// `amalgam train` and `amalgam evaluate` on tables and texts, early ends, and runs that fail.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// Two classes that x and the shape tell; every ninth x is missing.
std::string table(int rows, std::uint64_t seed) {
  RandomStream random(seed, "table");
  std::string text = "number,x,shape,kind\n";
  for (int i = 0; i < rows; ++i) {
    const bool good = random.below(2) == 1;
    const double x = 50 + (good ? 8 : -8) + 5 * random.normal();
    text += std::to_string(i) + ",";
    if (i % 9 != 0) text += std::to_string(x);
    text += std::string(",") +
            (good         ? "round"
             : i % 2 == 0 ? "square"
                          : "flat") +
            "," + (good ? "good" : "bad") + "\n";
  }
  return text;
}

class TrainCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run_amalgam({"train", "--help"}).code != 0) {
      GTEST_SKIP() << "this build has no learning library";
    }
    folder_.write("t.csv", table(240, 1));
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  // A recipe on the table, with more lines.
  std::string recipe(const std::string& more, const std::string& data = "") const {
    return folder_
        .write("recipe.yml",
               "network: {architecture: mlp, hidden: [8]}\ndata: {set: " + path("t.csv") +
                   ", label: kind, ignore: [number]" + data +
                   "}\nbatch: 16\noptimizer: {name: adam, learning_rate: 0.02}\n" + more)
        .string();
  }
  static RunResult run(std::vector<std::string> words) {
    words.insert(words.end(), {"--threads", "1"});
    return run_amalgam(words);
  }
  static RunResult succeed(const std::vector<std::string>& words) {
    RunResult result = run(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }
  // The names of what is in the folder, hidden files included.
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const TemporaryFolder folder_;
};

TEST_F(TrainCommand, ATableIsLearnedAndAnotherOneEvaluatedAlike) {
  succeed({"train", recipe("epochs: 15\n"), "-o", path("net.safetensors"), "--quiet"});
  folder_.write("other.csv", table(100, 2));
  const auto judged = succeed({"evaluate", path("net.safetensors"), "--data", path("other.csv"),
                               "--split", "all", "--json"})
                          .json();
  EXPECT_EQ(judged["results"][0]["examples"], 100);
  EXPECT_GT(judged["results"][0]["accuracy"], 0.9);
  EXPECT_EQ(judged["results"][0]["per_class"][0]["name"], "bad");
  // One class of the file only: the other has no figures.
  const auto one = succeed({"evaluate", path("net.safetensors"), "--data", path("other.csv"),
                            "--split", "all", "--classes", "good", "--json"})
                       .json();
  EXPECT_EQ(one["results"][0]["per_class"][0]["examples"], 0);
  EXPECT_TRUE(one["results"][0]["per_class"][0]["accuracy"].is_null());
  // What the network was trained on is also what its Fisher and Gram files are made from.
  succeed({"fisher", path("net.safetensors"), "--data", path("t.csv"), "-o", path("f.safetensors"),
           "--quiet"});
  succeed({"gram", path("net.safetensors"), "--data", path("t.csv"), "-o", path("g.safetensors"),
           "--quiet"});
  // A member that starts from it keeps its columns, whatever the other file has.
  folder_.write(
      "more.csv", "shape,kind,x\n" + [] {
        std::string rows;
        for (int i = 0; i < 24; ++i) rows += i % 2 == 0 ? "star,bad,40\n" : "round,good,60\n";
        return rows;
      }());
  const RunResult tuned =
      succeed({"train", recipe("epochs: 1\n"), "--init", path("net.safetensors"), "--data",
               path("more.csv"), "--set", "data.ignore=null", "-o", path("tuned.safetensors")});
  EXPECT_NE(tuned.err.find("in no category that the network knows"), std::string::npos)
      << tuned.err;
}

TEST_F(TrainCommand, StopsEarlyAndReportsTheEpochsFigures) {
  const auto report = succeed({"train", recipe("epochs: 200\nearly_stop: {patience: 4}\n"), "-o",
                               path("net.safetensors"), "--json"})
                          .json();
  const std::size_t epochs = report["epochs"].size();
  ASSERT_LT(epochs, 200U);
  const std::size_t best = report["best_epoch"];
  EXPECT_EQ(epochs, best + 1 + 4);
  const double loss = report["epochs"][best]["validation_loss"];
  for (const auto& epoch : report["epochs"])
    EXPECT_GE(epoch["validation_loss"].get<double>(), loss);
  EXPECT_NEAR(report["validation"]["nll"].get<double>(), loss, 1e-5);
  EXPECT_EQ(report["validation"]["accuracy"], report["epochs"][best]["validation_accuracy"]);
  EXPECT_EQ(files(), (std::vector<std::string>{"net.safetensors", "recipe.yml", "t.csv"}));
}

TEST_F(TrainCommand, AClassWithoutExamplesIsNamed) {
  const RunResult result = succeed({"train", recipe("epochs: 1\n", ", first: 0, examples: 1"), "-o",
                                    path("net.safetensors"), "--json"});
  EXPECT_NE(result.err.find("no training example of class '"), std::string::npos) << result.err;
}

TEST_F(TrainCommand, ADivergedRunKeepsItsLastGoodWeights) {
  const std::string diverges =
      "epochs: 400\nschedule: {name: constant}\n"
      "optimizer: {name: sgd, learning_rate: 60, weight_decay: 0.5, momentum: 0.99}\n";
  folder_.write("recipe.yml",
                "network: {architecture: mlp, hidden: [8]}\ndata: {set: " + path("t.csv") +
                    ", label: kind, ignore: [number]}\nbatch: 90\n" + diverges);
  const RunResult result = run({"train", path("recipe.yml"), "-o", path("net.safetensors")});
  EXPECT_EQ(result.code, 1) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_NE(result.err.find(" at step "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("net.last-good.safetensors"), std::string::npos) << result.err;
  EXPECT_EQ(files(),
            (std::vector<std::string>{"net.last-good.safetensors", "recipe.yml", "t.csv"}));
  succeed({"evaluate", path("net.last-good.safetensors"), "--data", path("t.csv")});
}

TEST_F(TrainCommand, ARunThatDivergesAtOnceLeavesNothing) {
  std::string huge = "x,kind\n";
  for (int i = 0; i < 48; ++i) huge += i % 2 == 0 ? "3e38,a\n" : "-3e38,b\n";
  folder_.write("t.csv", huge);
  folder_.write("recipe.yml",
                "network: {architecture: mlp, hidden: [8], standardise: false}\n"
                "data: {set: " +
                    path("t.csv") + ", label: kind}\nepochs: 3\n");
  const RunResult result = run({"train", path("recipe.yml"), "-o", path("net.safetensors")});
  EXPECT_EQ(result.code, 1) << result.err;
  EXPECT_NE(result.err.find("no epoch was finished"), std::string::npos) << result.err;
  EXPECT_EQ(files(), (std::vector<std::string>{"recipe.yml", "t.csv"}));
}

// Runs the program in a child that may not write files of more than `bytes`: what a full disk is
// for a program, in a way that needs no disk.
RunResult run_with_small_files(std::vector<std::string> words, rlim_t bytes,
                               const fs::path& err_file) {
  words.insert(words.begin(), AMALGAM_BINARY);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{bytes, bytes};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(99);
    const int err = open(err_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(err, STDERR_FILENO);
    execv(AMALGAM_BINARY, argv.data());
    _exit(98);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  RunResult result;
  result.err = contents_of(err_file);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

TEST_F(TrainCommand, AFullDiskIsOneClearSentenceAndNothingHalfWritten) {
  const TemporaryFolder elsewhere;
  folder_.write("recipe.yml", "network: {architecture: mlp, hidden: [600]}\ndata: {set: " +
                                  path("t.csv") + ", label: kind, ignore: [number]}\nepochs: 2\n");
  const RunResult result = run_with_small_files(
      {"train", path("recipe.yml"), "-o", path("net.safetensors"), "--threads", "1"}, 4096,
      elsewhere / "err");
  EXPECT_EQ(result.code, 1) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_TRUE(result.err.starts_with("amalgam: error: ")) << result.err;
  EXPECT_EQ(files(), (std::vector<std::string>{"recipe.yml", "t.csv"}));
}

// Runs a script of the shell; what it prints is `out`.
RunResult run_script(const std::string& script, const fs::path& folder) {
  const fs::path file = folder / "script.out";
  const int status = std::system(("( " + script + " ) > " + file.string() + " 2>&1").c_str());
  RunResult result;
  result.out = contents_of(file);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return result;
}

// On a file system of its own that has room for the state of the run (384 kB) but not for the
// network (128 kB) beside it.
TEST_F(TrainCommand, WhenTheDiskFillsAtTheEndTheRunGoesOnOnceThereIsRoom) {
  const TemporaryFolder elsewhere;
  const std::string enter = "unshare --map-root-user --mount ";
  if (run_script(enter + "true", elsewhere.path()).code != 0) {
    GTEST_SKIP() << "this system does not let tests mount file systems";
  }
  folder_.write("recipe.yml",
                "network: {architecture: mlp, hidden: [4000]}\ndata: {set: " + path("t.csv") +
                    ", label: kind, ignore: [number]}\nepochs: 2\n"
                    "optimizer: {name: adam}\n");
  const std::string disk = path("disk");
  fs::create_directory(disk);
  const std::string train = std::string(AMALGAM_BINARY) + " train " + path("recipe.yml") +
                            " --threads 1 --quiet -o " + disk + "/net.safetensors";
  folder_.write("steps.sh", "mount -t tmpfs -o size=450k tmpfs " + disk + "\n" + train +
                                "\necho code $?\nls -A " + disk + "\nmount -o remount,size=2m " +
                                disk + "\n" + train + " --resume\necho code $?\nls -A " + disk +
                                "\n");
  const RunResult result = run_script(enter + "sh " + path("steps.sh"), elsewhere.path());
  const std::vector<std::string> parts = {
      "not enough free space", "make room and go on with --resume\n",
      "code 1\n.net.resume.safetensors\ncode 0\nnet.safetensors\n"};
  for (const std::string& part : parts) {
    EXPECT_NE(result.out.find(part), std::string::npos) << result.out << "lacks: " << part;
  }
}

TEST_F(TrainCommand, AMissingDataSetNamesThePackageThatHasIt) {
  const TemporaryFolder empty;
  folder_.write("recipe.yml", "network: {architecture: mlp}\n");
  const RunResult result =
      run_script("AMALGAM_FASHION_MNIST=" + empty.path().string() + " " + AMALGAM_BINARY +
                     " train " + path("recipe.yml") + " -o " + path("net.safetensors"),
                 folder_.path());
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.out.find("install Debian's package dataset-fashion-mnist"), std::string::npos)
      << result.out;
}

TEST_F(TrainCommand, SaysWhatIsWrongWithTheData) {
  const auto refused = [&](const std::string& file, const std::string& part) {
    expect_bad_usage(run({"train", file, "-o", path("net.safetensors")}), part);
  };
  refused(recipe("", ", context: 3"), "no 'context'");
  refused(recipe("cutmix: 1\n"), "'cutmix' needs images");
  refused(recipe("schedule: {name: wsd, warmup: 1000000}\n"), "do not fit");
  refused(recipe("validation: none\nearly_stop: {}\n"), "early_stop needs");
  folder_.write("t.csv", "x,kind\n1,a\n\"2,b\n");
  folder_.write("recipe.yml",
                "network: {architecture: mlp}\ndata: {set: " + path("t.csv") + ", label: kind}\n");
  refused(path("recipe.yml"), "t.csv:3:1: a quoted field begins here and is not closed");
  expect_bad_usage(run({"evaluate", path("t.csv")}), "t.csv");
}

}  // namespace
}  // namespace amalgam
