#include "amalgam/scores/studies/table_requests.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/studies/table_encoders.hpp"
#include "amalgam/scores/studies/table_study.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<RelationalTable> two_tables() {
  RelationalTable first{.name = "first", .header = {"city", "price"}, .cells = {}};
  for (int r = 0; r < 12; ++r) {
    first.cells.push_back(fmt::format("city{}", r % 4));
    first.cells.push_back(fmt::to_string(r % 5));
  }
  RelationalTable second{.name = "second", .header = {"town", "cost"}, .cells = first.cells};
  second.cells[0] = "elsewhere";
  return {first, second};
}

TableStudyOptions few() {
  TableStudyOptions options;
  options.permutations = 5;
  options.samples = 5;
  options.neighbours = {3};
  options.resamples = 20;
  return options;
}

// What another model would answer, one vector after the other.
void append(Embeddings& all, const Embeddings& more) {
  all.rows += more.rows;
  all.dimension = more.rows > 0 ? more.dimension : all.dimension;
  all.values.insert(all.values.end(), more.values.begin(), more.values.end());
}

GivenVectors answer(const std::vector<TableRequest>& requests) {
  const HashedTableEmbedder model({.positional = true});
  GivenVectors vectors;
  for (const TableRequest& request : requests) {
    const TableEmbedding one = embed_tables(model, {&request.table, 1}, request.levels).front();
    append(vectors.columns, one.columns);
    append(vectors.rows, one.rows);
    append(vectors.tables, one.table);
    append(vectors.cells, one.cells);
  }
  return vectors;
}

TEST(TableRequests, AnsweredByAModelGiveTheStudyOfThatModel) {
  const auto tables = two_tables();
  const HashedTableEmbedder model({.positional = true});
  const HashedTableEmbedder bag;
  TableStudy study{.tables = tables,
                   .against = {&bag},
                   .renamings = common_renamings(),
                   .types = types_by_name(tables),
                   .properties = {}};
  const TableRecorder recorder(model.levels());
  study.embedder = &recorder;
  study_tables(study, few());
  const GivenTableEmbedder given(recorder.requests(), answer(recorder.requests()), "given");
  study.embedder = &given;
  const auto by_files = study_tables(study, few());
  study.embedder = &model;
  const auto directly = study_tables(study, few());
  ASSERT_EQ(by_files.size(), 8U);
  for (std::size_t p = 0; p < by_files.size(); ++p) {
    ASSERT_EQ(by_files[p].measures.size(), directly[p].measures.size());
    for (std::size_t m = 0; m < by_files[p].measures.size(); ++m) {
      // As texts, in which undefined values are equal.
      EXPECT_EQ(::testing::PrintToString(by_files[p].measures[m].values),
                ::testing::PrintToString(directly[p].measures[m].values))
          << by_files[p].measures[m].name;
    }
    EXPECT_EQ(::testing::PrintToString(by_files[p].figures),
              ::testing::PrintToString(directly[p].figures));
  }
}

TEST(TableRequests, AskForEachTableOnceAndOnlyForTheLevelsThatThereAre) {
  const auto tables = two_tables();
  const TableRecorder recorder({.columns = true});
  row_order_property(recorder, tables, few());
  EXPECT_EQ(recorder.requests().size(), 2U * 6);
  sample_property(recorder, tables, few());
  EXPECT_EQ(recorder.requests().size(), 2U * 6 + 2U * 3 * 5);  // the originals are known
  EXPECT_FALSE(recorder.requests()[0].levels.rows);
  TableStudy study{.tables = tables,
                   .embedder = &recorder,
                   .against = {},
                   .renamings = {},
                   .types = {},
                   .properties = {"P4", "P6"}};
  const auto found = study_tables(study, few());
  EXPECT_THAT(found[0].notes, ElementsAre("there are no vectors of cells"));
  EXPECT_THAT(found[1].notes, ElementsAre("there are no vectors of cells"));
}

TEST(TableRequests, RefuseVectorsThatDoNotFit) {
  const auto tables = two_tables();
  const TableRecorder recorder({.columns = true});
  sample_property(recorder, tables, few());
  GivenVectors vectors = answer(recorder.requests());
  const GivenTableEmbedder given(recorder.requests(), vectors, "given");
  TableStudyOptions other = few();
  other.seed = 5;
  EXPECT_THAT(error_of([&] { sample_property(given, tables, other); }),
              HasSubstr("were they made with other options?"));
  vectors.columns.rows -= 1;
  vectors.columns.values.resize(vectors.columns.rows * vectors.columns.dimension);
  EXPECT_THAT(error_of([&] { GivenTableEmbedder(recorder.requests(), vectors, "given"); }),
              HasSubstr("63 vectors of columns; the tables to be embedded have 64"));
  EXPECT_THAT(error_of([&] { GivenTableEmbedder(recorder.requests(), {}, "given"); }),
              HasSubstr("no vectors"));
}

TEST(TableRequests, AreWrittenAsLines) {
  const TemporaryFolder folder;
  const auto path = folder / "requests.jsonl";
  write_table_requests(path, {{{.name = "t", .header = {"a", "b"}, .cells = {"1", "x\"y", "", "2"}},
                               {.columns = true, .cells = true}}});
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, R"({"table":"t","levels":["columns","cells"],"header":["a","b"],)"
                  R"("rows":[["1","x\"y"],["","2"]]})");
}

TEST(StudyTables, RefusesUnknownProperties) {
  EXPECT_THROW(check_property_name("P9"), InputError);
  EXPECT_NO_THROW(check_property_name("P8"));
}

}  // namespace
}  // namespace amalgam::scores
