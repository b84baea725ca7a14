// What `amalgam merge` promises beside its numbers: bounded memory, the same bits for any threads
// and memory, outputs that appear whole or not at all.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/cli/merge_fixture.hpp"
#include "tests/cli/start_binary.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

class MergeRun : public MergeFixture {
 protected:
  static void expect_done(const RunResult& result) { ASSERT_EQ(result.code, 0) << result.err; }

  // A model of `bytes` bytes in bf16: matrices of 8 MB, cheap to make.
  std::string write_large(const std::string& name, std::uint64_t bytes, std::uint64_t seed) const {
    constexpr std::uint64_t kSide = 2048;
    const MemoryTensor pattern = tensor("pattern", {kSide, kSide}, seed, DType::bf16);
    std::vector<TensorInfo> infos;
    for (std::uint64_t i = 0; i * pattern.info.bytes < bytes; ++i) {
      infos.push_back(make_tensor_info("layers." + std::to_string(i) + ".weight", DType::bf16,
                                       {kSide, kSide}, name));
    }
    const std::string file = path(name + ".safetensors");
    const auto sink = create_safetensors_file(file, infos);
    for (std::size_t i = 0; i < infos.size(); ++i) sink->write(i, 0, pattern.bytes);
    sink->finish();
    return file;
  }
};

int exit_code(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// The most memory that a run of the program held, in bytes. The kernel counts for a process what
// the one that started it held by then, which here is that of all tests before: so it is started,
// and asked for, by a small one.
std::uint64_t peak_memory(std::vector<std::string> words) {
  constexpr const char* kScript =
      "import resource, subprocess, sys\n"
      "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
      "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n";
  words.insert(words.begin(), {"/usr/bin/python3", "-c", kScript, AMALGAM_BINARY});
  std::string command;
  for (const std::string& word : words) {
    command += "'" + word + "' ";
    EXPECT_EQ(word.find('\''), std::string::npos) << word;
  }
  std::FILE* output = ::popen((command + "2> /dev/null").c_str(), "r");
  int code = -1;
  std::uint64_t kibibytes = 0;
  EXPECT_EQ(std::fscanf(output, "%d %" SCNu64, &code, &kibibytes), 2);
  ::pclose(output);
  EXPECT_EQ(code, 0);
  return kibibytes * 1024;
}

TEST_F(MergeRun, StaysWithinTheMemoryBudgetForAModelEightTimesAsLarge) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "sanitizers keep memory of their own";
#endif
#endif
  const std::string base = write_large("large_base", 512'000'000, 1);
  const std::string member = write_large("large_a", 512'000'000, 2);
  const std::vector<std::vector<std::string>> methods = {
      {"-m", "linear", base, member, "-p", "weight=1"},
      {"-m", "ties", "-b", base, member, "-p", "weight=1", "-p", "density=0.5"},
      {"-m", "ties", "-b", base, member, "-p", "weight=1", "-p", "dialect=paper"},
      {"-m", "dare_ties", "-b", base, member, "-p", "weight=1", "-p", "density=0.5"},
      {"-m", "slerp", "-b", base, member, "-p", "t=0.5"},
      {"-m", "geometric_median", base, member},
  };
  for (std::vector<std::string> words : methods) {
    words.insert(words.begin(), "merge");
    words.insert(words.end(), {"-o", out(), "--overwrite", "--memory", "64MB", "--threads", "2"});
    const std::uint64_t peak = peak_memory(words);
    EXPECT_GT(peak, 4'000'000U) << words[2] << ": not measured";
    EXPECT_LE(peak, 64'000'000U) << words[2];
  }
}

TEST_F(MergeRun, GivesTheSameBytesForAnyThreadsAndMemory) {
  std::vector<std::string> files;
  for (const std::uint64_t seed : {1, 2, 3}) {
    files.push_back(
        write("m" + std::to_string(seed), {tensor("layers.0.weight", {700, 900}, seed, DType::bf16),
                                           tensor("layers.1.weight", {33, 65}, seed),
                                           tensor("norm.weight", {17}, seed, DType::f16)}));
  }
  for (const std::string& method : {"ties", "dare_ties", "della", "breadcrumbs", "sce"}) {
    std::string expected;
    for (const std::string& threads : {"1", "2", "5"}) {
      for (const std::string& memory : {"64MB", "2GB"}) {
        std::vector<std::string> words = {
            "merge", "-m",          method,      "-b",    files[0],   files[1], files[2], "-o",
            out(),   "--overwrite", "--threads", threads, "--memory", memory,   "--seed", "7"};
        if (method != "sce")
          words.insert(words.end(), {"-p", "weight=0.7,0.4", "-p", "density=0.4"});
        expect_done(run_amalgam(words));
        if (expected.empty()) expected = contents_of(out());
        EXPECT_EQ(contents_of(out()), expected) << method << " " << threads << " " << memory;
      }
    }
  }
}

TEST_F(MergeRun, TheSeedChoosesTheMasks) {
  const auto merged = [&](const std::string& seed) {
    expect_done(run_amalgam({"merge", "-m", "dare_linear", "-b", base_, a_, "-p", "weight=1", "-p",
                             "density=0.5", "--seed", seed, "-o", out(), "--overwrite"}));
    return contents_of(out());
  };
  EXPECT_EQ(merged("1"), merged("1"));
  EXPECT_NE(merged("1"), merged("2"));
}

TEST_F(MergeRun, ASignalRemovesTheWorkAndExitsWith130) {
  const std::string base = write_large("large_base", 256'000'000, 1);
  const std::string member = write_large("large_a", 256'000'000, 2);
  for (const int signal : {SIGINT, SIGTERM}) {
    for (const bool keep : {false, true}) {
      std::vector<std::string> words = {"merge", "-m",       "ties", "-b",  base,        member,
                                        "-p",    "weight=1", "-o",   out(), "--threads", "1"};
      if (keep) words.push_back("--keep-partial");
      const pid_t child = start_amalgam(words);
      ASSERT_GT(child, 0);
      // Its partial output shows that the work has begun.
      int status = 0;
      bool ended = false;
      const fs::path partial = folder_ / ".out.safetensors.partial";
      while (!ended && !fs::exists(partial / "out.safetensors")) {
        ended = waitpid(child, &status, WNOHANG) == child;
        std::this_thread::yield();
      }
      ASSERT_FALSE(ended) << exit_code(status);
      kill(child, signal);
      ASSERT_EQ(waitpid(child, &status, 0), child);
      EXPECT_EQ(exit_code(status), 130);
      EXPECT_FALSE(fs::exists(out()));
      EXPECT_EQ(fs::exists(folder_ / ".out.safetensors.partial"), keep);
      fs::remove_all(folder_ / ".out.safetensors.partial");
    }
  }
}

TEST_F(MergeRun, AStalePartialIsReportedAndReplaced) {
  fs::create_directory(folder_ / ".out.safetensors.partial");
  std::ofstream(folder_ / ".out.safetensors.partial/out.safetensors") << "unfinished";
  const RunResult result =
      run_amalgam({"merge", "-m", "linear", a_, b_, "-p", "weight=1", "-o", out()});
  expect_done(result);
  EXPECT_NE(result.err.find("warning"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find(".out.safetensors.partial"), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(folder_ / ".out.safetensors.partial"));
}

TEST_F(MergeRun, ADiskThatFillsUpLeavesNothing) {
  const fs::path small = folder_ / "small";
  fs::create_directory(small);
  if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=2m") != 0) {
    GTEST_SKIP() << "needs the right to mount a tmpfs";
  }
  struct Unmount {
    const fs::path& place;
    ~Unmount() { umount(place.c_str()); }
  } unmount{small};
  const std::string large = write("large", {tensor("w", {1000, 700}, 1)});
  const std::string place = (small / "out.safetensors").string();
  const RunResult result =
      run_amalgam({"merge", "-m", "linear", large, large, "-p", "weight=1", "-o", place});
  EXPECT_EQ(result.code, 1) << result.err;
  EXPECT_NE(result.err.find("free"), std::string::npos) << result.err;
  EXPECT_TRUE(fs::is_empty(small));
}

TEST_F(MergeRun, OverwriteReplacesAndKeepsTheOldOnFailure) {
  std::ofstream(out()) << "old";
  expect_bad_usage(run_amalgam({"merge", "-m", "linear", a_, path("absent"), "-p", "weight=1", "-o",
                                out(), "--overwrite"}),
                   "absent");
  EXPECT_EQ(contents_of(out()), "old");
  expect_done(
      run_amalgam({"merge", "-m", "linear", a_, a_, "-p", "weight=1", "-o", out(), "--overwrite"}));
  EXPECT_EQ(values_of(*open_checkpoint(out()), "layers.0.bias"),
            values_of(*open_checkpoint(a_), "layers.0.bias"));
}

TEST_F(MergeRun, AFolderHasWeightsConfigCardAndRecipe) {
  const fs::path model = folder_ / "model";
  fs::create_directory(model);
  fs::copy_file(base_, model / "model.safetensors");
  std::ofstream(model / "config.json") << R"({"model_type": "llama", "num_hidden_layers": 2})";
  std::ofstream(model / "tokenizer.json") << R"({"version": "1.0"})";
  const std::string folder = path("merged");
  expect_done(
      run_amalgam({"merge", "-m", "slerp", "-b", model.string(), a_, "-p", "t=0.5", "-o", folder}));
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json", "README.md"}) {
    EXPECT_TRUE(fs::exists(fs::path(folder) / name)) << name;
  }
  EXPECT_NE(contents_of(fs::path(folder) / "README.md").find("merge_method: slerp"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(fs::path(folder) / "stages"));
}

TEST_F(MergeRun, StagesUseEarlierResults) {
  // ((a + b) / 2) is the first stage; the second adds the base once more: (a + b) / 4 + base / 2.
  std::ofstream(path("stages.yml")) << "name: half\nmerge_method: linear\nmodels:\n"
                                    << "  - {model: " << a_ << ", parameters: {weight: 1}}\n"
                                    << "  - {model: " << b_ << ", parameters: {weight: 1}}\n---\n"
                                    << "name: all\nmerge_method: linear\nmodels:\n"
                                    << "  - {model: half, parameters: {weight: 1}}\n"
                                    << "  - {model: " << base_ << ", parameters: {weight: 1}}\n";
  expect_done(run_amalgam({"merge", path("stages.yml"), "-o", out()}));
  const auto a = values_of(*open_checkpoint(a_), "layers.1.weight");
  const auto b = values_of(*open_checkpoint(b_), "layers.1.weight");
  const auto base = values_of(*open_checkpoint(base_), "layers.1.weight");
  const auto merged = values_of(*open_checkpoint(out()), "layers.1.weight");
  for (std::size_t i = 0; i < merged.size(); ++i) {
    EXPECT_FLOAT_EQ(merged[i], (a[i] + b[i]) / 4 + base[i] / 2);
  }
}

// Every shard of every member is an open file, and the soft limit is often low.
TEST_F(MergeRun, MoreShardsThanTheSoftLimitOfOpenFiles) {
  std::vector<std::string> words{"merge", "-m", "linear", "-p", "weight=1", "-o", out()};
  for (const std::string& model : {base_, a_, b_}) {  // of five tensors each
    words.push_back(model + ".shards");
    expect_done(run_amalgam({"convert", model, words.back(), "--shard-size", "1"}));
  }
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  struct rlimit low = before;
  low.rlim_cur = 12;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const RunResult result = run_amalgam(words);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  expect_done(result);
}

TEST_F(MergeRun, WiseFtGivesOneOutputPerAlpha) {
  expect_done(run_amalgam(
      {"merge", "-m", "wise_ft", "-b", base_, a_, "-p", "alpha=[0,0.25,1]", "-o", out()}));
  const auto base = values_of(*open_checkpoint(base_), "layers.0.bias");
  const auto tuned = values_of(*open_checkpoint(a_), "layers.0.bias");
  EXPECT_EQ(values_of(*open_checkpoint(path("out-alpha-0.safetensors")), "layers.0.bias"), base);
  EXPECT_EQ(values_of(*open_checkpoint(path("out-alpha-1.safetensors")), "layers.0.bias"), tuned);
  const auto quarter =
      values_of(*open_checkpoint(path("out-alpha-0.25.safetensors")), "layers.0.bias");
  for (std::size_t i = 0; i < base.size(); ++i) {
    EXPECT_FLOAT_EQ(quarter[i], 0.75 * base[i] + 0.25 * tuned[i]);
  }
}

TEST_F(MergeRun, ADryRunWritesNothingAndSaysWhatItWould) {
  const RunResult result = run_amalgam({"merge", "-m", "ties", "-b", base_, a_, b_, "-p",
                                        "weight=1", "-o", out(), "--dry-run", "--json"});
  expect_done(result);
  expect_nothing_left();
  const auto json = result.json();
  EXPECT_EQ(json["bytes_written"], 64U * 4);
  EXPECT_GE(json["bytes_read"], 3U * 64 * 4);
  EXPECT_EQ(json["stages"][0]["method"], "ties");
}

TEST_F(MergeRun, PrintsOneJsonObject) {
  const RunResult result =
      run_amalgam({"merge", "-m", "linear", a_, b_, "-p", "weight=1", "-o", out(), "--json"});
  expect_done(result);
  EXPECT_EQ(result.json()["tensors_merged"], 5);
  EXPECT_EQ(result.json()["outputs"][0], out());
}

TEST_F(MergeRun, WritesGgufAndReadsItBack) {
  expect_done(
      run_amalgam({"merge", "-m", "linear", a_, a_, "-p", "weight=1", "-o", path("a.gguf")}));
  EXPECT_EQ(values_of(*open_checkpoint(path("a.gguf")), "layers.0.bias"),
            values_of(*open_checkpoint(a_), "layers.0.bias"));
}

TEST_F(MergeRun, ListsEveryMethodWithItsParametersAndSource) {
  const RunResult all = run_amalgam({"merge", "methods", "--json"});
  expect_done(all);
  std::vector<std::string> names;
  const auto listed = all.json();
  for (const auto& method : listed["methods"]) {
    names.push_back(method["name"]);
    EXPECT_FALSE(method["source"].get<std::string>().empty()) << names.back();
    for (const auto& parameter : method["parameters"]) {
      EXPECT_FALSE(parameter["doc"].get<std::string>().empty()) << names.back();
    }
  }
  for (const char* name : {"linear",
                           "slerp",
                           "nuslerp",
                           "multislerp",
                           "karcher",
                           "task_arithmetic",
                           "ties",
                           "dare_linear",
                           "dare_ties",
                           "della",
                           "della_linear",
                           "breadcrumbs",
                           "breadcrumbs_ties",
                           "sce",
                           "model_stock",
                           "nearswap",
                           "arcee_fusion",
                           "ram",
                           "ramplus_tl",
                           "passthrough",
                           "fisher",
                           "wise_ft",
                           "variance_corrected",
                           "median",
                           "trimmed_mean",
                           "geometric_median",
                           "krum",
                           "multi_krum",
                           "bulyan",
                           "meamed",
                           "phocas",
                           "flag"}) {
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
    expect_done(run_amalgam({"merge", "methods", name}));
  }
}

TEST_F(MergeRun, ShowsDefaultsThatDependOnTheDialect) {
  const RunResult shown = run_amalgam({"merge", "methods", "ties"});
  expect_done(shown);
  EXPECT_NE(shown.out.find("tensor (paper: model)"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("floor (paper: round_half_even)"), std::string::npos) << shown.out;
  const auto listed = run_amalgam({"merge", "methods", "ties", "--json"}).json();
  std::size_t seen = 0;
  for (const auto& parameter : listed["parameters"]) {
    if (parameter["name"] != "scope") continue;
    ++seen;
    EXPECT_TRUE(parameter["default"].is_null());
    EXPECT_EQ(parameter["default_text"], "tensor (paper: model)");
  }
  EXPECT_EQ(seen, 1U);
}

TEST_F(MergeRun, TheProgramDoesNotLinkLibtorch) {
  FILE* pipe = popen("ldd " AMALGAM_BINARY, "r");
  ASSERT_NE(pipe, nullptr);
  std::string libraries;
  char buffer[4096];
  while (std::fgets(buffer, sizeof(buffer), pipe) != nullptr) libraries += buffer;
  ASSERT_EQ(pclose(pipe), 0);
  EXPECT_NE(libraries.find("libc.so"), std::string::npos);
  EXPECT_EQ(libraries.find("torch"), std::string::npos) << libraries;
  EXPECT_EQ(libraries.find("libc10"), std::string::npos) << libraries;
}

TEST_F(MergeRun, AFilterThatMatchesNoTensorIsToldOnce) {
  const auto merge = [&](const std::string& filter) {
    const RunResult result = run_amalgam({"merge", "-m", "linear", a_, b_, "-p", "weight=1", "-p",
                                          "weight:" + filter + "=2", "-o", out(), "--overwrite"});
    expect_done(result);
    return result.err;
  };
  const std::string told = merge("nomatch");
  const std::string warning = "parameter 'weight': no tensor has a name that the filter 'nomatch'";
  EXPECT_NE(told.find(warning), std::string::npos) << told;
  EXPECT_EQ(told.find(warning), told.rfind(warning)) << told;
  EXPECT_EQ(merge("layers.1").find("filter"), std::string::npos);
  EXPECT_EQ(merge("layers.*.bias").find("filter"), std::string::npos);
}

}  // namespace
}  // namespace amalgam
