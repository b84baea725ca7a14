// Answers as texts and in files.
#include "amalgam/scores/studies/decision_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "amalgam/scores/studies/decision_answers.hpp"
#include "amalgam/scores/studies/decision_reference.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseAnswer, TakesTheFirstWordThatIsAnAnswer) {
  const AnswerWords words;
  EXPECT_EQ(parse_answer("Yes.", words), kYes);
  EXPECT_EQ(parse_answer("  **NO**, because", words), kNo);
  EXPECT_EQ(parse_answer("I would say: yes, not no", words), kYes);
  EXPECT_EQ(parse_answer("I know nothing of eyes", words), kInvalid) << "whole words only";
  EXPECT_EQ(parse_answer("", words), kInvalid);
  EXPECT_EQ(parse_answer("1", words), kYes);
  EXPECT_EQ(parse_answer("0", words), kNo);
  EXPECT_EQ(parse_answer("-1", words), kInvalid);
  const AnswerWords trade{{"buy"}, {"sell"}};
  EXPECT_EQ(parse_answer("BUY!", trade), kYes);
  EXPECT_EQ(parse_answer("yes", trade), kInvalid);
  EXPECT_THAT(error_of([] {
                parse_answer("hold", {{"hold"}, {"hold"}});
              }),
              HasSubstr("both yes and no"));
}

TEST(ParseReply, KeepsTheOrderAndDropsNothing) {
  const AnswerWords words;
  EXPECT_THAT(parse_reply("Yes, no, no yes", words), ElementsAre(1, 0, 0, 1));
  EXPECT_THAT(parse_reply("1. Yes\n2. No\n3) Yes\n10: no", words), ElementsAre(1, 0, 1, 0));
  EXPECT_THAT(parse_reply("yes, I cannot say, no", words), ElementsAre(1, -1, 0));
  EXPECT_THAT(parse_reply("yes, maybe\nperhaps, no", words), ElementsAre(1, -1, -1, 0));
  EXPECT_THAT(parse_reply("I'm sorry", words), ElementsAre(-1));
  EXPECT_THAT(parse_reply("0110", words), ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(parse_reply("0, 1 -1,1 7", words), ElementsAre(0, 1, -1, 1, -1));
  EXPECT_TRUE(parse_reply("", words).empty());
}

class DecisionFiles : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, std::string_view text) const {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  TemporaryFolder folder_;
};

TEST_F(DecisionFiles, CsvHasARowPerAnswer) {
  const auto path = write("answers.csv",
                          "model,temperature,series,answer,note\n"
                          "m,1,a,yes,x\nm,1,b,No,\nm,1,a,0,\nn,0.5,,maybe,\nm,1,a,,\n");
  const DecisionData data = read_decisions({path});
  ASSERT_EQ(data.size(), 2U);
  EXPECT_EQ(data[0].name, "m, T 1");
  EXPECT_EQ(data[0].setting, "m");
  EXPECT_EQ(data[0].temperature, 1);
  ASSERT_EQ(data[0].series.size(), 2U);
  EXPECT_THAT(data[0].series[0].answers, ElementsAre(1, 0, -1));
  EXPECT_THAT(data[0].series[1].answers, ElementsAre(0));
  EXPECT_EQ(data[0].missing, 1U) << "an empty cell is a call without an answer";
  EXPECT_THAT(data[1].series[0].answers, ElementsAre(-1));
  EXPECT_EQ(data[1].missing, 0U);
}

TEST_F(DecisionFiles, CsvMayHaveARowPerReply) {
  const auto path = write("few.csv", "reply,asked\n\"yes, no, yes\",3\n\"no, no\",3\n");
  const DecisionData data = read_decisions({path});
  ASSERT_EQ(data.size(), 1U);
  EXPECT_EQ(data[0].name, "few");
  EXPECT_THAT(data[0].series[0].answers, ElementsAre(1, 0, 1));
  EXPECT_EQ(data[0].series[1].asked, 3U);
}

TEST_F(DecisionFiles, JsonLinesAndTexts) {
  const auto lines = write("a.jsonl",
                           "{\"model\": \"m\", \"answers\": [1, 0, -1, \"Yes\", null, true]}\n\n"
                           "{\"model\": \"m\", \"reply\": \"no no\"}\n"
                           "{\"model\": \"m\", \"series\": 7, \"answer\": \"yes\"}\n"
                           "{\"model\": \"m\", \"series\": 7, \"answer\": 0}\n");
  const auto text = write("b.txt", "# two replies\n0101\nyes no\n");
  const DecisionData data = read_decisions({lines, text});
  ASSERT_EQ(data.size(), 2U);
  ASSERT_EQ(data[0].series.size(), 3U);
  EXPECT_THAT(data[0].series[0].answers, ElementsAre(1, 0, -1, 1, -1, 1));
  EXPECT_EQ(data[0].missing, 1U);
  EXPECT_THAT(data[0].series[2].answers, ElementsAre(1, 0));
  EXPECT_EQ(data[1].name, "b");
  EXPECT_THAT(data[1].series[0].answers, ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(data[1].series[1].answers, ElementsAre(1, 0));
}

TEST_F(DecisionFiles, WhatIsWrittenReadsBack) {
  DecisionGroup group{.name = "a, T 0.5", .setting = "a", .temperature = 0.5};
  group.series = {{.name = "1", .answers = {1, 0, -1}}, {.name = "2", .answers = {0}}};
  const auto path = folder_ / "out.csv";
  write_decisions(path, {group});
  const DecisionData data = read_decisions({path});
  ASSERT_EQ(data.size(), 1U);
  EXPECT_EQ(data[0].name, group.name);
  EXPECT_EQ(data[0].series[0].answers, group.series[0].answers);
  EXPECT_EQ(data[0].series[1].answers, group.series[1].answers);
}

TEST_F(DecisionFiles, RefusesNamingThePlace) {
  const auto error_with = [&](const char* name, std::string_view text, DecisionFormat format = {}) {
    return error_of([&] { read_decisions({write(name, text)}, format); });
  };
  EXPECT_THAT(error_with("a.csv", "model,anser\nm,yes\n"), HasSubstr("no column 'answer'"));
  EXPECT_THAT(error_with("a.csv", "temperature,answer\n-1,yes\n"),
              HasSubstr("temperature is '-1'; expected a number of at least 0"));
  EXPECT_THAT(error_with("a.csv", "temperature,answer\nwarm,yes\n"), HasSubstr("a.csv:2"));
  EXPECT_THAT(error_with("a.csv", "answer\n"), HasSubstr("no answers"));
  EXPECT_THAT(error_with("a.csv", "answer\nyes\n", {.group = {"prompt"}}),
              HasSubstr("no column 'prompt'"));
  EXPECT_THAT(error_with("a.jsonl", "[1]\n"), HasSubstr("expected an object"));
  EXPECT_THAT(error_with("a.jsonl", "{\"answers\": [2]}\n"), HasSubstr("expected 1, 0 or -1"));
  EXPECT_THAT(error_with("a.jsonl", "{\"text\": \"yes\"}\n"), HasSubstr("no key 'answer'"));
  EXPECT_THAT(error_with("a.txt", "# nothing\n"), HasSubstr("no answers"));
  EXPECT_THAT(error_of([&] { read_decisions({folder_ / "gone.csv"}); }), HasSubstr("gone.csv"));
}

TEST_F(DecisionFiles, CorpusFrequencyCountsWholeWords) {
  const auto path = write("corpus.txt", "Yes, yes! No eyes; nothing. YES\nno-one\n");
  const Proportion found = corpus_frequency(path);
  EXPECT_EQ(found.successes, 3U);
  EXPECT_EQ(found.trials, 5U);
}

}  // namespace
}  // namespace amalgam::scores
