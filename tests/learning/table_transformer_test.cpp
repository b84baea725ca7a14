#include "amalgam/scores/learned/table_transformer.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/learning/trainer.hpp"
#include "amalgam/scores/studies/table_measures.hpp"

namespace amalgam::scores::learned {
namespace {

// The second column follows from the first.
std::vector<RelationalTable> rhyming_tables() {
  std::vector<RelationalTable> tables;
  for (std::uint64_t t = 0; t < 4; ++t) {
    RandomStream random(t, "rhymes");
    RelationalTable table{.name = fmt::format("t{}", t), .header = {"word", "rhyme"}, .cells = {}};
    for (int r = 0; r < 6; ++r) {
      const std::uint64_t word = random.below(3);
      table.cells.push_back(fmt::format("word{}", word));
      table.cells.push_back(fmt::format("rhyme{}", word));
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

TableTransformerOptions small() {
  return {.width = 16,
          .heads = 2,
          .vocabulary = 64,
          .most_tokens = 32,
          .steps = 60,
          .batch = 4,
          .learning_rate = 5e-3,
          .seed = 1};
}

TEST(TableTransformer, LearnsToFillInCells) {
  learning::set_threads(1);
  TableTransformerOptions options = small();
  options.steps = 300;
  double first = 0;
  const TableTransformer trained(rhyming_tables(), options, [&](std::size_t step, double loss) {
    if (step == 1) first = loss;
  });
  // Of 60 tokens by chance: ln 60 = 4.1; of the three of a column ln 3 = 1.1, and less is only
  // possible by looking at the rest of the row.
  EXPECT_GT(first, 2);
  EXPECT_LT(trained.final_loss(), 0.9);
}

TEST(TableTransformer, IsTheSameForEqualSeedsAndSeesOrder) {
  learning::set_threads(1);
  const auto tables = rhyming_tables();
  const TableTransformer one(tables, small());
  const TableTransformer same(tables, small());
  const TableLevels all{.columns = true, .rows = true, .table = true, .cells = true};
  const auto of_one = embed_tables(one, tables, all);
  EXPECT_EQ(of_one[2].columns.values, embed_tables(same, tables, all)[2].columns.values);
  EXPECT_EQ(of_one[0].rows.rows, 6U);
  EXPECT_EQ(of_one[0].cells.rows, 12U);
  EXPECT_EQ(of_one[0].table.rows, 1U);
  const std::vector<std::size_t> reversed{1, 0};
  const RelationalTable turned = with_columns(tables[0], reversed);
  const auto of_turned = embed_tables(one, {&turned, 1}, all);
  EXPECT_LT(cosine(of_one[0].columns.row(0), of_turned[0].columns.row(1)), 0.9999);
}

TEST(TableTransformer, LeavesOutRowsThatDoNotFitAndRefusesLongTables) {
  learning::set_threads(1);
  TableTransformerOptions options = small();
  options.most_tokens = 11;  // 2 columns of [CLS], a name and r words, and [SEP]: r = 3
  options.steps = 2;
  const auto tables = rhyming_tables();
  const TableTransformer trained(tables, options);
  EXPECT_EQ(fitting_rows(trained, tables[0]), 3U);
  EXPECT_THROW(trained.embed(tables, {.columns = true}), InputError);
  options.most_tokens = 5;
  EXPECT_THROW(TableTransformer(tables, options), InputError);
  options = small();
  options.heads = 3;
  EXPECT_THROW(TableTransformer(tables, options), InputError);
}

}  // namespace
}  // namespace amalgam::scores::learned
