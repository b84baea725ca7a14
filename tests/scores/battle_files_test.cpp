#include "tests/scores/score_files_fixture.hpp"

namespace amalgam::scores {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BattleFiles : public ScoreFilesTest {};

TEST_F(BattleFiles, ReadsComparisonsInTheirOrder) {
  const ScoreTable table = read("a.csv",
                                "model_a,model_b,winner\nz,x,model_a\nx,y,model_b\ny,z,tie\n"
                                "x,z,tie (bothbad)\n");
  EXPECT_THAT(battles_of(table), ElementsAre("z > x", "x < y", "y = z", "x = z"));
  EXPECT_EQ(table.ballot_count(), 0U);
  EXPECT_EQ(notes_.form, ScoreForm::battles);
  EXPECT_TRUE(table.comparisons.weights.empty());
  EXPECT_TRUE(table.comparisons.clusters.empty());
}

TEST_F(BattleFiles, KnowsTheWordsForWinners) {
  std::string text = "model_a,model_b,winner\n";
  const std::vector<std::pair<std::string, std::string>> words{
      {"A", "x > y"},       {"b", "x < y"},    {"Left", "x > y"}, {"RIGHT", "x < y"},
      {"Model_B", "x < y"}, {"both", "x = y"}, {"draw", "x = y"}, {"both_bad", "x = y"},
      {"BothBad", "x = y"}, {"Tie", "x = y"},  {"x", "x > y"},    {"y", "x < y"}};
  std::vector<std::string> expected;
  for (const auto& [word, battle] : words) {
    text += "x,y," + word + "\n";
    expected.push_back(battle);
  }
  EXPECT_EQ(battles_of(read("a.csv", text)), expected);
}

TEST_F(BattleFiles, TakesTheNameOfASystemBeforeAWord) {
  EXPECT_THAT(battles_of(read("a.csv", "model_a,model_b,winner\nb,a,b\nx,a,b\nb,y,b\nb,tie,tie\n")),
              ElementsAre("b > a", "x < a", "b > y", "b < tie"));
}

TEST_F(BattleFiles, ReadsThreeFlagsInsteadOfAWinner) {
  const std::string head = "id,model_a,model_b,winner_model_a,winner_model_b,winner_tie\n";
  EXPECT_THAT(battles_of(read("a.csv", head + "1,x,y,1,0,0\n2,x,y,0,1,0\n3,x,y,0,0,1\n")),
              ElementsAre("x > y", "x < y", "x = y"));
  EXPECT_THAT(error("a.csv", head + "1,x,y,1,1,0\n"), HasSubstr("2 of the flags of the winner"));
  EXPECT_THAT(error("a.csv", head + "1,x,y,0,0,0\n"), HasSubstr("0 of the flags of the winner"));
  EXPECT_THAT(error("a.csv", head + "1,x,y,2,0,0\n"), HasSubstr("expected 0 or 1"));
}

TEST_F(BattleFiles, ReadsWeightsClustersAndCovariates) {
  const ScoreTable table = read("a.csv",
                                "model_a,model_b,winner,weight,judge,length_a,length_b,formal\n"
                                "x,y,a,2,ann,30,10,1\nx,y,b,0.5,bob,0,0,-2\ny,x,a,0,ann,10,40,0\n",
                                {.cluster = "judge", .covariates = {"length", "formal"}});
  EXPECT_THAT(table.comparisons.weights, ElementsAre(2, 0.5, 0));
  EXPECT_THAT(table.comparisons.clusters, ElementsAre(0, 1, 0));
  EXPECT_THAT(table.comparisons.covariate_names, ElementsAre("length", "formal"));
  EXPECT_THAT(table.comparisons.covariates, ElementsAre(20, 1, 0, -2, -30, 0));
  const ScoreTable relative =
      read("a.csv", "model_a,model_b,winner,length_a,length_b\nx,y,a,30,10\nx,y,b,0,0\n",
           {.covariates = {"length"}, .relative_covariates = true});
  EXPECT_THAT(relative.comparisons.covariates, ElementsAre(0.5, 0));
}

TEST_F(BattleFiles, BringsBattlesIntoTheOrderOfTheirTimes) {
  const std::string head = "model_a,model_b,winner,tstamp,weight,judge,length\n";
  const std::vector<std::filesystem::path> paths{
      write("a.csv", head + "x,y,a,30,1,u,7\nx,z,b,10.5,2,v,8\n"),
      write("b.csv", head + "y,z,tie,20,3,u,9\nz,y,a,10.5,4,u,6\n")};
  const ScoreTable table = read_scores(paths, {.cluster = "judge", .covariates = {"length"}});
  EXPECT_THAT(battles_of(table), ElementsAre("x < z", "z > y", "y = z", "x > y"));
  EXPECT_THAT(table.comparisons.weights, ElementsAre(2, 4, 3, 1));
  EXPECT_THAT(table.comparisons.clusters, ElementsAre(1, 0, 0, 0));
  EXPECT_THAT(table.comparisons.covariates, ElementsAre(8, 6, 9, 7));
  // Times that are not all known leave the order as it is.
  const std::string some = "model_a,model_b,winner,timestamp\nx,y,a,2\nx,z,b,\ny,z,tie,1\n";
  EXPECT_THAT(battles_of(read("c.csv", some)), ElementsAre("x > y", "x < z", "y = z"));
  EXPECT_THAT(error("c.csv", some, {.time = "timestamp"}),
              HasSubstr("c.csv:3:7: the time is ''; expected a number of seconds"));
}

TEST_F(BattleFiles, DropsBattlesOfASystemWithItself) {
  const ScoreTable table = read("a.csv", "model_a,model_b,winner\nx,x,tie\nx,y,a\n");
  EXPECT_THAT(battles_of(table), ElementsAre("x > y"));
  EXPECT_EQ(notes_.dropped, 1U);
}

TEST_F(BattleFiles, RefusesWhatIsNoBattle) {
  const std::string head = "model_a,model_b,winner,weight\n";
  EXPECT_THAT(error("a.csv", head + "x,y,z,1\n"),
              HasSubstr("a.csv:2:5: the winner is 'z'; expected model_a, model_b, tie or"));
  EXPECT_THAT(error("a.csv", head + "x,y,,1\n"), HasSubstr("the winner is ''"));
  EXPECT_THAT(error("a.csv", head + "x,,a,1\n"), HasSubstr("the name of the system is empty"));
  EXPECT_THAT(error("a.csv", head + "x,y,a,-1\n"), HasSubstr("a.csv:2:7: the weight is '-1'"));
  EXPECT_THAT(error("a.csv", head + "x,y,a,nan\n"), HasSubstr("the weight is 'nan'"));
  EXPECT_THAT(error("a.csv", head), HasSubstr("it has a header but no rows"));
  EXPECT_THAT(error("a.csv", "model_a,model_b,won\nx,y,a\n"),
              HasSubstr("it has no column 'winner'"));
  EXPECT_THAT(error("a.csv", "model_a,model_b,winner\nx,y,a\n", {.cluster = "judge"}),
              HasSubstr("it has no column 'judge'"));
  EXPECT_THAT(error("a.csv", "model_a,model_b,winner,n\nx,y,a,1e39\n", {.covariates = {"n"}}),
              HasSubstr("the covariate is '1e39'; expected a number of at most 1e+30"));
  EXPECT_THAT(error("a.csv", "model_a,model_b,winner,n_a,n_b\nx,y,a,1,-1\n",
                    {.covariates = {"n"}, .relative_covariates = true}),
              HasSubstr("a.csv:2:9: a covariate that is relative is negative"));
}

TEST_F(BattleFiles, ReadsOtherColumnsAndMixesWithValues) {
  const std::vector<std::filesystem::path> paths{write("a.csv", "left,right,best\nx,y,left\n"),
                                                 write("b.csv", "left,right,best\nz,y,right\n")};
  const ScoreFormat format{
      .form = ScoreForm::battles, .first = "left", .second = "right", .winner = "best"};
  EXPECT_THAT(battles_of(read_scores(paths, format)), ElementsAre("x > y", "z < y"));
  const ScoreTable mixed = read_scores(
      {write("c.csv", "model_a,model_b,winner\nx,y,a\n"), write("d.csv", "m,A\ny,1\nz,2\n")}, {});
  EXPECT_THAT(battles_of(mixed), ElementsAre("x > y"));
  EXPECT_THAT(rows_of(mixed), ElementsAre("A y 1", "A z 2"));
}

TEST_F(BattleFiles, RefusesWeightsInSomeFilesOnly) {
  const std::vector<std::filesystem::path> paths{
      write("a.csv", "model_a,model_b,winner,weight\nx,y,a,2\n"),
      write("b.csv", "model_a,model_b,winner\nx,y,a\n")};
  EXPECT_THAT([&] { read_scores(paths, {}); },
              ::testing::ThrowsMessage<InputError>(HasSubstr(
                  "b.csv: it has no column of weights, but the files before it have one")));
}

const char* const kArena = R"json([
  {"model_a": "x", "model_b": "y", "winner": "model_b", "judge": "u1", "turn": 1, "anony": true,
   "tstamp": 1.5, "dedup_tag": {"high_freq": false, "sampled": true},
   "conv_metadata": {"sum_assistant_a_tokens": 300, "sum_assistant_b_tokens": 100,
                     "header_count_a": {"h1": 1, "h2": 4}, "header_count_b": {"h1": 0, "h2": 1}}},
  {"model_a": "x", "model_b": "y", "winner": "model_a", "judge": "u2", "anony": false,
   "dedup_tag": {"high_freq": false, "sampled": true},
   "conv_metadata": {"sum_assistant_a_tokens": 1, "sum_assistant_b_tokens": 1,
                     "header_count_a": {}, "header_count_b": {}}},
  {"model_a": "x", "model_b": "y", "winner": "model_a", "judge": "u2", "anony": true,
   "dedup_tag": {"high_freq": true, "sampled": false},
   "conv_metadata": {"sum_assistant_a_tokens": 1, "sum_assistant_b_tokens": 1,
                     "header_count_a": {}, "header_count_b": {}}},
  {"model_a": "y", "model_b": "z", "winner": "tie (bothbad)", "judge": "u1", "anony": true,
   "dedup_tag": {"high_freq": false, "sampled": true},
   "conv_metadata": {"sum_assistant_a_tokens": 5, "sum_assistant_b_tokens": 15,
                     "header_count_a": {}, "header_count_b": {"h1": 2}}}
])json";

TEST_F(BattleFiles, ReadsArenaFilesAndLeavesOutVotesThatDoNotCount) {
  const ScoreTable table =
      read("arena.json", kArena, {.cluster = "judge", .covariates = {"tokens", "headers"}});
  EXPECT_EQ(notes_.form, ScoreForm::arena);
  EXPECT_THAT(battles_of(table), ElementsAre("x < y", "y = z"));
  EXPECT_EQ(notes_.dropped, 2U);
  EXPECT_THAT(table.comparisons.clusters, ElementsAre(0, 0));
  EXPECT_THAT(table.comparisons.covariates, ElementsAre(200, 4, -10, -2));
  EXPECT_EQ(read("arena.json", kArena, {.form = ScoreForm::battles}).comparisons.size(), 4U);
}

}  // namespace
}  // namespace amalgam::scores
