#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

class RankPool : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
    return path(name);
  }
  // Three models on ten samples: "chemist" is good at the first five, "artist" at the others.
  std::string lines() const {
    std::string text = R"({"type": "metric", "name": "accuracy", "kind": "binary"})";
    for (int i = 0; i < 10; ++i) {
      const std::string id = std::to_string(i);
      const bool chemistry = i < 5;
      text +=
          "\n"
          R"({"type": "sample", "dataset": "d", "id": ")" +
          id + R"(", "question": ")" +
          (chemistry ? "a question of organic chemistry " : "a painting of ") + id +
          R"(", "tags": [")" + (chemistry ? "chemistry" : "art") + "\"]}";
      const auto measure = [&](const std::string& model, bool right) {
        text +=
            "\n"
            R"({"type": "measurement", "dataset": "d", "sample": ")" +
            id + R"(", "metric": "accuracy", "model": ")" + model + R"(", "value": )" +
            (right ? "1" : "0") + "}";
      };
      measure("chemist", chemistry || i == 9);
      measure("artist", !chemistry || i == 0);
      measure("half", i % 2 == 0);
    }
    return text + "\n";
  }
  TemporaryFolder folder_;
};

TEST_F(RankPool, AddsQueriesAndRanksByCapability) {
  const std::string pool = path("pool.sqlite");
  RunResult result =
      run_amalgam({"rank", "pool", "add", pool, write("lines.jsonl", lines()), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["measurements"], 30);

  result = run_amalgam(
      {"rank", "pool", "query", pool, "--about", "organic chemistry", "--top", "5", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto found = result.json();
  EXPECT_EQ(found["selected"], 5);
  for (const auto& sample : found["samples"]) EXPECT_EQ(sample["tags"][0], "chemistry");

  result = run_amalgam({"rank", "pool", "rank", pool, "--where", "tag.eq.chemistry", "--method",
                        "mean", "--best", "2", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = result.json();
  EXPECT_EQ(json["samples"], 5);
  EXPECT_EQ(json["strict_comparisons"], 8);
  ASSERT_EQ(json["ranking"].size(), 2U);
  EXPECT_EQ(json["ranking"][0]["system"], "chemist");
  EXPECT_EQ(json["ranking"][0]["rank"], 1);

  // What was ranked goes on to other commands.
  result = run_amalgam({"rank", "pool", "rank", pool, "--where", "tag.eq.chemistry", "--table",
                        path("chosen.csv"), "--method", "mean"});
  ASSERT_EQ(result.code, 0) << result.err;
  result = run_amalgam({"rank", path("chosen.csv"), "--method", "mean", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["ranking"][0]["system"], "chemist");

  // Without a method: onebench, by all samples.
  result = run_amalgam({"rank", "pool", "rank", pool});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("10 of 10 samples"));

  result = run_amalgam({"rank", "pool", "info", pool, "--json"});
  EXPECT_EQ(result.json()["samples"], 10);
  EXPECT_EQ(result.json()["datasets"][0]["samples"], 10);
}

TEST_F(RankPool, AddsAllFilesOrNone) {
  const std::string pool = path("pool.sqlite");
  const RunResult bad = run_amalgam({"rank", "pool", "add", pool, write("a.jsonl", lines()),
                                     write("b.jsonl", "{\"type\": \"sample\"}\n")});
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.err, HasSubstr("b.jsonl:1: 'dataset' is missing"));
  EXPECT_FALSE(std::filesystem::exists(pool));
}

TEST_F(RankPool, ImportsTablesOfMeasurements) {
  const std::string pool = path("pool.sqlite");
  const std::string table = write("scores.csv", "system,mmlu,arc\na,0.5,0.25\nb,0.75,0.5\n");
  RunResult result = run_amalgam({"rank", "pool", "import", pool, table, "--source", "here"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("4 measurements"));
  result = run_amalgam(
      {"rank", "pool", "rank", pool, "--where", "dataset.eq.arc", "--method", "mean", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["ranking"][0]["system"], "b");
}

TEST_F(RankPool, IsMadeWholeOrNotAtAll) {
  const std::string pool = path("pool.sqlite");
  const std::string good = write("lines.jsonl", lines());
  const std::string bad = write("bad.jsonl", "{\"type\": \"verdict\"}\n");
  // The journal of a database that is gone must not be taken for the new one's.
  write("pool.sqlite-journal", std::string(4096, 'j'));
  EXPECT_EQ(run_amalgam({"rank", "pool", "add", pool, good, bad}).code, 2);
  std::string left;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    const std::string name = entry.path().filename().string();
    if (name.find("pool") != std::string::npos) left += name + " ";
  }
  EXPECT_EQ(left, "pool.sqlite-journal ");
  EXPECT_EQ(run_amalgam({"rank", "pool", "add", pool, good}).code, 0);
  EXPECT_EQ(run_amalgam({"rank", "pool", "add", pool, good, bad}).code, 2);
  EXPECT_EQ(run_amalgam({"rank", "pool", "info", pool, "--json"}).json()["measurements"], 30);
}

TEST_F(RankPool, RefusesBadQueriesAndFiles) {
  const std::string pool = path("pool.sqlite");
  run_amalgam({"rank", "pool", "add", pool, write("lines.jsonl", lines())});
  RunResult result = run_amalgam({"rank", "pool", "query", pool, "--where", "tag.is.art"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("expected field.op.value"));
  result = run_amalgam({"rank", "pool", "rank", pool, "--where", "tag.eq.law"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("none of 10 samples"));
  result = run_amalgam({"rank", "pool", "info", path("lines.jsonl")});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("not a SQLite database"));
}

TEST_F(RankPool, MeasuresHowWellConceptsAreFound) {
  const std::string pool = path("pool.sqlite");
  ASSERT_EQ(run_amalgam({"rank", "pool", "add", pool, write("lines.jsonl", lines())}).code, 0);
  const std::string concepts = write("concepts.csv",
                                     "about,relevant\norganic chemistry,tag.eq.chemistry\n"
                                     "a painting,tag.eq.art\norganic chemistry,tag.eq.art\n");
  const RunResult result = run_amalgam({"rank", "pool", "concepts", pool, concepts, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto found = result.json();
  EXPECT_EQ(found["concepts"][0]["average_precision"], 1);
  EXPECT_EQ(found["concepts"][1]["average_precision"], 1);
  // The five of art come last of ten: (1/6 + 2/7 + 3/8 + 4/9 + 5/10) / 5.
  const double last = (1.0 / 6 + 2.0 / 7 + 3.0 / 8 + 4.0 / 9 + 0.5) / 5;
  EXPECT_NEAR(found["concepts"][2]["average_precision"], last, 1e-12);
  EXPECT_NEAR(found["mean_average_precision"], (2 + last) / 3, 1e-12);
  // Of the best five two fifths are missing if only three are taken.
  const RunResult top = run_amalgam({"rank", "pool", "concepts", pool, concepts, "--top", "3"});
  EXPECT_THAT(top.out, HasSubstr("0.600"));
  EXPECT_THAT(run_amalgam({"rank", "pool", "concepts", pool,
                           write("bad.csv", "about,relevant\nx,tag.eq.music\n")})
                  .err,
              HasSubstr("no sample meets 'tag.eq.music'"));
  EXPECT_THAT(
      run_amalgam({"rank", "pool", "concepts", pool, write("bad.csv", "about,relevant\nx,music\n")})
          .err,
      HasSubstr("bad.csv:2:3: filter 'music'"));
}

}  // namespace
}  // namespace amalgam
