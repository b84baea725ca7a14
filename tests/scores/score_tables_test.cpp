#include <cstdint>

#include "tests/scores/score_files_fixture.hpp"

namespace amalgam::scores {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class WideScores : public ScoreFilesTest {};

TEST_F(WideScores, ReadsARowPerSystemAndAColumnPerTask) {
  const ScoreTable table = read("a.csv", "model,A,B\nx, 1 ,2\r\n\"y, z\",-3,4e1\n");
  EXPECT_THAT(rows_of(table), ElementsAre("A x 1", "A y, z -3", "B x 2", "B y, z 40"));
  EXPECT_EQ(notes_.form, ScoreForm::wide);
  EXPECT_THAT(notes_.warnings, IsEmpty());
  EXPECT_FALSE(table.has_instances());
}

TEST_F(WideScores, LeavesOutSummariesWithAWarningAndTextInSilence) {
  const ScoreTable table = read("a.csv",
                                "Model,Score,Organisation,A,AVERAGE,avg,Mean,Overall,rank,url\nx,9,"
                                "u,1,1,1,1,1,1,h\ny,8,v,2,1,1,1,1,2,h\n");
  EXPECT_THAT(rows_of(table), ElementsAre("A x 1", "A y 2"));
  EXPECT_THAT(notes_.left_out, ElementsAre("Score", "AVERAGE", "avg", "Mean", "Overall", "rank"));
  EXPECT_THAT(warnings(), AllOf(HasSubstr("column 'Score' is left out"), HasSubstr("'rank'")));
}

TEST_F(WideScores, ReadsASummaryThatIsNamedAsATask) {
  const ScoreTable table =
      read("a.csv", "Model,Score,A\nx,9,1\ny,8,2\n", {.columns = {"Score", "A"}});
  EXPECT_EQ(table.task_count(), 2U);
  EXPECT_THAT(notes_.warnings, IsEmpty());
}

TEST_F(WideScores, TakesCellsThatSayNothingAsMissing) {
  const ScoreTable table =
      read("a.csv", "m,A,B\nx,1,\ny,NA,2\nz,nan,-\nv,None,n/a\nw,3,\xE2\x80\x94\n");
  EXPECT_THAT(rows_of(table), ElementsAre("A w 3", "A x 1", "B y 2"));
  EXPECT_EQ(notes_.missing, 7U);
  EXPECT_EQ(table.system_count(), 5U);
  EXPECT_THAT(warnings(), HasSubstr("nothing was measured of 'v', 'z'"));
}

TEST_F(WideScores, RefusesInfinityAndNamedColumnsThatAreNotNumeric) {
  EXPECT_THAT(error("a.csv", "m,A\nx,1\ny,inf\n"),
              AllOf(HasSubstr("a.csv:3:3: column 'A' has 'inf'"), HasSubstr("finite")));
  EXPECT_THAT(error("a.csv", "m,A\nx,1\ny,1e999\n"),
              HasSubstr("a.csv:3:3: column 'A' has '1e999'"));
  EXPECT_THAT(error("a.csv", "m,A,B\nx,1,2\ny,2,high\n", {.columns = {"B"}}),
              HasSubstr("a.csv:3:5: column 'B' has 'high'; expected a number"));
  EXPECT_THAT(error("a.csv", "m,CoLA,B\nx,1,2\ny,2,3\n", {.columns = {"ColA"}}),
              AllOf(HasSubstr("it has no column 'ColA'"), HasSubstr("did you mean 'CoLA'")));
}

TEST_F(WideScores, WarnsOfAColumnThatOneCellMakesText) {
  const ScoreTable table = read("a.csv", "m,A,B\nx,1,2\ny,2*,3\n");
  EXPECT_THAT(rows_of(table), ElementsAre("B x 2", "B y 3"));
  EXPECT_THAT(warnings(), HasSubstr("a.csv:3:3: column 'A' is left out: '2*' is not a number"));
}

TEST_F(WideScores, RefusesASystemTwiceUnlessRepeatsAreAllowed) {
  const std::string text = "m,A\nx,1\ny,2\nx,5\n";
  EXPECT_THAT(error("a.csv", text),
              HasSubstr("a.csv:4:1: system 'x' is there a second time (first at"));
  EXPECT_THAT(rows_of(read("a.csv", text, {.repeats = Repeats::mean})),
              ElementsAre("A x 3", "A y 2"));
  EXPECT_EQ(notes_.repeats, 1U);
  EXPECT_THAT(rows_of(read("a.csv", text, {.repeats = Repeats::first})),
              ElementsAre("A x 1", "A y 2"));
  EXPECT_THAT(rows_of(read("a.csv", text, {.repeats = Repeats::last})),
              ElementsAre("A x 5", "A y 2"));
}

TEST_F(WideScores, ReadsRowsOfSystemsOnInstances) {
  const ScoreTable table = read("a.csv", "u,m,A,B\n0,M0,1,2\n0,M1,3,\n1,M0,5,6\n1,M1,7,8\n",
                                {.system = "m", .instance = "u"});
  EXPECT_THAT(rows_of(table), ElementsAre("A 0 M0 1", "A 0 M1 3", "A 1 M0 5", "A 1 M1 7",
                                          "B 0 M0 2", "B 1 M0 6", "B 1 M1 8"));
  EXPECT_TRUE(table.has_instances());
}

TEST_F(WideScores, ReadsTheIndexOfADataFrameAsSystems) {
  EXPECT_THAT(rows_of(read("a.csv", ",A\nx,1\ny,2\n")), ElementsAre("A x 1", "A y 2"));
  read("a.csv", ",name,A\n0,x,1\n1,y,2\n");
  EXPECT_THAT(warnings(), HasSubstr("systems are the whole numbers in column ''"));
}

TEST_F(WideScores, JoinsFilesBySystem) {
  const ScoreTable table =
      read_scores({write("a.csv", "m,A\nx,1\ny,2\n"), write("b.tsv", "m\tB\ny\t3\nz\t4\n")}, {});
  EXPECT_THAT(rows_of(table), ElementsAre("A x 1", "A y 2", "B y 3", "B z 4"));
}

TEST_F(WideScores, AppliesDirectionsWeightsAndKinds) {
  const ScoreTable table = read(
      "a.csv", "m,A,B\nx,1,20\ny,0,10\n",
      {.lower_is_better = {"B"}, .weights = {{"A", 2.5}}, .kinds = {{"A", ScoreKind::binary}}});
  EXPECT_THAT(rows_of(table), ElementsAre("A x 1", "A y 0", "B x -20", "B y -10"));
  EXPECT_EQ(table.task_infos[0].weight, 2.5);
  EXPECT_EQ(table.task_infos[0].kind, ScoreKind::binary);
  EXPECT_FALSE(table.task_infos[1].higher_is_better);
}

TEST_F(WideScores, RefusesWhatTheFormatSaysOfNoTaskOrTwice) {
  const std::string text = "m,latency,B\nx,1,20\ny,0,10\n";
  EXPECT_THAT(error("a.csv", text, {.lower_is_better = {"Latency"}}),
              AllOf(HasSubstr("there is no task 'Latency'; did you mean 'latency'"),
                    HasSubstr("the tasks are latency, B")));
  EXPECT_THAT(error("a.csv", text, {.lower_is_better = {"B"}, .higher_is_better = {"B"}}),
              HasSubstr("task 'B' is in --lower-is-better and in --higher-is-better"));
  EXPECT_THAT(error("a.csv", text, {.weights = {{"B", -1}}}),
              HasSubstr("task 'B' has weight -1; expected a number from 0 to 1e+30"));
  EXPECT_THAT(error("a.csv", text, {.kinds = {{"B", ScoreKind::binary}}}),
              HasSubstr("task 'B' is binary, but system"));
}

TEST_F(WideScores, WarnsOfWhatLooksOdd) {
  read("a.csv", "m,test_loss,same,mixed\nx,0.5,3,0.71\ny,0.25,3,84.5\n");
  EXPECT_THAT(warnings(), AllOf(HasSubstr("task 'test_loss' sounds as if lower were better"),
                                HasSubstr("task 'same' distinguishes no systems"),
                                HasSubstr("task 'mixed' has values up to 0.71 and others from "
                                          "84.5 to 84.5; are shares and per cent mixed?")));
  read("a.csv", "m,test_loss,A\nx,0.5,1\ny,0.25,2\n", {.lower_is_better = {"test_loss"}});
  EXPECT_THAT(notes_.warnings, IsEmpty());
  read("a.csv", "m,A,B\nx,0.5,\ny,0.25,2\n");
  EXPECT_THAT(warnings(), "task 'B' compares no systems: each of its values stands alone\n");
  read("a.csv", "m,#Params (B),acc_stderr,size_x\nx,7,1,2\ny,13,2,1\n", {.columns = {"size_x"}});
  EXPECT_THAT(notes_.warnings, IsEmpty());
  read("a.csv", "m,#Params (B),acc_stderr,sized\nx,7,1,2\ny,13,2,1\n");
  EXPECT_THAT(warnings(), AllOf(HasSubstr("column '#Params (B)' counts as a task; if it is none"),
                                HasSubstr("'acc_stderr'"), ::testing::Not(HasSubstr("sized"))));
  read("a.csv", "m,losses_avoided,closs\nx,0.5,1\ny,0.25,2\n");
  EXPECT_THAT(notes_.warnings, IsEmpty());
}

TEST_F(WideScores, RefusesFilesThatAreNoTables) {
  EXPECT_THAT(error("a.csv", ""), HasSubstr("empty; expected a first line with the names"));
  EXPECT_THAT(error("a.csv", "m,A\n"), HasSubstr("it has a header but no rows"));
  EXPECT_THAT(error("a.csv", "m;A\nx;1\n"), HasSubstr("is the separator another one?"));
  EXPECT_THAT(error("a.csv", "m,A,A\nx,1,2\n"), HasSubstr("a second column 'A'"));
  EXPECT_THAT(error("a.csv", "m,A\nx,1\ny\n"),
              HasSubstr("a.csv:3: the row has 1 cell; expected 2"));
  EXPECT_THAT(error("a.csv", "m,A\nx,1\n ,2\n"), HasSubstr("the name of the system is empty"));
  EXPECT_THAT(error("a.csv", "m,A\nx,1\n\xFF,2\n"), HasSubstr("is not UTF-8"));
  EXPECT_THAT(error("a.csv", "m,A\nx,NA\ny,NA\n"), HasSubstr("it has no column of numbers"));
  EXPECT_THAT(error("a.csv", "m,A\nx,1\n"), HasSubstr("expected at least 2 systems"));
  EXPECT_THROW(read_scores({folder_ / "none.csv"}, {}), InputError);
  EXPECT_THAT(rows_of(read("a.csv", "m;A\nx;1\ny;2\n", {.separator = ';'})),
              ElementsAre("A x 1", "A y 2"));
}

class LongScores : public ScoreFilesTest {};

TEST_F(LongScores, ReadsValuesWithAndWithoutInstances) {
  EXPECT_THAT(rows_of(read("a.csv", "task,system,score\nA,x,1\nA,y,2\nB,x,3\n")),
              ElementsAre("A x 1", "A y 2", "B x 3"));
  EXPECT_EQ(notes_.form, ScoreForm::long_form);
  EXPECT_THAT(rows_of(read("a.csv", "Task,Model,Score\nA,x,1\nA,y,2\n")),
              ElementsAre("A x 1", "A y 2"));
  EXPECT_THAT(rows_of(read("a.csv", "model,dataset,doc_id,value\nx,A,7,1\ny,A,7,0\nx,A,8,0.5\n")),
              ElementsAre("A 7 x 1", "A 7 y 0", "A 8 x 0.5"));
}

TEST_F(LongScores, ReadsColumnsByTheNamesThatAreGiven) {
  const ScoreTable table = read(
      "a.csv", "s,t,i,v,score\nx,A,1,0.5,9\ny,A,1,0.25,9\n",
      {.form = ScoreForm::long_form, .system = "s", .task = "t", .instance = "i", .score = "v"});
  EXPECT_THAT(rows_of(table), ElementsAre("A 1 x 0.5", "A 1 y 0.25"));
  EXPECT_THAT(error("a.csv", "s,task,score\nx,A,1\n", {.form = ScoreForm::long_form}),
              AllOf(HasSubstr("it has no column 'system'"), HasSubstr("it has 's', 'task'")));
}

TEST_F(LongScores, TakesRightAndWrongAsNumbersAndAsABinaryTask) {
  const ScoreTable table =
      read("a.csv", "system,task,item,score\nx,A,1,True\ny,A,1,false\nx,A,2,1\ny,A,2,0\n");
  EXPECT_THAT(rows_of(table), ElementsAre("A 1 x 1", "A 1 y 0", "A 2 x 1", "A 2 y 0"));
  EXPECT_EQ(table.task_infos[0].kind, ScoreKind::binary);
}

TEST_F(LongScores, ReadsJsonLinesAndListsWithPythonsNan) {
  const std::string lines =
      "{\"system\": \"x\", \"task\": \"A\", \"score\": 1}\n\n"
      "{\"task\": \"A\", \"system\": \"y\", \"score\": 0.5, \"note\": \"NaN\"}\n"
      "{\"task\": \"B\", \"system\": \"y\", \"score\": NaN}\n"
      "{\"task\": \"B\", \"system\": \"x\", \"score\": null}\n"
      "{\"task\": \"B\", \"system\": 3, \"score\": true}\n";
  const auto expected = ElementsAre("A x 1", "A y 0.5", "B 3 1");
  EXPECT_THAT(rows_of(read("a.jsonl", lines)), expected);
  EXPECT_EQ(notes_.missing, 2U);
  std::string list = lines;
  for (std::size_t at = list.find("}\n"); at != std::string::npos; at = list.find("}\n", at)) {
    list.replace(at, 2, "},");
  }
  list.back() = ']';
  EXPECT_THAT(rows_of(read("a.json", "[" + list)), expected);
  EXPECT_THAT(rows_of(read("b.json", lines)), expected);
}

TEST_F(LongScores, NamesTasksByMetricIfThereIsOne) {
  const ScoreTable table =
      read("a.csv", "system,task,metric,score\nx,A,acc,1\ny,A,acc,2\nx,A,wer,0.3\ny,A,wer,0.2\n");
  EXPECT_THAT(rows_of(table), ElementsAre("A:acc x 1", "A:acc y 2", "A:wer x 0.3", "A:wer y 0.2"));
  EXPECT_THAT(warnings(), HasSubstr("task 'A:wer' sounds as if lower were better"));
}

TEST_F(LongScores, TakesKindsWeightsAndDirectionsOfTasksFromRows) {
  const ScoreTable table =
      read("a.csv",
           "system,task,score,kind,weight,higher_is_better\n"
           "x,A,1,Ordinal,2,false\ny,A,3,ordinal,2.0,no\nx,B,1,,,\ny,B,2,,,\n");
  EXPECT_THAT(rows_of(table), ElementsAre("A x -1", "A y -3", "B x 1", "B y 2"));
  EXPECT_EQ(table.task_infos[0].kind, ScoreKind::ordinal);
  EXPECT_EQ(table.task_infos[0].weight, 2);
  EXPECT_EQ(table.task_infos[1].kind, ScoreKind::cardinal);
  EXPECT_EQ(table.task_infos[1].weight, 1);
}

TEST_F(LongScores, RefusesContradictionsAboutATask) {
  const std::string head = "system,task,score,kind,weight,higher_is_better\nx,A,1,binary,1,true\n";
  EXPECT_THAT(error("a.csv", head + "y,A,0,ordinal,1,true\n"),
              AllOf(HasSubstr("a.csv:3:7: task 'A' is ordinal here, but binary at"),
                    HasSubstr("expected one scale for a task")));
  EXPECT_THAT(error("a.csv", head + "y,A,0,binary,2,true\n"),
              HasSubstr("task 'A' has weight 2 here, but 1 at"));
  EXPECT_THAT(error("a.csv", head + "y,A,0,binary,1,false\n"),
              HasSubstr("of task 'A' it says that lower is better, but"));
  EXPECT_THAT(error("a.csv", head + "y,A,0,binary,-1,true\n"),
              HasSubstr("a.csv:3:14: the weight is '-1'; expected a number from 0 to 1e+30"));
  EXPECT_THAT(error("a.csv", head + "y,A,0,scale,1,true\n"), HasSubstr("the kind is 'scale'"));
  EXPECT_THAT(error("a.csv", head + "y,A,0,binary,1,perhaps\n"),
              HasSubstr("whether higher is better is 'perhaps'"));
  EXPECT_THAT(error("a.csv", head + "y,A,0.5,binary,1,true\n"), HasSubstr("task 'A' is binary"));
}

TEST_F(LongScores, LetsTheCommandLineDecideDirections) {
  const ScoreTable table =
      read("a.csv", "system,task,score,higher_is_better\nx,A,1,true\ny,A,2,true\n",
           {.lower_is_better = {"A"}});
  EXPECT_THAT(rows_of(table), ElementsAre("A x -1", "A y -2"));
  EXPECT_THAT(warnings(), HasSubstr("it says that higher is better; the command line counts"));
}

TEST_F(LongScores, RefusesValuesThatAreNone) {
  const std::string head = "system,task,score\nx,A,1\n";
  EXPECT_THAT(error("a.csv", head + "y,A,good\n"),
              HasSubstr("a.csv:3:5: the score is 'good'; expected a number"));
  EXPECT_THAT(error("a.csv", head + "y,A,-inf\n"), HasSubstr("expected a finite number"));
  EXPECT_THAT(error("a.csv", head + "x,A,1\ny,A,2\n"),
              HasSubstr("system 'x' has 2 values on task 'A'"));
  EXPECT_THAT(error("a.csv", "system,task,score\nx,A,\ny,A,nan\n"),
              HasSubstr("nothing was measured"));
  EXPECT_THAT(error("a.jsonl", "{\"system\": \"x\", \"task\": \"A\", \"score\": [1]}\n"),
              HasSubstr("a.jsonl:1: 'score': it is array"));
  EXPECT_THAT(error("a.jsonl", "{\"system\": \"x\", \"task\": \"A\", \"score\": 1}\n[1]\n"),
              HasSubstr("a.jsonl:2: it is array; expected an object"));
  EXPECT_THAT(error("a.jsonl", "{\"a\": 1}\n"), HasSubstr("neither system, task and score nor"));
  EXPECT_THAT(error("a.json", "{\"a\": 1}"), HasSubstr("neither system, task and score nor"));
  EXPECT_THAT(error("a.jsonl", "{\"system\": \"x\""), HasSubstr("a.jsonl:1"));
  EXPECT_THAT(error("a.json", "[{\"system\": \"x\""), HasSubstr("a.json: byte 16: it ends"));
}

}  // namespace
}  // namespace amalgam::scores
