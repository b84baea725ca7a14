#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/scores/pool/pool_import.hpp"
#include "amalgam/scores/pool/pool_query.hpp"
#include "amalgam/scores/pool/pool_ranking.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class Pool : public ::testing::Test {
 protected:
  std::filesystem::path path(const std::string& name = "pool.sqlite") const {
    return folder_ / name;
  }
  SamplePool create() const { return {path(), SamplePool::Mode::create}; }
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    return folder_.write(name, text);
  }

 private:
  TemporaryFolder folder_;
};

std::vector<std::int64_t> all_samples(const SamplePool& pool) {
  std::vector<std::int64_t> ids;
  for (const PoolEntry& entry : pool.entries()) ids.push_back(entry.id);
  return ids;
}

// The value of a model in a table with one task.
double value_of(const ScoreTable& table, std::string_view model) {
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.systems[table.row_systems[row]] == model) return table.values[row];
  }
  return std::nan("");
}

TEST_F(Pool, ASampleInTwoDatasetsIsStoredOnce) {
  SamplePool pool = create();
  const auto first =
      pool.add_sample({.dataset = "a", .name = "1", .question = "Why?", .answer = "x"});
  const auto same =
      pool.add_sample({.dataset = "b", .name = "9", .question = "Why?", .answer = "x"});
  const auto other =
      pool.add_sample({.dataset = "b", .name = "8", .question = "Why?", .answer = "y"});
  EXPECT_EQ(first, same);
  EXPECT_NE(first, other);
  // Where question ends and answer begins counts.
  EXPECT_NE(first, pool.add_sample({.dataset = "b", .name = "7", .question = "Why?x"}));
  const PoolCounts counts = pool.counts();
  EXPECT_EQ(counts.samples, 3);
  EXPECT_EQ(counts.occurrences, 4);
  EXPECT_THAT(pool.datasets(), ElementsAre(Pair("a", 1), Pair("b", 3)));
  EXPECT_THAT(error_of([&] { pool.add_sample({.dataset = "a", .name = "1", .question = "How?"}); }),
              HasSubstr("with other texts"));
}

TEST_F(Pool, SamplesKnownByNameGetTheirTextsLater) {
  SamplePool pool = create();
  const auto named = pool.add_sample({.dataset = "a", .name = "1"});
  EXPECT_NE(named, pool.add_sample({.dataset = "a", .name = "2"}));  // no texts: not the same
  EXPECT_EQ(pool.add_sample({.dataset = "a", .name = "1", .question = "Why?", .tags = {"t"}}),
            named);
  EXPECT_EQ(pool.entries()[0].question, "Why?");
  EXPECT_THAT(pool.entries()[0].tags, ElementsAre("t"));
}

TEST_F(Pool, KeepsWhatWasCommittedAndNothingElse) {
  {
    SamplePool pool = create();
    PoolTransaction first(pool);
    pool.add_sample({.dataset = "a", .name = "1"});
    first.commit();
    PoolTransaction second(pool);
    pool.add_sample({.dataset = "a", .name = "2"});
    // The end of the program comes before commit().
  }
  const SamplePool pool(path(), SamplePool::Mode::read);
  EXPECT_EQ(pool.counts().samples, 1);
}

TEST_F(Pool, OfAnOpenTransactionAnotherReaderSeesNothing) {
  SamplePool pool = create();
  pool.begin();
  pool.add_sample({.dataset = "a", .name = "1"});
  EXPECT_EQ(SamplePool(path(), SamplePool::Mode::read).counts().samples, 0);
  pool.commit();
  EXPECT_EQ(SamplePool(path(), SamplePool::Mode::read).counts().samples, 1);
}

TEST_F(Pool, ChecksMeasurements) {
  SamplePool pool = create();
  pool.add_metric({.name = "accuracy", .kind = ScoreKind::binary});
  pool.add_metric({.name = "loss", .higher_is_better = false});
  const auto add = [&](const std::string& model, const std::string& metric, double value,
                       const std::string& source = "") {
    return pool.add_measurement({model, "a", "1", metric, source, value});
  };
  EXPECT_TRUE(add("m", "accuracy", 1));
  EXPECT_FALSE(add("m", "accuracy", 1));  // known
  EXPECT_TRUE(add("m", "accuracy", 0, "elsewhere"));
  EXPECT_THAT(error_of([&] { add("m", "accuracy", 0); }), HasSubstr("1 in the pool and 0 here"));
  EXPECT_THAT(error_of([&] { add("n", "accuracy", 0.5); }), HasSubstr("neither 0 nor 1"));
  EXPECT_THAT(error_of([&] { add("n", "loss", INFINITY); }), HasSubstr("not finite"));
  EXPECT_THAT(error_of([&] { add("n", "f1", 1); }), HasSubstr("'f1' is not in the pool"));
  EXPECT_THAT(error_of([&] { pool.add_metric({.name = "loss"}); }), HasSubstr("cannot become"));
  EXPECT_THAT(error_of([&] { pool.add_judgement({"a", "1", "m", "m"}); }), HasSubstr("itself"));
  EXPECT_THAT(error_of([&] {
                pool.add_judgement({"a", "1", "m", "n", 1, -1});
              }),
              HasSubstr("weight -1"));
  EXPECT_THAT(error_of([&] {
                pool.add_judgement({"a", "1", "m", "n", 1, 1e300});
              }),
              HasSubstr("weight 1e+300"));
  EXPECT_THAT(error_of([&] { pool.add_sample({.dataset = "", .name = "1"}); }),
              HasSubstr("dataset without a name"));
  EXPECT_THAT(error_of([&] { pool.add_sample({.dataset = "\xff", .name = "1"}); }),
              HasSubstr("not UTF-8"));
}

TEST_F(Pool, MakesATableOfChosenSamples) {
  SamplePool pool = create();
  pool.add_metric({.name = "accuracy", .kind = ScoreKind::binary});
  pool.add_metric({.name = "loss", .higher_is_better = false});
  pool.add_measurement({"m", "a", "1", "accuracy", "", 1});
  pool.add_measurement({"n", "a", "1", "accuracy", "", 0});
  pool.add_measurement({"m", "a", "2", "loss", "", 0.5});
  pool.add_measurement({"n", "a", "2", "loss", "", 0.25});
  pool.add_judgement({"c", "3", "m", "n", 1});
  pool.add_judgement({"c", "3", "n", "m", 0, 2});
  const ScoreTable all = pool.scores(all_samples(pool));
  EXPECT_EQ(all.task_count(), 2);
  EXPECT_EQ(all.ballot_count(), 2);
  EXPECT_EQ(all.tasks[0], "a, accuracy");
  EXPECT_EQ(all.task_infos[0].kind, ScoreKind::binary);
  EXPECT_FALSE(all.task_infos[1].higher_is_better);
  EXPECT_EQ(all.comparisons.size(), 2);
  EXPECT_EQ(all.comparisons.clusters[0], all.comparisons.clusters[1]);
  EXPECT_EQ(all.comparisons.weight(1), 2);
  const PairTable pairs = count_pairs(all, Missing::observed);
  EXPECT_EQ(pairs.win(0, 1), 2);  // m is right, and preferred; n has less loss
  EXPECT_EQ(pairs.win(1, 0), 1);
  EXPECT_EQ(pairs.tie(0, 1), 2);
  const ScoreTable second = pool.scores(std::vector<std::int64_t>{all_samples(pool)[1]});
  EXPECT_EQ(second.rows(), 2);
  EXPECT_EQ(value_of(second, "n"), -0.25);
}

TEST_F(Pool, BelievesSourcesByPriorityAndAliasesAreOneModel) {
  SamplePool pool = create();
  pool.add_metric({.name = "score"});
  pool.add_measurement({"m", "a", "1", "score", "first", 1});
  pool.add_measurement({"m", "a", "1", "score", "second", 2});
  pool.add_measurement({"m-0613", "a", "1", "score", "third", 3});
  pool.add_measurement({"n", "a", "1", "score", "first", 0});
  EXPECT_EQ(value_of(pool.scores(all_samples(pool)), "m"), 1);  // as they came
  pool.set_priority("second", 1);
  EXPECT_EQ(value_of(pool.scores(all_samples(pool)), "m"), 2);
  EXPECT_EQ(pool.scores(all_samples(pool)).system_count(), 3);
  pool.add_alias("m-0613", "m");
  pool.set_priority("third", 0);
  EXPECT_EQ(pool.scores(all_samples(pool)).system_count(), 2);
  EXPECT_EQ(value_of(pool.scores(all_samples(pool)), "m"), 3);
  pool.add_alias("m-0613", "m");  // again is fine
  EXPECT_THROW(pool.add_alias("m-0613", "n"), InputError);
  EXPECT_THROW(pool.add_alias("m", "n"), InputError);
  EXPECT_THROW(pool.add_alias("x", "x"), InputError);
}

TEST_F(Pool, RefusesFilesThatAreNoPool) {
  const auto text =
      write("text", "this is not a database, but it is long enough to be looked at\n");
  EXPECT_THAT(error_of([&] { SamplePool(text, SamplePool::Mode::read); }),
              HasSubstr("not a SQLite database"));
  EXPECT_THAT(error_of([&] { SamplePool(path("none"), SamplePool::Mode::read); }),
              HasSubstr("cannot be opened"));
  SqliteDatabase other(path("other"), SqliteDatabase::Mode::create);
  other.execute("CREATE TABLE t(x)");
  EXPECT_THAT(error_of([&] { SamplePool(path("other"), SamplePool::Mode::create); }),
              HasSubstr("not a pool of samples"));
  create();
  SqliteDatabase changed(path(), SqliteDatabase::Mode::write);
  changed.execute("CREATE TABLE extra(x)");
  EXPECT_THAT(error_of([&] { SamplePool(path(), SamplePool::Mode::read); }),
              HasSubstr("'extra' is not as expected"));
  changed.execute("DROP TABLE extra; DROP TABLE tags");
  EXPECT_THAT(error_of([&] { SamplePool(path(), SamplePool::Mode::read); }),
              HasSubstr("without some of its tables"));
  changed.execute("PRAGMA user_version = 7");
  EXPECT_THAT(error_of([&] { SamplePool(path(), SamplePool::Mode::read); }),
              HasSubstr("version 7"));
}

TEST_F(Pool, DamagedFilesAreErrorsNeverCrashes) {
  {
    SamplePool pool = create();
    PoolTransaction transaction(pool);
    pool.add_metric({.name = "score"});
    for (int s = 0; s < 300; ++s) {
      for (int m = 0; m < 4; ++m) {
        pool.add_measurement({fmt::format("m{}", m), "a", fmt::to_string(s), "score", "", 0.5 * m});
      }
    }
    transaction.commit();
  }
  std::string whole;
  {
    std::ifstream file(path(), std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(file), {});
  }
  RandomStream random(1, "damage");
  int errors = 0;
  for (int round = 0; round < 60; ++round) {
    std::string damaged = whole;
    if (round % 3 == 0) damaged.resize(random.below(damaged.size()));
    for (int i = 0; i < 40 && !damaged.empty(); ++i) {
      damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
    }
    write("damaged", "");
    std::ofstream(path("damaged"), std::ios::binary) << damaged;
    try {
      const SamplePool pool(path("damaged"), SamplePool::Mode::read);
      const std::vector<PoolEntry> entries = pool.entries();
      pool.scores(all_samples(pool));
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 30);  // most damage is noticed, and all of it is survived
}

TEST_F(Pool, ReadsLines) {
  SamplePool pool = create();
  const auto file = write("lines.jsonl",
                          R"({"type": "metric", "name": "accuracy", "kind": "binary"}
{"type": "source", "name": "helm", "priority": 2}
{"type": "sample", "dataset": "d", "id": 7, "question": "What is C6H6?", "answer": "benzene", "tags": ["chemistry"], "fields": {"year": 2021, "hard": true, "authors": ["a", "b"]}}

{"type": "measurement", "model": "m", "dataset": "d", "sample": "7", "metric": "accuracy", "value": true, "source": "helm"}
{"type": "measurement", "model": "m", "dataset": "d", "sample": "7", "metric": "accuracy", "value": 1, "source": "helm"}
{"type": "judgement", "dataset": "d", "sample": "7", "model_a": "m", "model_b": "n", "winner": "b"}
{"type": "alias", "alias": "m2", "model": "m"}
)");
  const PoolImport done = import_lines(pool, file);
  EXPECT_EQ(done.samples, 1);
  EXPECT_EQ(done.measurements, 1);
  EXPECT_EQ(done.known, 1);
  EXPECT_EQ(done.judgements, 1);
  EXPECT_EQ(done.other, 3);
  const PoolEntry entry = pool.entries()[0];
  EXPECT_THAT(entry.fields, ElementsAre(Pair("authors", "a"), Pair("authors", "b"),
                                        Pair("hard", "true"), Pair("year", "2021")));
  EXPECT_THAT(error_of([&] { import_lines(pool, file); }), HasSubstr("were added to"));
}

TEST_F(Pool, RefusesBadLinesNamingThem) {
  SamplePool pool = create();
  const auto error = [&](const std::string& line) {
    return error_of([&] { import_lines(pool, write("bad.jsonl", "\n" + line + "\n")); });
  };
  EXPECT_THAT(error("{"), HasSubstr("bad.jsonl:2"));
  EXPECT_THAT(error("[]"), HasSubstr("bad.jsonl:2: expected an object"));
  EXPECT_THAT(error(R"({"type": "person"})"), HasSubstr("type 'person'"));
  EXPECT_THAT(error(R"({"type": "sample", "dataset": "d"})"), HasSubstr("'id' is missing"));
  EXPECT_THAT(error(R"({"type": "sample", "dataset": "d", "id": "1", "extra": 1})"),
              HasSubstr("has no key 'extra'"));
  EXPECT_THAT(error(R"({"type": "sample", "dataset": "d", "id": "1", "tags": "t"})"),
              HasSubstr("'tags' is no list"));
  EXPECT_THAT(error(R"({"type": "sample", "dataset": "d", "id": "1", "embedding": [1]})"),
              HasSubstr("'embedder' is missing"));
  EXPECT_THAT(error(R"({"type": "metric", "name": "m", "kind": "odd"})"), HasSubstr("odd"));
  EXPECT_THAT(error(R"({"type": "source", "name": "m", "priority": 0.5})"),
              HasSubstr("no whole number"));
  EXPECT_THAT(error(R"({"type": "judgement", "dataset": "d", "sample": "1", "model_a": "a",)"
                    R"( "model_b": "b", "winner": "c"})"),
              HasSubstr("neither a, b nor tie"));
}

TEST_F(Pool, TakesScoreTablesAndGivesThemBack) {
  ScoreBuilder builder;
  const Task loss = builder.task("loss");
  builder.info(loss).higher_is_better = false;
  builder.add(builder.system("m"), loss, builder.instance("1"), 0.5);
  builder.add(builder.system("n"), loss, builder.instance("1"), 0.25);
  const ScoreTable table = builder.finish("test");
  SamplePool pool = create();
  EXPECT_EQ(import_scores(pool, table, "here").measurements, 2);
  EXPECT_EQ(import_scores(pool, table, "here").known, 2);
  const ScoreTable again = pool.scores(all_samples(pool));
  EXPECT_EQ(again.values, table.values);
  EXPECT_FALSE(again.task_infos[0].higher_is_better);
}

TEST_F(Pool, FiltersAreConditionsInConjunction) {
  PoolEntry entry;
  entry.occurrences = {{"mmlu", "q1"}, {"helm", "x"}};
  entry.question = "What is an Alk\xc3\xa4ne?";
  entry.tags = {"chemistry", "hard"};
  entry.fields = {{"year", "2021"}, {"meta.level", "3"}};
  const auto met = [&](const char* filter) { return matches(entry, parse_pool_filter(filter)); };
  EXPECT_TRUE(met("tag.eq.hard"));
  EXPECT_FALSE(met("tag.eq.easy"));
  EXPECT_TRUE(met("tag.ne.easy"));
  EXPECT_FALSE(met("tag.ne.hard"));  // one of them is
  EXPECT_TRUE(met("dataset.eq.helm"));
  EXPECT_TRUE(met("year.eq.2021.0"));  // the same number
  EXPECT_TRUE(met("year.gt.2020"));
  EXPECT_FALSE(met("year.gt.2021"));
  EXPECT_TRUE(met("year.ge.2021"));
  EXPECT_TRUE(met("year.lt.2021.5"));
  EXPECT_TRUE(met("year.le.2021"));
  EXPECT_TRUE(met("meta.level.eq.3"));
  EXPECT_TRUE(met("question.contains.alk"));
  EXPECT_FALSE(met("question.contains.benzene"));
  EXPECT_TRUE(met("question.len.18"));  // characters, not bytes
  EXPECT_TRUE(met("question.len.ge.10"));
  EXPECT_FALSE(met("question.len.lt.10"));
  EXPECT_FALSE(met("missing.eq.1"));
  EXPECT_TRUE(met("missing.ne.1"));
  EXPECT_FALSE(met("tag.gt.1"));  // no numbers
  for (const char* bad : {"", "tag", "tag.eq", "tag.is.x", ".eq.x", "year.gt.old", "year.len.x",
                          "year.gt.inf", "a.b.c"}) {
    EXPECT_THROW(parse_pool_filter(bad), InputError) << bad;
  }
  EXPECT_THROW(parse_pool_filter(std::string(5000, 'a') + ".eq.1"), InputError);
}

class Capabilities : public Pool {
 protected:
  void fill(SamplePool& pool) {
    pool.add_metric({.name = "accuracy", .kind = ScoreKind::binary});
    for (int i = 0; i < 10; ++i) {
      const bool chemistry = i < 5;
      const std::string name = fmt::to_string(i);
      pool.add_sample(
          {.dataset = "d",
           .name = name,
           .question = chemistry ? fmt::format("a question of organic chemistry, number {}", name)
                                 : fmt::format("who painted picture {}", name),
           .answer = i % 2 == 0 ? "yes indeed" : "no",
           .tags = {chemistry ? "chemistry" : "art"},
           .embedder = "mine",
           .embedding = {chemistry ? 1.0F : 0.0F,
                         chemistry ? 0.1F * static_cast<float>(i) : 2.0F}});
      // "chemist" is good at chemistry, "artist" at art, "half" at half of either.
      pool.add_measurement({"chemist", "d", name, "accuracy", "",
                            chemistry ? 1.0
                            : i == 9  ? 1.0
                                      : 0.0});
      pool.add_measurement({"artist", "d", name, "accuracy", "", chemistry && i != 0 ? 0.0 : 1.0});
      pool.add_measurement({"half", "d", name, "accuracy", "", i % 2 == 0 ? 1.0 : 0.0});
    }
  }
  language::HashedTextEmbedder embedder_;
};

TEST_F(Capabilities, AreFoundByFiltersSimilarityOrVectors) {
  SamplePool pool = create();
  fill(pool);
  const std::vector<PoolEntry> entries = pool.entries();
  const auto ids = [&](const PoolQuery& query) {
    std::vector<std::size_t> found;
    for (const SelectedSample& one : select_samples(pool, entries, query, embedder_)) {
      found.push_back(one.entry);
    }
    std::ranges::sort(found);
    return found;
  };
  EXPECT_EQ(ids({}).size(), 10);
  EXPECT_THAT(ids({.filters = {parse_pool_filter("tag.eq.chemistry")}}),
              ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(ids({.question = "organic chemistry", .top = 5}), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(ids({.question = "organic chemistry", .similarity = 0.3}),
              ElementsAre(0, 1, 2, 3, 4));
  // Questions and answers intersect.
  EXPECT_THAT(ids({.question = "organic chemistry", .answer = "indeed", .similarity = 0.3}),
              ElementsAre(0, 2, 4));
  // Filters come first: of the art, the most similar.
  EXPECT_THAT(ids({.filters = {parse_pool_filter("tag.eq.art")},
                   .question = "who painted picture 7",
                   .top = 1}),
              ElementsAre(7));
  EXPECT_THAT(ids({.vector = {1, 0}, .embedder = "mine", .top = 2}), ElementsAre(0, 1));
  EXPECT_THAT(error_of([&] { ids({.filters = {parse_pool_filter("tag.eq.law")}}); }),
              HasSubstr("none of 10 samples"));
  EXPECT_THAT(error_of([&] { ids({.question = "zzzz", .similarity = 0.99}); }),
              HasSubstr("none is similar enough"));
  EXPECT_THAT(error_of([&] {
                ids({.vector = {1, 0, 0}, .embedder = "mine"});
              }),
              HasSubstr("have 2"));
  EXPECT_THAT(error_of([&] {
                ids({.vector = {1, 0}, .embedder = "other"});
              }),
              HasSubstr("no vectors by 'other'"));
}

TEST_F(Capabilities, AreRankedByTheirOwnSamples) {
  SamplePool pool = create();
  fill(pool);
  const std::vector<PoolEntry> entries = pool.entries();
  const auto rank = [&](const std::string& tag, const char* method) {
    const PoolQuery query{.filters = {parse_pool_filter("tag.eq." + tag)}};
    return rank_pool(pool, entries, select_samples(pool, entries, query, embedder_),
                     {.method = method});
  };
  const auto best = [](const PoolRanking& found) {
    return std::string(found.table.systems[order_of(found.ranks).front()]);
  };
  for (const char* method : {"mean", "borda", "bradley-terry"}) {
    EXPECT_EQ(best(rank("art", method)), "artist") << method;
  }
  const PoolRanking chemistry = rank("chemistry", "mean");
  EXPECT_EQ(best(chemistry), "chemist");
  // Samples 0 to 4: chemist right on all, artist on 0, half on 0, 2, 4. Chemist beats artist on
  // 4 and half on 2; half beats artist on 2 and 4.
  EXPECT_EQ(chemistry.strict_comparisons, 4 + 2 + 2);
  EXPECT_EQ(chemistry.ties, 3 * 5 - 8);
  EXPECT_LT(chemistry.tau_to_all, 1);
  EXPECT_EQ(
      rank_pool(pool, entries, select_samples(pool, entries, {}, embedder_), {.method = "mean"})
          .tau_to_all,
      1);
}

TEST(AveragePrecision, IsTheMeanPrecisionAtRelevantPlaces) {
  // Relevant at places 1 and 3 of 3 relevant ones: (1 + 2/3) / 3.
  EXPECT_NEAR(average_precision(std::vector<char>{1, 0, 1}, 3), 5.0 / 9, 1e-12);
  EXPECT_EQ(average_precision(std::vector<char>{1, 1}, 2), 1);
}

TEST(QueryQuality, CountsRelevantSamplesThatWereNotFound) {
  std::vector<PoolEntry> entries(5);
  for (const std::size_t i : {0U, 2U, 4U}) entries[i].tags = {"chemistry"};
  const PoolFilter relevant = parse_pool_filter("tag.eq.chemistry");
  const std::vector<SelectedSample> selected{{2, 0.9}, {1, 0.8}, {0, 0.7}};
  const QueryQuality quality = query_quality(entries, selected, relevant);
  EXPECT_EQ(quality.relevant, 3U);
  EXPECT_EQ(quality.selected, 3U);
  EXPECT_EQ(quality.found, 2U);
  EXPECT_NEAR(quality.average_precision, (1.0 + 2.0 / 3) / 3, 1e-12);
  EXPECT_TRUE(std::isnan(
      query_quality(entries, selected, parse_pool_filter("tag.eq.art")).average_precision));
}

}  // namespace
}  // namespace amalgam::scores
