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
  RunResult succeeds(const std::vector<std::string>& words) const {
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }

  // Annotations made by `row`, in one file and in parts that are taken in one after the other:
  // what is written of all must be the same to the byte, the state too.
  template <class Row>
  void expect_same_as_of_all(const std::string& command, const std::string& header,
                             std::vector<std::string> more, const Row& row) const {
    more.insert(more.begin(), {"label", command});
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
      const auto run = [&](const std::string& name, const std::string& text,
                           const std::vector<std::string>& states) {
        std::vector<std::string> words = more;
        words.push_back(write("in.csv", text));
        words.insert(words.end(), {"--out", path(name)});
        words.insert(words.end(), states.begin(), states.end());
        words.insert(words.end(), {"--threads", fmt::to_string(1 + random.below(4))});
        succeeds(words);
      };
      run("whole.csv", all, {"--state", path("whole.safetensors")});
      run("grown.csv", parts[0], {"--state", path("grown.safetensors")});
      for (std::size_t i = 1; i < parts.size(); ++i) {
        run("grown.csv", parts[i],
            {"--from", path("grown.safetensors"), "--state", path("grown.safetensors")});
      }
      EXPECT_EQ(read("grown.csv"), read("whole.csv"));
      EXPECT_EQ(read("grown.safetensors"), read("whole.safetensors"));
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
                                      "new_workers", "tasks_updated", "agreement"}));
  EXPECT_EQ(result.json()["annotations"], 5);
  EXPECT_EQ(result.json()["added"], 2);
  EXPECT_EQ(result.json()["tasks_updated"], 2);
  EXPECT_THAT(read("o"), HasSubstr("b,the cat sat,"));
  EXPECT_THAT(read("o"), HasSubstr("a,hello,1\n"));
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
  for (const char* command : {"update", "predict"}) {
    expect_bad_usage(run_amalgam({"label", command, state, votes, "--out", path("o")}),
                     "it is a state of 'amalgam label text'; expected one of 'amalgam label "
                     "aggregate' ('amalgam label text --from' takes more into it)");
  }
}

}  // namespace
}  // namespace amalgam
