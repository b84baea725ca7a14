#include "amalgam/labels/annotation_files.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/label_files.hpp"
#include "amalgam/labels/label_metrics.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam::labels {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class AnnotationFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  AnnotationTable read(const std::string& name, const std::string& text,
                       const AnnotationFormat& format = {}) const {
    return read_annotations({write(name, text)}, format);
  }
  void expect_error(const std::string& text, const char* message,
                    const AnnotationFormat& format = {}, const char* name = "a.csv") const {
    EXPECT_THAT([&] { read(name, text, format); }, ThrowsMessage<InputError>(HasSubstr(message)))
        << text;
  }

  fs::path folder_;
};

// Rows as "task worker label".
std::vector<std::string> rows_of(const AnnotationTable& table) {
  std::vector<std::string> rows;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    rows.push_back(std::string(table.task_names[table.tasks[row]]) + " " +
                   std::string(table.worker_names[table.workers[row]]) + " " +
                   std::string(table.label_names[table.labels[row]]));
  }
  return rows;
}

TEST_F(AnnotationFiles, ReadsColumnsByNameInAnyOrder) {
  const AnnotationTable table =
      read("a.csv", "label,extra,worker,task\ncat,1,amy,\"t,1\"\r\ndog,2,bob,t2\n");
  EXPECT_THAT(rows_of(table), ElementsAre("t,1 amy cat", "t2 bob dog"));
  const AnnotationTable tabs = read("b.tsv", "who\tweight\twhat\titem\namy\t2.5\tcat\tt1\n",
                                    {.task = "item", .worker = "who", .label = "what"});
  EXPECT_THAT(tabs.weights, ElementsAre(2.5F));
}

TEST_F(AnnotationFiles, ReadsWeightsTimesAndJsonLines) {
  const AnnotationTable table = read(
      "a.jsonl",
      "{\"task\": 7, \"worker\": \"amy\", \"label\": true, \"timestamp\": \"1970-01-01T00:01:00Z\"}"
      "\n\n{\"label\": \"x\", \"task\": \"8\", \"worker\": 3, \"timestamp\": 61.5}\n");
  EXPECT_THAT(rows_of(table), ElementsAre("7 amy true", "8 3 x"));
  EXPECT_THAT(table.times, ElementsAre(60, 61));
}

TEST_F(AnnotationFiles, SeveralFilesAreOneTable) {
  const fs::path a = write("a.csv", "task,worker,label\nt1,amy,x\n");
  const fs::path b = write("b.jsonl", "{\"task\":\"t1\",\"worker\":\"bob\",\"label\":\"y\"}\n");
  EXPECT_THAT(rows_of(read_annotations({a, b}, {})), ElementsAre("t1 amy x", "t1 bob y"));
  const fs::path c = write("c.csv", "task,worker,label,weight\nt1,amy,x,1\n");
  EXPECT_THAT(
      [&] {
        read_annotations({a, c}, {});
      },
      ThrowsMessage<InputError>(HasSubstr("it has a 'weight', but what was read before")));
}

TEST_F(AnnotationFiles, SaysWhereAndWhatIsWrong) {
  expect_error("task;worker;label\na;b;c\n", "(is the separator a semicolon? --separator ';')");
  expect_error("task,worker,lable\na,b,c\n", "no column 'label'; did you mean 'lable'?");
  expect_error("task,worker,label\na,b\n", "a.csv:2: the row has 2 cells; expected 3");
  expect_error("task,worker,label\na,b,c\nd,e", "a.csv:3: the row has 2 cells; expected 3");
  expect_error("task,worker,label\na,,c\n", "a.csv:2:3: the worker is empty");
  expect_error("task,worker,label\na,b,nan\n", "the label is 'nan'");
  expect_error("task,worker,label\na,b,\xFFx\n", "the label '\\xffx' is not UTF-8");
  expect_error("task,worker,label,weight\na,b,c,-1\n", "the weight is '-1'");
  expect_error("task,worker,label,weight\na,b,c,nan\n", "the weight is 'nan'");
  expect_error("task,worker,label,weight\na,b,c,0\n", "all weights are 0");
  expect_error("task,worker,label,timestamp\na,b,c,noon\n", "the time is 'noon'");
  expect_error("task,worker,label\n", "it has no annotation");
  expect_error("", "a.csv");
  expect_error("task,worker,label\na,b,\"c\n", "a.csv");
  expect_error("[1]\n", "the line is no JSON object", {}, "a.jsonl");
  expect_error("{\"task\":1,\"worker\":2}\n", "no key 'label'; it has 'task', 'worker'", {},
               "a.jsonl");
  expect_error("{\"task\":1,\"worker\":2,\"label\":[3]}\n", "'label' is array", {}, "a.jsonl");
  EXPECT_THROW(read_annotations({folder_ / "missing.csv"}, {}), InputError);
  EXPECT_THROW(read_annotations({folder_}, {}), InputError);
}

TEST(ParseTime, TakesSecondsAndIso8601) {
  EXPECT_EQ(parse_time("0"), 0);
  EXPECT_EQ(parse_time("1714564800.9"), 1714564800);
  EXPECT_EQ(parse_time("2024-05-01T12:00:00Z"), 1714564800);
  EXPECT_EQ(parse_time("2024-05-01 14:00:00.123+02:00"), 1714564800);
  EXPECT_EQ(parse_time("2024-05-01"), 1714521600);
  for (const char* text : {"", "x", "2024-13-01", "2024-02-30", "2024-05-01T25:00", "2024-05-01Tx",
                           "1e300", "2024-05-01T12:00:00+99:00"}) {
    EXPECT_EQ(parse_time(text), std::nullopt) << text;
  }
}

TEST_F(AnnotationFiles, GoldIsMatchedByNameAndCheckedAgainstTheAnnotations) {
  const AnnotationTable table = read("a.csv", "task,worker,label\nt1,amy,x\nt2,amy,y\n");
  const GoldFile gold = read_gold(write("g.csv", "label,task\ny,t1\nx,t9\n"), table, {});
  EXPECT_THAT(gold.gold.labels, ElementsAre(1, kNoLabel));
  EXPECT_EQ(gold.tasks, 2U);
  EXPECT_EQ(gold.uncovered, 1U);
  const auto fails = [&](const std::string& text, const char* message) {
    EXPECT_THAT([&] { read_gold(write("bad.csv", text), table, {}); },
                ThrowsMessage<InputError>(HasSubstr(message)));
  };
  fails("task,label\nt1,X\n", "bad.csv:2:4: the label 'X' is none that the annotations have");
  fails("task,label\nt1,x\nt1,y\n", "task 't1' has another label further up");
  fails("task,label\n", "it has no label");
  const GoldFile open = read_gold(write("o.csv", "task,label\nt1,X\nt2,y\n"), table, {}, true);
  EXPECT_EQ(open.new_labels, 1U);
  const std::vector<Label> predicted = {0, 1};
  const LabelQuality quality = label_quality(predicted, open.gold.labels);
  EXPECT_EQ(quality.accuracy, 0.5);
  EXPECT_NEAR(quality.macro_f1, 1.0 / 3, 1e-12);  // of x, y and X: 0, 1, 0
}

TEST_F(AnnotationFiles, LabelStudioExports) {
  const std::string text = R"([
    {"id": 1, "data": {"text": "a"}, "annotations": [
      {"completed_by": 5, "created_at": "2024-05-01T12:00:00Z", "result": [
        {"from_name": "mood", "type": "choices", "value": {"choices": ["good"]}},
        {"from_name": "stars", "type": "rating", "value": {"rating": 4}}]},
      {"completed_by": {"id": 6, "email": "x@y"}, "created_at": "2024-05-01T12:01:00Z",
       "was_cancelled": true, "result": []},
      {"completed_by": {"id": 7}, "created_at": "2024-05-01T12:02:00Z", "result": [
        {"from_name": "mood", "type": "choices", "value": {"choices": ["bad"]}}]}]}])";
  AnnotationFormat format{.exported = ExportKind::label_studio, .question = "mood"};
  EXPECT_THAT(rows_of(read("e.json", text, format)), ElementsAre("1 5 good", "1 7 bad"));
  format.question = "stars";
  EXPECT_THAT(rows_of(read("e.json", text, format)), ElementsAre("1 5 4"));
  format.question = "";
  EXPECT_THAT([&] { read("e.json", text, format); },
              ThrowsMessage<InputError>(HasSubstr("several questions (mood, stars)")));
  format.question = "modo";
  EXPECT_THAT([&] { read("e.json", text, format); },
              ThrowsMessage<InputError>(HasSubstr("no answer to 'modo'")));
}

TEST_F(AnnotationFiles, DoccanoExports) {
  const AnnotationFormat format{.exported = ExportKind::doccano};
  const fs::path amy = write("amy.jsonl",
                             "{\"id\":1,\"text\":\"a\",\"label\":[\"x\"]}\n"
                             "{\"id\":2,\"text\":\"b\",\"label\":[]}\n");
  const fs::path all =
      write("all.jsonl",
            "{\"id\":1,\"annotations\":[{\"user\":3,\"label\":9},{\"user\":4,\"label\":8}]}\n");
  EXPECT_THAT(rows_of(read_annotations({amy, all}, format)),
              ElementsAre("1 3 9", "1 4 8", "1 amy x"));
  EXPECT_THAT([&] { read("m.jsonl", "{\"id\":1,\"label\":[\"x\",\"y\"]}\n", format); },
              ThrowsMessage<InputError>(HasSubstr("the answer has 2 labels")));
  EXPECT_THAT([&] { read("n.jsonl", "{\"text\":\"a\"}\n", format); },
              ThrowsMessage<InputError>(HasSubstr("no 'id'")));
}

TEST_F(AnnotationFiles, ExportsOfAnswersWithSeveralLabels) {
  AnnotationFormat format{.exported = ExportKind::doccano, .several_labels = true};
  EXPECT_THAT(rows_of(read("amy.jsonl", "{\"id\":1,\"label\":[\"x\",\"y\"]}\n", format)),
              ElementsAre("1 amy x", "1 amy y"));
  format.exported = ExportKind::label_studio;
  EXPECT_THAT(rows_of(read("e.json",
                           R"([{"id": 1, "annotations": [{"completed_by": 5, "result": [
                             {"from_name": "m", "value": {"choices": ["b", "a"]}}]}]}])",
                           format)),
              ElementsAre("1 5 a", "1 5 b"));
}

TEST_F(AnnotationFiles, EveryAnnotationHasATimeOrNone) {
  const AnnotationFormat format{.exported = ExportKind::label_studio};
  EXPECT_THAT(
      [&] {
        read("e.json",
             R"([{"id": 1, "annotations": [{"completed_by": 5, "created_at": "2024-05-01T12:00:00Z",
               "result": [{"from_name": "m", "value": {"choices": ["a"]}}]}]},
              {"id": 2, "annotations": [{"completed_by": 5,
               "result": [{"from_name": "m", "value": {"choices": ["a"]}}]}]}])",
             format);
      },
      ThrowsMessage<InputError>(
          HasSubstr("e.json: item 2: it has no 'time', but what was read before has one")));
}

TEST_F(AnnotationFiles, ArgillaExportsOfBothVersions) {
  const AnnotationFormat format{.exported = ExportKind::argilla};
  const std::string second =
      R"([{"id": "r1", "fields": {}, "responses": {"label": [
           {"value": "x", "user_id": "u1", "status": "submitted"},
           {"value": "y", "user_id": "u2", "status": "draft"}]}}])";
  EXPECT_THAT(rows_of(read("v2.json", second, format)), ElementsAre("r1 u1 x"));
  const std::string first =
      R"({"external_id": "r1", "responses": [
           {"user_id": "u1", "status": "submitted", "values": {"label": {"value": "x"}}}]})";
  std::string line = first;
  std::erase(line, '\n');
  EXPECT_THAT(rows_of(read("v1.jsonl", line, format)), ElementsAre("r1 u1 x"));
  const std::string flat =
      R"([{"id": "r1", "label.responses": ["x", "y", "z"],
           "label.responses.users": ["u1", "u2", "u3"],
           "label.responses.status": ["submitted", "draft", "submitted"]}])";
  EXPECT_THAT(rows_of(read("flat.json", flat, format)), ElementsAre("r1 u1 x", "r1 u3 z"));
  EXPECT_THAT(
      [&] {
        read("bad.json", R"([{"id": 1, "l.responses": ["x"], "l.responses.users": []}])", format);
      },
      ThrowsMessage<InputError>(HasSubstr("'l.responses.users' is no list of 1")));
  EXPECT_THAT(
      rows_of(read("v0.jsonl", R"({"id":3,"annotation":"z","annotation_agent":"me"})", format)),
      ElementsAre("3 me z"));
}

TEST_F(AnnotationFiles, WritesLabelsInTheOrderInWhichTasksCame) {
  const AnnotationTable table =
      read("a.csv", "task,worker,label\n\"t,2\",amy,y\nt1,amy,x\nt1,bob,x\n");
  const LabelFit fit = fit_labels("standard", table);
  const auto text_of = [](const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  write_hard_labels(folder_ / "l.csv", table, hard_labels(fit.posterior).labels);
  EXPECT_EQ(text_of(folder_ / "l.csv"), "task,label\n\"t,2\",y\nt1,x\n");
  write_soft_labels(folder_ / "s.tsv", table, fit.posterior);
  EXPECT_EQ(text_of(folder_ / "s.tsv"), "task\tx\ty\nt,2\t0\t1\nt1\t1\t0\n");
  GoldLabels gold{{0, kNoLabel}};
  write_workers(folder_ / "w.csv", table, fit, &gold);
  EXPECT_EQ(text_of(folder_ / "w.csv"),
            "worker,annotations,label_accuracy,gold_annotations,gold_accuracy\namy,2,1,1,0\n"
            "bob,1,1,0,\n");
  EXPECT_THROW(write_confusion(folder_ / "c.csv", table, fit), InputError);
  EXPECT_THROW(write_hard_labels(folder_, table, {}), InputError);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 4);  // nothing half-written
}

TEST_F(AnnotationFiles, WritesDoubtAndTiesOfTasksAndHowOftenWorkersGaveTheLabel) {
  // t1 is tied, t2 has an abstention besides two votes, t3 is 3 : 1.
  const AnnotationTable table =
      read("a.csv",
           "task,worker,label,weight\nt1,amy,x,1\nt1,bob,y,1\nt2,amy,y,1\nt2,bob,y,1\n"
           "t2,eve,x,0\nt3,amy,y,1\nt3,bob,x,3\n");
  LabelFit fit = fit_labels("standard", table);
  fit.task_columns["easiness"] = {1, 2, 3};
  write_task_columns(folder_ / "t.csv", table, fit);
  EXPECT_EQ(contents_of(folder_ / "t.csv"),
            "task,annotations,probability,entropy,tied,easiness\nt1,2,0.5,1,1,1\n"
            "t2,2,1,0,0,2\nt3,2,0.75,0.8112781244591328,0,3\n");
  // t1's label is x, the lowest of the tied; bob has 3 + 1 of 5 right, eve said nothing.
  write_workers(folder_ / "w.csv", table, fit);
  EXPECT_EQ(contents_of(folder_ / "w.csv"),
            "worker,annotations,label_accuracy\namy,3,0.6666666666666666\nbob,3,0.8\neve,1,\n");
}

}  // namespace
}  // namespace amalgam::labels
