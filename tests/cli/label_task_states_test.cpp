#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

/// States of `label text` and `label masks`.
class LabelTaskStates : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, std::string_view text) const {
    return folder_.write(name, text).string();
  }
  std::string read(const std::string& name) const { return contents_of(folder_ / name); }
  static RunResult succeeds(const std::vector<std::string>& words) {
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }

  // Annotations made by `row`, in one file and in parts that are taken in one after the other:
  // what is written of all must be the same to the byte, the state too. `options`: of what runs
  // begin with.
  template <class Row>
  void expect_same_as_of_all(const std::string& command, const std::string& header,
                             const std::vector<std::string>& options, const Row& row) const {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      RandomStream random(seed, command);
      std::string all = header;
      std::vector<std::string> parts;
      for (std::size_t i = 0; i < 4; ++i) {
        std::string rows;
        for (std::size_t count = 1 + random.below(20); count > 0; --count) rows += row(random);
        all += rows;
        parts.push_back(header + rows);
      }
      const bool has_workers = command == "masks" && options.empty();
      const auto run = [&](const std::string& name, const std::string& text,
                           const std::vector<std::string>& more) {
        std::vector<std::string> words{"label", command, write("in.csv", text)};
        words.insert(words.end(), {"--out", path(name + ".csv")});
        words.insert(words.end(), {"--state", path(name + ".safetensors")});
        words.insert(words.end(), more.begin(), more.end());
        if (has_workers) words.insert(words.end(), {"--workers", path(name + ".workers")});
        words.insert(words.end(), {"--threads", fmt::to_string(1 + random.below(4))});
        succeeds(words);
      };
      run("whole", all, options);
      run("grown", parts[0], options);
      for (std::size_t i = 1; i < parts.size(); ++i) {
        run("grown", parts[i], {"--from", path("grown.safetensors")});
      }
      for (const char* name : {".csv", ".safetensors", ".workers"}) {
        if (!has_workers && std::string_view(name) == ".workers") continue;
        EXPECT_EQ(read(std::string("grown") + name), read(std::string("whole") + name)) << name;
      }
    }
  }

  TemporaryFolder folder_;
};

TEST_F(LabelTaskStates, TextsOfPartsAreThoseOfAllToTheByte) {
  expect_same_as_of_all("text", "task,worker,text\n", {}, [](RandomStream& random) {
    std::string text;
    for (std::size_t words = random.below(5); words > 0; --words) {
      text += fmt::format("w{} ", random.below(3));
    }
    return fmt::format("t{},{},{}\n", random.below(9), random.below(6), text);
  });
}

TEST_F(LabelTaskStates, TextSaysWhatItTookIn) {
  const std::string first =
      write("first.csv", "task,worker,text\nb,1,\"the cat, sat\"\nb,2,cat sat\na,1,hello\n");
  const std::string second = write("second.csv", "task,worker,text\nb,3,the cat sat\nc,1,you\n");
  const std::string state = path("state.safetensors");
  RunResult result = succeeds({"label", "text", first, "--out", path("o"), "--state", state});
  EXPECT_EQ(result.out, "rover: 3 texts of 2 tasks; agreement 0.8333\n");
  result = succeeds({"label", "text", second, "--out", path("o"), "--from", state});
  EXPECT_EQ(result.out,
            "2 annotations taken in (1 new tasks, 1 new workers): 2 of 3 tasks looked at\n"
            "rover: 5 texts of 3 tasks; agreement 0.9259\n");
  result = succeeds({"label", "text", second, "--out", path("o"), "--from", state, "--json"});
  EXPECT_EQ(keys_of(result.json()),
            (std::vector<std::string>{"method", "tasks", "annotations", "added", "new_tasks",
                                      "new_workers", "tasks_updated", "repeated", "agreement"}));
  EXPECT_EQ(result.json()["annotations"], 5);
  EXPECT_EQ(result.json()["added"], 2);
  EXPECT_EQ(result.json()["tasks_updated"], 2);
  EXPECT_THAT(read("o"), HasSubstr("b,the cat sat,"));
  EXPECT_THAT(read("o"), HasSubstr("a,hello,1\n"));
}

std::string drawn_mask(RandomStream& random) {
  const std::uint64_t outside = 3 + random.below(4);
  const std::uint64_t inside = 6 + random.below(4);
  return fmt::format("{},{},{}", outside, inside, 20 - outside - inside);
}

TEST_F(LabelTaskStates, MasksOfPartsAreThoseOfAllToTheByte) {
  const auto row = [](RandomStream& random) {
    return fmt::format("t{},{},\"4x5:{}\"\n", random.below(9), random.below(6), drawn_mask(random));
  };
  expect_same_as_of_all("masks", "task,worker,mask\n", {}, row);
  expect_same_as_of_all("masks", "task,worker,mask\n", {"--method", "majority"}, row);
}

TEST_F(LabelTaskStates, TextRefusesMisuseAndLeavesTheStateAsItWas) {
  const std::string texts = write("texts.csv", "task,worker,text\na,1,hello\n");
  const std::string state = path("state.safetensors");
  succeeds({"label", "text", texts, "--out", path("o"), "--state", state});
  const std::string before = read("state.safetensors");
  const auto refused = [&](std::vector<std::string> words, const std::string& message) {
    words.insert(words.begin(), {"label", "text"});
    expect_bad_usage(run_amalgam(words), message);
    EXPECT_EQ(read("state.safetensors"), before);
  };
  refused({texts, "--out", path("o"), "--state", path("state")},
          "expected a name that ends in .safetensors");
  refused({texts, "--out", state, "--from", state}, "it is an input; writing there would lose it");
  refused({texts, "--out", state, "--state", state}, "two outputs have this name");
  refused({texts, "--out", path("o"), "--from", path("none.safetensors")}, "none.safetensors");
  refused({texts, "--out", path("o"), "--from", texts}, "texts.csv");
  std::vector<std::string> in_place{"--from", state, "--state", state, "--out", path("o")};
  const auto in_place_of = [&](std::string_view text) {
    std::vector<std::string> words = in_place;
    words.insert(words.begin(), write("bad.csv", text));
    return words;
  };
  refused(in_place_of("task,worker,text\na,1,\xff\n"), "bad.csv:2:5: the text is not UTF-8");
  refused(in_place_of("task,worker,text\na\xff,1,x\n"), "bad.csv:2:1: the task is not UTF-8");
  refused(in_place_of("task,worker,text\na,,x\n"), "bad.csv:2:3: the cell is empty");
  refused(in_place_of("task,worker,text\n"), "it has no text");
  std::string text;
  for (int i = 0; i < 11'000; ++i) text += "word ";
  refused(in_place_of(fmt::format("task,worker,text\na,1,{}\na,2,{}\n", text, text)),
          "too long to be aligned");

  const std::string votes = write("votes.csv", "task,worker,label\na,1,x\na,2,y\n");
  const std::string other = path("other.safetensors");
  succeeds({"label", "aggregate", votes, "--out", path("o"), "--state", other});
  refused({texts, "--out", path("o"), "--from", other},
          "it is a state of 'amalgam label aggregate'; expected one of 'amalgam label text'");
  expect_bad_usage(run_amalgam({"label", "predict", state, votes, "--out", path("o")}),
                   "a state of 'amalgam label text' labels no new tasks");
  expect_bad_usage(run_amalgam({"label", "update", state, votes, "--out", path("o")}),
                   "it is a state of 'amalgam label text'; expected one of 'amalgam label "
                   "aggregate' ('amalgam label text --from' takes more into it)");
}

TEST_F(LabelTaskStates, MasksOfImagesAreKeptAsRuns) {
  std::string header = "{'descr': '|b1', 'fortran_order': False, 'shape': (1, 4), }";
  header.resize(117, ' ');
  header += '\n';
  write("image.npy", std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) +
                         std::string(1, '\0') + header + std::string("\1\1\0\0", 4));
  const std::string state = path("state.safetensors");
  succeeds({"label", "masks", write("a.csv", "task,worker,mask\nt,1,image.npy\n"), "--out",
            path("o"), "--state", state});
  std::filesystem::remove(path("image.npy"));
  RunResult result = succeeds({"label", "masks",
                               write("b.csv", "task,worker,mask\nt,2,\"1x4:0,2,2\"\nu,2,1x2:2\n"),
                               "--from", state, "--out", path("o"), "--json"});
  EXPECT_EQ(read("o"), "task,mask\nt,\"1x4:0,2,2\"\nu,1x2:2\n");
  EXPECT_EQ(keys_of(result.json()),
            (std::vector<std::string>{"method", "tasks", "annotations", "added", "new_tasks",
                                      "new_workers", "tasks_updated", "repeated"}));
  EXPECT_EQ(result.json()["method"], "em");
  EXPECT_EQ(result.json()["annotations"], 3);
  EXPECT_EQ(result.json()["added"], 2);
  EXPECT_EQ(result.json()["new_tasks"], 1);
  EXPECT_EQ(result.json()["tasks_updated"], 2);
  result = succeeds(
      {"label", "masks", path("b.csv"), "--from", state, "--out", path("o"), "--method", "em"});
  EXPECT_EQ(result.out,
            "2 annotations taken in (1 new tasks, 1 new workers): 2 of 2 tasks looked at\n"
            "em: 3 masks of 2 tasks\n");
}

TEST_F(LabelTaskStates, MasksRefuseMisuseAndLeaveTheStateAsItWas) {
  const std::string masks = write("masks.csv", "task,worker,mask\nt,1,1x2:2\n");
  const std::string state = path("state.safetensors");
  succeeds({"label", "masks", masks, "--out", path("o"), "--state", state, "--method", "majority"});
  const std::string before = read("state.safetensors");
  const auto refused = [&](std::string_view text, std::vector<std::string> words,
                           const std::string& message) {
    words.insert(words.begin(), {"label", "masks", write("bad.csv", text), "--from", state});
    expect_bad_usage(run_amalgam(words), message);
    EXPECT_EQ(read("state.safetensors"), before);
  };
  const std::string good = read("masks.csv");
  const std::vector<std::string> in_place{"--state", state, "--out", path("o")};
  refused("task,worker,mask\nu,1,1x2:2\nt,2,1x3:3\n", in_place,
          "bad.csv: task 't': a mask of 1 times 3 pixels, but the first has 1 times 2");
  refused("task,worker,mask\nt,2,1x3\n", in_place, "bad.csv:2:5: the mask is '1x3'");
  refused("task,worker,mask\nt,2,none.npy\n", in_place, "none.npy");
  refused("task,worker,mask\nt,2,\n", in_place, "bad.csv:2:5: the cell is empty");
  refused("task,worker,mask\nt,2,\xff\n", in_place, "bad.csv:2:5: the mask is not UTF-8");
  refused(good, {"--out", path("o"), "--method", "em"}, "is a state of 'majority'");
  refused(good, {"--out", path("o"), "--workers", path("w")},
          "--workers: method 'majority' judges no worker");
  refused(good, {"--out", state}, "it is an input; writing there would lose it");
  refused(good, {"--out", path("o"), "--state", path("state")}, "ends in .safetensors");
  expect_bad_usage(
      run_amalgam({"label", "text", masks, "--text", "mask", "--out", path("o"), "--from", state}),
      "it is a state of 'amalgam label masks'; expected one of 'amalgam label text' "
      "('amalgam label masks --from' takes more into it)");
}

}  // namespace
}  // namespace amalgam
