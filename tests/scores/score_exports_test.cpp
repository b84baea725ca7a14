#include <zip.h>

#include "tests/scores/score_files_fixture.hpp"

namespace amalgam::scores {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What lm-evaluation-harness writes for one model.
std::string lm_eval_results(const std::string& model, double arc, double wiki) {
  return fmt::format(
      R"({{"results": {{
            "arc": {{"alias": "arc", "acc,none": 0.125, "acc_stderr,none": 0.01,
                     "acc_norm,none": {}, "acc_norm_stderr,none": "N/A"}},
            "mmlu": {{"acc,none": 0.75, "alias": "mmlu"}},
            "mmlu_law": {{"acc,none": 0.5, "alias": " - law"}},
            "wiki": {{"word_perplexity,none": {}, "word_perplexity_stderr,none": NaN}},
            "empty": {{"acc,none": NaN, "alias": "empty"}}}},
          "group_subtasks": {{"mmlu": ["mmlu_law"], "arc": [], "wiki": []}},
          "configs": {{"arc": {{"task": "arc"}}}},
          "versions": {{"arc": 1}},
          "higher_is_better": {{"arc": {{"acc": true, "acc_norm": true}},
                                "wiki": {{"word_perplexity": false}}}},
          "config": {{"model": "hf", "model_args": "pretrained={},dtype=float16"}},
          "model_name": ""}})",
      arc, wiki, model);
}

class LmEval : public ScoreFilesTest {};

TEST_F(LmEval, ReadsResultsOfTasksByTheirUsualMetric) {
  write("a/results_2025-01-01T00-00-00.1.json", lm_eval_results("org/x", 0.25, 20));
  write("b/results_2025-01-02T00-00-00.1.json", lm_eval_results("org/y", 0.375, 10));
  const ScoreTable table = read_folder();
  EXPECT_EQ(notes_.form, ScoreForm::lm_eval);
  EXPECT_THAT(rows_of(table),
              ElementsAre("arc org/x 0.25", "arc org/y 0.375", "mmlu_law org/x 0.5",
                          "mmlu_law org/y 0.5", "wiki org/x -20", "wiki org/y -10"));
  EXPECT_THAT(warnings(), HasSubstr("of the metrics of task 'arc' (and of others that have the "
                                    "same), acc_norm,none counts"));
  EXPECT_THAT(notes_.left_out, ElementsAre("acc,none", "mmlu"));
}

TEST_F(LmEval, ReadsTheMetricsThatAreAskedFor) {
  write("a/results_1.json", lm_eval_results("x", 0.25, 20));
  write("b/results_2.json", lm_eval_results("y", 0.375, 10));
  EXPECT_THAT(rows_of(read_folder({.metrics = {"acc"}})),
              ElementsAre("arc x 0.125", "arc y 0.125", "mmlu_law x 0.5", "mmlu_law y 0.5"));
  EXPECT_THAT(warnings(), HasSubstr("task 'wiki' is left out: it has none of the metrics"));
  EXPECT_THAT(rows_of(read_folder({.metrics = {"acc", "acc_norm:none"}})),
              ElementsAre("arc:acc x 0.125", "arc:acc y 0.125", "arc:acc_norm:none x 0.25",
                          "arc:acc_norm:none y 0.375", "mmlu_law:acc x 0.5", "mmlu_law:acc y 0.5"));
  EXPECT_THAT(
      [&] {
        read_folder({.metrics = {"acc", "accc"}});
      },
      ::testing::ThrowsMessage<InputError>(HasSubstr("no task has a metric 'accc'")));
}

TEST_F(LmEval, ReadsSamplesAsInstancesAndTheirModelFromTheResultsBeside) {
  for (const auto& [folder, model] : {std::pair{"a", "x"}, {"b", "y"}}) {
    write(std::string(folder) + "/results_2025-01-01T00-00-00.1.json",
          lm_eval_results(model, 0.25, 20));
  }
  const auto line = [](int id, const std::string& filter, const std::string& value) {
    return fmt::format(R"({{"doc_id": {}, "doc": {{"q": "?"}}, "target": "1", "resps": [["1"]],
                           "filter": "{}", "metrics": ["exact_match", "f1"], "f1": ["a", ["b"]],
                           "exact_match": {}}})",
                       id, filter, value);
  };
  const auto joined = [](std::string text) {
    std::erase(text, '\n');
    return text + "\n";
  };
  for (const std::string folder : {"a", "b"}) {
    write(folder + "/samples_gsm8k_cot_2025-01-01T00-00-00.1.jsonl",
          joined(line(0, "flexible-extract", "1.0")) +
              joined(line(0, "strict-match", folder == "a" ? "1.0" : "0.0")) +
              joined(line(1, "strict-match", "0.0")));
  }
  const ScoreTable table = read_folder();
  EXPECT_THAT(rows_of(table),
              ElementsAre("arc x 0.25", "arc y 0.25", "gsm8k_cot 0 x 1", "gsm8k_cot 0 y 0",
                          "gsm8k_cot 1 x 0", "gsm8k_cot 1 y 0", "mmlu_law x 0.5", "mmlu_law y 0.5",
                          "wiki x -20", "wiki y -20"));
  EXPECT_EQ(table.task_infos[1].kind, ScoreKind::binary);
  // A file of samples alone is known by its lines, and finds its model.
  const fs::path samples = folder_ / "a/samples_gsm8k_cot_2025-01-01T00-00-00.1.jsonl";
  const fs::path others = folder_ / "b/samples_gsm8k_cot_2025-01-01T00-00-00.1.jsonl";
  EXPECT_EQ(rows_of(read_scores({samples, others}, {})).size(), 4U);
}

TEST_F(LmEval, NamesModelsByTheirFolderWhereNothingElseDoes) {
  const std::string text = R"({"results": {"arc": {"acc": 0.5, "acc_stderr": 0.1}},
                               "versions": {"arc": 0}, "config": {"model_args": ""}})";
  write("org__x/results.json", text);
  write("y/results.json", text);
  EXPECT_THAT(rows_of(read_folder()), ElementsAre("arc org/x 0.5", "arc y 0.5"));
}

TEST_F(LmEval, RefusesAModelThatWasMeasuredTwiceUnlessRepeatsAreAllowed) {
  write("a/results_2025-01-01.json", lm_eval_results("x", 0.25, 20));
  write("a/results_2025-01-02.json", lm_eval_results("x", 0.5, 10));
  write("b/results_2025-01-02.json", lm_eval_results("y", 0.125, 10));
  EXPECT_THAT([&] { read_folder(); },
              ::testing::ThrowsMessage<InputError>(HasSubstr("system 'x' has 2 values on task")));
  EXPECT_THAT(rows_of(read_folder({.metrics = {"acc_norm"}, .repeats = Repeats::last})),
              ElementsAre("arc x 0.5", "arc y 0.125"));
}

TEST_F(LmEval, RefusesContradictoryDirectionsAndMetrics) {
  const char* const one = R"({"results": {"t": {"acc,none": 0.5}}, "versions": {},
                              "higher_is_better": {"t": {"acc": true}}, "model_name": "x"})";
  write("a/results.json", one);
  write("b/results.json", R"({"results": {"t": {"acc,none": 0.5}}, "versions": {},
                              "higher_is_better": {"t": {"acc": false}}, "model_name": "y"})");
  EXPECT_THAT([&] { read_folder(); }, ::testing::ThrowsMessage<InputError>(AllOf(
                                          HasSubstr("of task 't' it says that lower is better"),
                                          HasSubstr("a/results.json says that higher is"))));
  EXPECT_THAT(error("c.json", R"({"results": {"t": {"odd1,none": 1, "odd2,none": 2}},
                                  "versions": {}, "model_name": "y"})"),
              HasSubstr("task 't' has none of the usual metrics; choose with --metric, of "
                        "odd1,none, odd2,none"));
  write("b/results.json", R"({"results": {"t": {"f1,none": 0.5}}, "versions": {},
                              "model_name": "y"})");
  EXPECT_THAT(
      [&] {
        read_scores({folder_ / "a", folder_ / "b"}, {});
      },
      ::testing::ThrowsMessage<InputError>(
          HasSubstr("task 't' is measured by f1,none here, but by acc,none in other")));
}

TEST_F(LmEval, RefusesWhatIsSomethingElse) {
  EXPECT_THAT(error("a.json", "{\"results\": [1], \"versions\": 1}"),
              HasSubstr("it has no 'results' by task"));
  EXPECT_THAT(error("a.json", "{\"results\": {}, \"versions\": 1}"),
              HasSubstr("it has no values of tasks"));
  EXPECT_THAT(error("a.json", "{\"results\": {\"t\": {\"acc\": 1e999}}, \"versions\": 1}"),
              HasSubstr("a.json"));
  EXPECT_THAT(error("a.json", "{\"results\": {\"t\": {\"acc\": 1}}, \"versions\": 1, \"c"),
              HasSubstr("a string to be closed"));
  EXPECT_THAT(error("samples_a.jsonl", "{\"acc\": 1}\n", {.form = ScoreForm::lm_eval}),
              HasSubstr("samples_a.jsonl:1: it has no 'doc_id'"));
  fs::remove_all(folder_);
  write("a.txt", "nothing");
  EXPECT_THAT([&] { read_folder(); }, ::testing::ThrowsMessage<InputError>(HasSubstr(
                                          "neither results of lm-evaluation-harness nor runs")));
  EXPECT_THAT([&] { read_folder({.form = ScoreForm::lm_eval}); },
              ::testing::ThrowsMessage<InputError>(HasSubstr("neither results*.json nor")));
}

std::string helm_stat(const std::string& metric, const std::string& split, const std::string& mean,
                      const std::string& perturbation = "") {
  return fmt::format(
      R"({{"name": {{"name": "{}", "split": "{}"{}}}, "count": 1, "sum": 1{}}})", metric, split,
      perturbation.empty() ? "" : R"(, "perturbation": {"name": ")" + perturbation + "\"}",
      mean.empty() ? "" : ", \"mean\": " + mean);
}

class Helm : public ScoreFilesTest {
 protected:
  void write_run(const std::string& folder, const std::string& model, const std::string& stats,
                 const std::string& instances = "") const {
    write(folder + "/run_spec.json",
          fmt::format(R"({{"name": "mmlu:subject=law,model={}", "scenario_spec": {{}},
                          "adapter_spec": {{"method": "joint", "model": "{}"}}}})",
                      model, model));
    if (!stats.empty()) write(folder + "/stats.json", "[" + stats + "]");
    if (!instances.empty()) write(folder + "/per_instance_stats.json", "[" + instances + "]");
  }
};

TEST_F(Helm, ReadsMeansOfTestInstancesWithoutPerturbation) {
  const auto stats = [](const std::string& mean) {
    return helm_stat("num_bytes", "test", "300") + "," + helm_stat("exact_match", "valid", "0.9") +
           "," + helm_stat("exact_match", "test", "0.8", "typos") + "," +
           helm_stat("exact_match", "test", mean);
  };
  write_run("runs/x", "org/x", stats("0.25"));
  write_run("runs/y", "org/y", stats("0.5"));
  EXPECT_THAT(rows_of(read_folder()),
              ElementsAre("mmlu:subject=law org/x 0.25", "mmlu:subject=law org/y 0.5"));
  EXPECT_EQ(notes_.form, ScoreForm::helm);
  EXPECT_THAT(rows_of(read_folder({.metrics = {"num_bytes"}})),
              ElementsAre("mmlu:subject=law org/x 300", "mmlu:subject=law org/y 300"));
}

TEST_F(Helm, ReadsInstancesWithTheMeanOverTrials) {
  const auto instance = [](const std::string& id, int trial, const std::string& mean,
                           const std::string& perturbation = "") {
    return fmt::format(R"({{"instance_id": "{}"{}, "train_trial_index": {}, "stats": [{}, {}]}})",
                       id, perturbation.empty() ? "" : R"(, "perturbation": {"name": "typos"})",
                       trial, helm_stat("logprob", "test", "-3"),
                       helm_stat("exact_match", "test", mean));
  };
  write_run("x", "x", "",
            instance("id1", 0, "1") + "," + instance("id1", 1, "0") + "," +
                instance("id2", 0, "1") + "," + instance("id2", 0, "0", "typos") + "," +
                instance("id3", 0, ""));
  write_run("y", "y", "", instance("id1", 0, "0") + "," + instance("id2", 0, "1"));
  EXPECT_THAT(rows_of(read_folder()),
              ElementsAre("mmlu:subject=law id1 x 0.5", "mmlu:subject=law id1 y 0",
                          "mmlu:subject=law id2 x 1", "mmlu:subject=law id2 y 1"));
  EXPECT_EQ(notes_.missing, 1U);
}

TEST_F(Helm, RefusesWhatIsNoRun) {
  EXPECT_THAT([&] { read_folder({.form = ScoreForm::helm}); },
              ::testing::ThrowsMessage<InputError>(HasSubstr("no folder in it has a run_spec")));
  write_run("x", "x", "");
  EXPECT_THAT([&] { read_folder(); }, ::testing::ThrowsMessage<InputError>(HasSubstr(
                                          "neither per_instance_stats.json nor stats.json")));
  write("x/stats.json", "{\"a\": 1}");
  EXPECT_THAT([&] { read_folder(); },
              ::testing::ThrowsMessage<InputError>(HasSubstr("expected a list of statistics")));
  write("x/stats.json", "[{\"mean\": 1}]");
  EXPECT_THAT([&] { read_folder(); },
              ::testing::ThrowsMessage<InputError>(HasSubstr("item 1: a statistic has no name")));
  write("x/stats.json", "[" + helm_stat("num_bytes", "test", "1") + "," +
                            helm_stat("num_words", "test", "1") + "]");
  EXPECT_THAT([&] { read_folder(); }, ::testing::ThrowsMessage<InputError>(HasSubstr(
                                          "has none of the usual metrics; choose with --metric")));
  write("x/run_spec.json", "{\"name\": \"mmlu:model=x\"}");
  EXPECT_THAT([&] { read_folder(); },
              ::testing::ThrowsMessage<InputError>(HasSubstr("it has no 'adapter_spec'")));
}

class Inspect : public ScoreFilesTest {};

std::string inspect_sample(const std::string& id, int epoch, const std::string& scores) {
  return fmt::format(
      R"({{"id": {}, "epoch": {}, "input": "}}]", "messages": [{{"content": "\"", "role": "user"}}],
           "scores": {}}})",
      id, epoch, scores);
}

std::string inspect_log(const std::string& model, const std::string& samples,
                        const std::string& status = "success") {
  return fmt::format(
      R"({{"version": 2, "status": "{}", "eval": {{"task": "popularity", "model": "{}"}},
           "plan": {{}}, "results": {{"scores": [
              {{"name": "match", "scorer": "match",
                "metrics": {{"stderr": {{"value": 0.1}}, "accuracy": {{"value": 0.75}}}}}},
              {{"name": "judge", "metrics": {{"mean": {{"value": 7}}}}}}]}},
           "stats": {{}}, {}"x": 1}})",
      status, model, samples.empty() ? "" : "\"samples\": [" + samples + "], ");
}

TEST_F(Inspect, ReadsScoresOfSamplesByTheFirstScorerWithTheMeanOverEpochs) {
  const auto scores = [](const std::string& match, const std::string& judge) {
    return fmt::format(R"({{"match": {{"value": {}}}, "judge": {{"value": {}}}}})", match, judge);
  };
  write("x.json", inspect_log("org/x", inspect_sample("1", 1, scores("\"C\"", "7")) + "," +
                                           inspect_sample("1", 2, scores("\"I\"", "8")) + "," +
                                           inspect_sample("\"b\"", 1, scores("\"P\"", "NaN"))));
  write("y.json", inspect_log("org/y", inspect_sample("1", 1, scores("true", "3")) + "," +
                                           inspect_sample("\"b\"", 1, scores("\"N\"", "4"))));
  EXPECT_THAT(rows_of(read_folder()),
              ElementsAre("popularity 1 org/x 0.5", "popularity 1 org/y 1",
                          "popularity b org/x 0.5", "popularity b org/y 0"));
  EXPECT_EQ(notes_.form, ScoreForm::inspect);
  EXPECT_THAT(warnings(), HasSubstr("match counts"));
  EXPECT_THAT(
      rows_of(read_folder({.metrics = {"judge"}})),
      ElementsAre("popularity 1 org/x 7.5", "popularity 1 org/y 3", "popularity b org/y 4"));
}

TEST_F(Inspect, ReadsTheMetricsOfLogsWithoutSamples) {
  write("x.json", inspect_log("x", "", "error"));
  write("y.json", inspect_log("y", ""));
  EXPECT_THAT(rows_of(read_folder()), ElementsAre("popularity x 0.75", "popularity y 0.75"));
  EXPECT_THAT(warnings(), HasSubstr("x.json: its status is 'error'"));
}

TEST_F(Inspect, ReadsPartsOfScoresAndLogsOfTheFirstVersion) {
  const std::string scores = R"({"judge": {"value": {"style": 1, "truth": 0.5}}})";
  write("x.json", inspect_log("x", inspect_sample("1", 1, scores)));
  write("y.json", inspect_log("y", inspect_sample("1", 1, scores)));
  EXPECT_THAT(rows_of(read_folder({.metrics = {"judge/truth", "judge/style"}})),
              ElementsAre("popularity:judge/style 1 x 1", "popularity:judge/style 1 y 1",
                          "popularity:judge/truth 1 x 0.5", "popularity:judge/truth 1 y 0.5"));
  for (const std::string model : {"x", "y"}) {
    write(model + ".json",
          R"({"version": 1, "status": "success", "eval": {"task": "t", "model": ")" + model +
              R"("}, "samples": [{"id": 3, "epoch": 1, "score": {"value": "C"}}]})");
  }
  EXPECT_THAT(rows_of(read_folder()), ElementsAre("t 3 x 1", "t 3 y 1"));
}

// A member of a zip archive, compressed as most programs do; `text` is read by zip_close.
void add_member(zip_t* archive, const char* name, const std::string& text) {
  zip_source_t* source = zip_source_buffer(archive, text.data(), text.size(), 0);
  ASSERT_GE(zip_file_add(archive, name, source, ZIP_FL_ENC_UTF_8), 0);
}

TEST_F(Inspect, ReadsArchives) {
  for (const std::string model : {"x", "y"}) {
    const std::string path = (folder_ / (model + ".eval")).string();
    int error = 0;
    zip_t* archive = zip_open(path.c_str(), ZIP_CREATE, &error);
    ASSERT_NE(archive, nullptr);
    const std::string start = "{}";
    const std::string header = inspect_log(model, "");
    const std::string sample =
        inspect_sample("1", 1, R"({"match": {"value": "C"}, "judge": {"value": 1}})");
    add_member(archive, "header.json", header);
    add_member(archive, "samples/1_epoch_1.json", sample);
    add_member(archive, "_journal/start.json", start);
    ASSERT_EQ(zip_close(archive), 0);
  }
  EXPECT_THAT(rows_of(read_folder()), ElementsAre("popularity 1 x 1", "popularity 1 y 1"));
  EXPECT_THAT(rows_of(read_scores({folder_ / "x.eval", folder_ / "y.eval"}, {})),
              ElementsAre("popularity 1 x 1", "popularity 1 y 1"));
}

TEST_F(Inspect, RefusesWhatIsNoLog) {
  EXPECT_THAT(error("a.json", "{\"eval\": {\"task\": \"t\"}}"), HasSubstr("it has no 'model'"));
  EXPECT_THAT(error("a.json", "{\"evil\": 1}", {.form = ScoreForm::inspect}),
              HasSubstr("it has no 'eval' that names task and model"));
  EXPECT_THAT(error("a.json", "[1]", {.form = ScoreForm::inspect}), HasSubstr("no 'eval'"));
  EXPECT_THAT(error("a.json", inspect_log("x", "{\"epoch\": 1}")),
              HasSubstr("a.json: 'samples', item 1: the sample has no id"));
  EXPECT_THAT(error("a.json", inspect_log("x", "{\"id\": 1, \"scores\"")),
              HasSubstr("'samples', item 1"));
  EXPECT_THAT(error("a.eval", "no archive"), HasSubstr("a.eval"));
}

}  // namespace
}  // namespace amalgam::scores
