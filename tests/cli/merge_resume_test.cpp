// What `amalgam merge --resume` promises: whenever a merge was killed, going on with it gives the
// bits of one that was not.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "tests/cli/merge_fixture.hpp"
#include "tests/cli/unfinished_merge.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

class MergeResume : public MergeFixture {
 protected:
  MergeResume() {
    for (const std::uint64_t seed : {1, 2, 3}) models_.push_back(write_model(seed));
  }

  // About 12 MB: several leaves in one tensor, one each in others, and a tensor that is copied.
  std::string write_model(std::uint64_t seed) const {
    std::vector<MemoryTensor> tensors = {tensor("embedding.weight", {3000, 700}, seed, DType::bf16),
                                         tensor("layers.0.weight", {900, 700}, seed),
                                         tensor("layers.1.weight", {900, 700}, seed),
                                         tensor("norm.weight", {17}, seed, DType::f16)};
    MemoryTensor steps = tensor("steps", {100'000}, 1, DType::f64);
    steps.info = make_tensor_info("steps", DType::i64, {100'000}, "test");
    tensors.push_back(std::move(steps));
    return write("resume" + std::to_string(seed), tensors);
  }

  std::vector<std::string> words(const std::string& output) const {
    return {"merge",          "-m", "ties",        "-b", models_[0], models_[1],  models_[2], "-p",
            "weight=0.7,0.4", "-p", "density=0.4", "-o", output,     "--threads", "2"};
  }

  static std::vector<std::string> resumed(std::vector<std::string> words) {
    words.push_back("--resume");
    return words;
  }

  // The whole output of a merge that nothing disturbs.
  std::string expected() const {
    const RunResult result = run_amalgam(words(path("whole.safetensors")));
    EXPECT_EQ(result.code, 0) << result.err;
    return contents_of(path("whole.safetensors"));
  }

  fs::path partial() const { return partial_of(out()); }
  fs::path journal() const { return partial() / "journal.0"; }

  // Leaves the work of a merge that was killed when it had made that many of its 29 leaves.
  void kill_after(std::size_t leaves) const { amalgam::kill_after(leaves, words(out()), out()); }

  std::vector<std::string> models_;
};

TEST_F(MergeResume, GivesTheSameBitsAfterAKillAtAnyMoment) {
  const auto start = std::chrono::steady_clock::now();
  const std::string whole = expected();
  const auto whole_time = std::chrono::steady_clock::now() - start;
  RandomStream random(7, "moments");
  int unfinished = 0;
  for (int run = 0; run < 20; ++run) {
    const pid_t child = start_amalgam(resumed(words(out())));
    ASSERT_GT(child, 0);
    // The moment is anywhere in a run; that it comes late on a busy machine is a moment as well.
    std::this_thread::sleep_for(whole_time * random.uniform());
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (!fs::exists(out())) {
      ++unfinished;
      if (run % 3 == 0) continue;  // the next run goes on with this one, and is killed too
      const RunResult result = run_amalgam(resumed(words(out())));
      ASSERT_EQ(result.code, 0) << result.err;
      EXPECT_FALSE(fs::exists(partial()));
    }
    ASSERT_EQ(contents_of(out()), whole) << "run " << run;
    fs::remove(out());  // a kill just after it came may have left what it was made in
  }
  EXPECT_GT(unfinished, 0);
}

TEST_F(MergeResume, MakesOnlyWhatIsNotThereYet) {
  const std::string whole = expected();
  kill_after(5);
  std::vector<std::string> arguments = resumed(words(out()));
  arguments.push_back("--json");
  const RunResult result = run_amalgam(arguments);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(contents_of(out()), whole);
  const auto json = result.json();
  EXPECT_GT(json["bytes_kept"], 0);
  EXPECT_EQ(json["bytes_kept"].get<std::uint64_t>() + json["bytes_written"].get<std::uint64_t>(),
            2 * 3000 * 700 + 2 * 4 * 900 * 700 + 2 * 17 + 8 * 100'000);
}

TEST_F(MergeResume, WhatWasDamagedSinceIsMadeAgain) {
  const std::string whole = expected();
  kill_after(5);
  {  // All data are lost, as in a power failure, and the last record of the journal is torn.
    std::fstream output(partial() / "out.safetensors", std::ios::in | std::ios::out);
    output.seekp(100'000);
    output << std::string(12'000'000, '\0');
    fs::resize_file(partial() / "out.safetensors", whole.size());
    fs::resize_file(journal(), fs::file_size(journal()) - 5);
  }
  const RunResult result = run_amalgam(resumed(words(out())));
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(contents_of(out()), whole);
}

TEST_F(MergeResume, RefusesToGoOnWithAnotherMerge) {
  kill_after(1);
  const auto expect_refused = [&](const std::vector<std::string>& other, const char* why) {
    const RunResult result = run_amalgam(other);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_NE(result.err.find("cannot go on with this unfinished merge"), std::string::npos);
    EXPECT_NE(result.err.find(why), std::string::npos) << result.err;
  };
  std::vector<std::string> other = resumed(words(out()));
  other[8] = "weight=0.7,0.5";
  expect_refused(other, "the recipe has changed");
  other = resumed(words(out()));
  other.insert(other.end(), {"--seed", "3"});
  expect_refused(other, "the options have changed");
  write_model(2);  // the same bytes at another time: whether they are the same is not known
  expect_refused(resumed(words(out())), "resume2.safetensors' has changed");
  EXPECT_TRUE(fs::exists(journal()));  // the work is still there
}

TEST_F(MergeResume, WithNothingToGoOnWithItBegins) {
  const std::string whole = expected();
  fs::create_directory(partial());
  std::ofstream(journal()) << "AMALGAMJ";  // killed while it wrote the beginning
  std::ofstream(partial() / "out.safetensors") << "unfinished";
  const RunResult result = run_amalgam(resumed(words(out())));
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("deleting the unfinished output"), std::string::npos) << result.err;
  EXPECT_EQ(contents_of(out()), whole);
}

TEST_F(MergeResume, KeepsFoldersShardsAndStagesApart) {
  std::ofstream(path("stages.yml"))
      << "name: half\nmerge_method: linear\nmodels:\n"
      << "  - {model: " << models_[0] << ", parameters: {weight: 1}}\n"
      << "  - {model: " << models_[1] << ", parameters: {weight: 1}}\n"
      << "---\nname: all\nmerge_method: linear\nmodels:\n"
      << "  - {model: half, parameters: {weight: 1}}\n"
      << "  - {model: " << models_[2] << ", parameters: {weight: 1}}\n";
  const auto arguments = [&](const std::string& output) {
    return std::vector<std::string>{"merge", path("stages.yml"), "-o",
                                    output,  "--shard-size",     "3MB"};
  };
  const RunResult undisturbed = run_amalgam(arguments(path("whole")));
  ASSERT_EQ(undisturbed.code, 0) << undisturbed.err;
  RandomStream random(9, "moments");
  for (int run = 0; run < 5; ++run) {
    const pid_t child = start_amalgam(resumed(arguments(path("out"))));
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(200'000)));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (fs::exists(path("out"))) continue;
    const RunResult result = run_amalgam(resumed(arguments(path("out"))));
    ASSERT_EQ(result.code, 0) << result.err;
    std::size_t files = 0;
    for (const auto& entry : fs::directory_iterator(path("whole"))) {
      ++files;
      EXPECT_EQ(contents_of(fs::path(path("out")) / entry.path().filename()),
                contents_of(entry.path()))
          << entry.path();
    }
    EXPECT_EQ(std::distance(fs::directory_iterator(path("out")), fs::directory_iterator()),
              static_cast<std::ptrdiff_t>(files));
    fs::remove_all(path("out"));
  }
}

// What a manifest proves need not be made again; without one nobody knows.
TEST_F(MergeResume, AFinishedMergeIsCompleteIfItsManifestProvesIt) {
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& why) {
    const RunResult result = run_amalgam(arguments);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_NE(result.err.find("already exists"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(why), std::string::npos) << result.err;
  };
  for (const std::string& place : {out(), path("out")}) {
    std::vector<std::string> again = resumed(words(place));
    ASSERT_EQ(run_amalgam(again).code, 0);
    refused(again, "choose another place");
    std::filesystem::remove_all(place);
    again.insert(again.end(), {"--manifest", "--json"});
    ASSERT_EQ(run_amalgam(again).code, 0);
    const fs::path file = fs::is_directory(place) ? place + "/model.safetensors" : place;
    const auto made = fs::last_write_time(file);
    const RunResult complete = run_amalgam(again);
    EXPECT_EQ(complete.code, 0) << complete.err;
    EXPECT_NE(complete.err.find(place + ": is complete already"), std::string::npos)
        << complete.err;
    EXPECT_EQ(complete.json()["was_finished"], true);
    EXPECT_EQ(complete.json()["outputs"], nlohmann::json{place});
    EXPECT_EQ(fs::last_write_time(file), made);
    EXPECT_FALSE(fs::exists(partial_of(place)));

    std::vector<std::string> other = again;
    other[8] = "weight=0.7,0.5";
    refused(other, "its recipe is another one");
    other = again;
    other.insert(other.end(), {"--seed", "3"});
    refused(other, "its options are others");
    other = again;
    other.insert(other.end(), {"--shard-size", "1MB"});
    refused(other, "its --shard-size is another one");
    other = again;  // without --resume it is in the way
    std::erase(other, "--resume");
    refused(other, "choose another place");
    write_model(2);  // the same bytes at another time
    EXPECT_EQ(run_amalgam(again).code, 0);
    const std::string whole = contents_of(models_[2]);
    std::ofstream(models_[2], std::ios::binary) << whole.substr(0, whole.size() - 1) + 'x';
    refused(again, "is not the file that was merged");
    std::ofstream(models_[2], std::ios::binary) << whole;
    const std::string written = contents_of(file);
    std::ofstream(file, std::ios::binary) << written.substr(0, written.size() - 1) + 'x';
    refused(again, "have changed");
    fs::remove_all(place);
    fs::remove(place + ".manifest.json");
  }
}

// Unfinished work is gone on with, whatever the manifest beside it says.
TEST_F(MergeResume, AManifestWithoutItsFileProvesNothing) {
  std::vector<std::string> arguments = resumed(words(out()));
  arguments.push_back("--manifest");
  ASSERT_EQ(run_amalgam(arguments).code, 0);
  const std::string whole = contents_of(out());
  fs::remove(out());
  const RunResult result = run_amalgam(arguments);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err.find("complete already"), std::string::npos) << result.err;
  EXPECT_EQ(contents_of(out()), whole);
}

// Of a model in quantised parts, which come into place one after another.
TEST_F(MergeResume, SplitMixturesHaveTheSameBits) {
  std::vector<std::string> models;
  for (const std::uint64_t seed : {1, 2, 3}) {
    models.push_back(write("quantised" + std::to_string(seed),
                           {tensor("token_embd.weight", {3000, 768}, seed, DType::bf16),
                            tensor("blk.0.ffn_down.weight", {900, 768}, seed),
                            tensor("blk.1.ffn_down.weight", {900, 768}, seed),
                            tensor("output_norm.weight", {768}, seed)}));
  }
  const auto arguments = [&](const std::string& output) {
    std::vector<std::string> all = words(output);
    std::copy(models.begin(), models.end(), all.begin() + 4);
    all.insert(all.end(), {"--dtype", "q4_k_m", "--shard-size", "500kB", "--manifest"});
    return all;
  };
  const auto files = [&](const std::string& stem) {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::directory_iterator(path(""))) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(stem)) continue;
      found[name.substr(stem.size())] = contents_of(entry.path());
    }
    return found;
  };
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(run_amalgam(arguments(path("whole.gguf"))).code, 0);
  const auto whole_time = std::chrono::steady_clock::now() - start;
  std::map<std::string, std::string> whole = files("whole");
  EXPECT_EQ(whole.size(), 5U);  // four parts and a manifest, which names the files
  RandomStream random(11, "moments");
  for (int run = 0; run < 8; ++run) {
    const pid_t child = start_amalgam(resumed(arguments(path("part.gguf"))));
    std::this_thread::sleep_for(whole_time * (0.3 + 0.8 * random.uniform()));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (!fs::exists(path("part-00001-of-00004.gguf"))) {
      const RunResult result = run_amalgam(resumed(arguments(path("part.gguf"))));
      ASSERT_EQ(result.code, 0) << result.err;
    }
    std::map<std::string, std::string> made = files("part");
    ASSERT_EQ(made.size(), whole.size());
    for (const auto& [name, bytes] : whole) {
      if (!name.ends_with(".json")) EXPECT_EQ(made[name], bytes) << name;
    }
    EXPECT_EQ(run_amalgam({"verify", path("part.gguf")}).code, 0);
    for (const auto& [name, bytes] : made) fs::remove(path("part" + name));
    fs::remove_all(path(".part.gguf.partial"));
  }
}

}  // namespace
}  // namespace amalgam
