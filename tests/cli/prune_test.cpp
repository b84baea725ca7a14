// Sparse soups and pruning while training, by `amalgam train`.
#include <gtest/gtest.h>

#include <csignal>
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

class PruneCommand : public LearnedMergeCommand {
 protected:
  json prune(const std::string& name, const std::string& section,
             std::vector<std::string> more = {}) const {
    return json::parse(succeed(words(name, section, std::move(more))).out);
  }
  std::vector<std::string> words(const std::string& name, const std::string& section,
                                 std::vector<std::string> more) const {
    std::vector<std::string> all{"train", path("recipe.yml"), "--set", "prune={" + section + "}",
                                 "-o",    member(name),       "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::size_t zeros(const std::string& name, const std::string& tensor) const {
    const auto source = open_checkpoint(member(name));
    const std::size_t index = source->find(tensor).value();
    std::vector<float> values(source->tensors()[index].elements);
    source->read(index, 0, std::span(values));
    return static_cast<std::size_t>(std::count(values.begin(), values.end(), 0.0F));
  }
};

// 8 x 8 images, 8 hidden units, 4 classes: 64 * 8 + 8 * 4 = 544 prunable weights.
TEST_F(PruneCommand, MakesASparseSoupOfADenseNetworkAndItsMask) {
  const json report = prune("sparse", "sparsity: 0.75, phases: 2, copies: 2, retrain: {epochs: 1}",
                            {"--init", member("base")});
  EXPECT_EQ(report["weights"], 544);
  EXPECT_EQ(report["kept"], 136);
  ASSERT_EQ(report["phases"].size(), 2U);
  EXPECT_EQ(report["phases"][1]["copy_accuracies"].size(), 2U);
  // 1 - (1 - .75)^(1/2) = .5 of the weights in the first phase.
  EXPECT_EQ(report["phases"][0]["pruned"], 272);
  EXPECT_EQ(zeros("sparse", "layers.0.weight") + zeros("sparse", "layers.1.weight"), 408U);
  EXPECT_EQ(report["mask"], path("sparse.mask.safetensors"));
  EXPECT_TRUE(fs::exists(path("sparse.mask.safetensors")));
  EXPECT_FALSE(fs::exists(folder_ / ".sparse.resume"));
  EXPECT_GT(accuracy("sparse"), .5);
}

TEST_F(PruneCommand, TrainsTheDenseNetworkFirstIfThereIsNone) {
  const std::string section = "sparsity: 0.5, phases: 1, copies: 2, retrain: {epochs: 1}";
  prune("whole", section);
  // base is what the recipe without `prune` made.
  prune("after", section, {"--init", member("base")});
  EXPECT_TRUE(contents_of(path("whole.mask.safetensors")) ==
              contents_of(path("after.mask.safetensors")));
}

TEST_F(PruneCommand, PrunesWhileTraining) {
  for (const char* section :
       {"method: gradual, sparsity: 0.5, copies: 2", "method: gradual, sparsity: 0.5",
        "method: dynamic, sparsity: 0.5",
        "method: budgeted, sparsity: 0.5, dense_epochs: 1, phases: 1, copies: 2"}) {
    const json report = prune("trained", section, {"--overwrite"});
    EXPECT_EQ(report["kept"], 272) << section;
    EXPECT_EQ(zeros("trained", "layers.0.weight") + zeros("trained", "layers.1.weight"), 272U)
        << section;
  }
}

TEST_F(PruneCommand, PrunesByMethodsOfSparseTraining) {
  for (const char* method : {"compression", "sparse_momentum", "top_weights", "soft_threshold",
                             "continuous", "unit_threshold"}) {
    const json report =
        prune("trained", std::string("method: ") + method + ", sparsity: 0.75",
              {"--overwrite", "--set", "optimizer={learning_rate: 0.05, weight_decay: 0.001}"});
    EXPECT_LE(report["kept"], 136) << method;
    EXPECT_EQ(zeros("trained", "layers.0.weight") + zeros("trained", "layers.1.weight"),
              544U - report["kept"].get<std::size_t>())
        << method;
    EXPECT_EQ(report["sparsities"].size(), 2U);
  }
  expect_bad_usage(run_amalgam(words("none", "method: compression, sparsity: 0.75", {})),
                   "pruning by compression needs weight decay");
  expect_bad_usage(run_amalgam(words("none", "method: top_weights, sparsity: 0.75", {"--resume"})),
                   "run in one piece");
}

TEST_F(PruneCommand, SparseRowsAreEvaluatedAsTheDenseNetwork) {
  prune("sparse", "sparsity: 0.9, phases: 1, copies: 1, retrain: {epochs: 1}",
        {"--init", member("base")});
  const json made = json::parse(run_amalgam({"convert", member("sparse"), member("small"), "--csr",
                                             "--mask", path("sparse.mask.safetensors"), "--json"})
                                    .out);
  EXPECT_EQ(made["sparse_tensors"], 2);
  EXPECT_EQ(made["stored"], 54);
  EXPECT_EQ(made["elements"], 544);
  EXPECT_LT(fs::file_size(member("small")), fs::file_size(member("sparse")));
  EXPECT_EQ(accuracy("small"), accuracy("sparse"));
  ASSERT_EQ(run_amalgam({"convert", member("small"), member("again")}).code, 0);
  EXPECT_TRUE(contents_of(member("again")) == contents_of(member("sparse")));
  expect_bad_usage(run_amalgam({"convert", member("sparse"), path("folder"), "--csr"}),
                   "ends in .safetensors");
  expect_bad_usage(run_amalgam({"convert", member("base"), member("no"), "--csr", "--mask",
                                path("sparse.mask.safetensors")}),
                   "the mask does not keep it");
  EXPECT_FALSE(fs::exists(member("no")));
}

// Starts the program, and interrupts it as soon as `file` is there.
int interrupted_run(std::vector<std::string> arguments, const fs::path& file) {
  arguments.insert(arguments.begin(), AMALGAM_BINARY);
  std::vector<char*> argv;
  for (std::string& word : arguments) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0);
  }
  pid_t child = 0;
  const int error = posix_spawn(&child, AMALGAM_BINARY, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot run " AMALGAM_BINARY);
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (!fs::exists(file)) continue;
    kill(child, SIGINT);
    waitpid(child, &status, 0);
    break;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(PruneCommand, AnInterruptedSoupGoesOnWithTheSameBits) {
  const std::string section = "sparsity: 0.8, phases: 4, copies: 4, retrain: {epochs: 20}";
  const std::vector<std::string> start{"--init", member("base"), "--threads", "1"};
  prune("sparse", section, {"--init", member("base")});
  const std::string expected = contents_of(member("sparse"));
  const std::string mask = contents_of(path("sparse.mask.safetensors"));
  fs::remove(member("sparse"));
  fs::remove(path("sparse.mask.safetensors"));

  const fs::path kept = folder_ / ".sparse.resume";
  ASSERT_EQ(interrupted_run(words("sparse", section, start), kept / "phase-1-copy-2.safetensors"),
            130);
  EXPECT_FALSE(fs::exists(member("sparse")));
  ASSERT_TRUE(fs::exists(kept / "phase-1-copy-1.safetensors"));
  expect_bad_usage(run_amalgam(words("sparse", "sparsity: 0.8, phases: 4, copies: 4",
                                     {"--init", member("base"), "--resume"})),
                   "a copy of another run");
  prune("sparse", section, {"--init", member("base"), "--resume"});
  EXPECT_TRUE(contents_of(member("sparse")) == expected);
  EXPECT_TRUE(contents_of(path("sparse.mask.safetensors")) == mask);
  EXPECT_FALSE(fs::exists(kept));
}

TEST_F(PruneCommand, SaysWhatDoesNotFit) {
  const auto refused = [&](const std::string& section, const std::string& part,
                           std::vector<std::string> more = {}) {
    expect_bad_usage(run_amalgam(words("no", section, std::move(more))), part);
    EXPECT_FALSE(fs::exists(member("no")));
    EXPECT_FALSE(fs::exists(path("no.mask.safetensors")));
  };
  refused("sparsity: 2", "prune.sparsity is 2");
  refused("sparsity: 0.5, copis: 3", "did you mean 'copies'");
  refused("method: dynamic, sparsity: 0.5", "run in one piece", {"--resume"});
  refused("method: budgeted, sparsity: 0.5, dense_epochs: 2, phases: 3", "2 dense epochs leave 0");
  std::ofstream(path("no.mask.safetensors")) << "mine";
  expect_bad_usage(run_amalgam(words("no", "sparsity: 0.5", {"--init", member("base")})),
                   "no.mask.safetensors: exists already");
  EXPECT_EQ(contents_of(path("no.mask.safetensors")), "mine");
}

}  // namespace
}  // namespace amalgam
