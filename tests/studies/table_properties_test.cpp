#include "amalgam/scores/studies/table_properties.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/scores/studies/table_encoders.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Names of columns differ, so that only P8's own list of types makes types.
RelationalTable words_table(const std::string& name, std::size_t rows, std::uint64_t seed) {
  RandomStream random(seed, "words");
  RelationalTable table{.name = name, .header = {"city", "colour", "price"}, .cells = {}};
  for (std::size_t r = 0; r < rows; ++r) {
    table.cells.push_back(fmt::format("city{}", random.below(6)));
    table.cells.push_back(fmt::format("colour{}", random.below(8)));
    table.cells.push_back(fmt::to_string(random.below(50)));
  }
  return table;
}

std::vector<RelationalTable> some_tables(std::size_t count = 4, std::size_t rows = 12) {
  std::vector<RelationalTable> tables;
  for (std::size_t t = 0; t < count; ++t) {
    tables.push_back(words_table(fmt::format("table{}", t), rows, t));
  }
  return tables;
}

TableStudyOptions quick_options() {
  TableStudyOptions options;
  options.permutations = 50;
  options.samples = 50;
  options.neighbours = {5};
  options.queries = 50;
  options.resamples = 100;
  return options;
}

const TableMeasure& measure(const TableProperty& property, const std::string& name) {
  for (const TableMeasure& one : property.measures) {
    if (one.name == name) return one;
  }
  throw Error("no measure '{}'", name);
}

double mean(const TableProperty& property, const std::string& name) {
  return summarise(measure(property, name), 0, 0).mean;
}

const HashedTableEmbedder& bag() {
  static const HashedTableEmbedder kBag;
  return kBag;
}
const HashedTableEmbedder& positional() {
  static const HashedTableEmbedder kPositional({.positional = true});
  return kPositional;
}

// A model with a limit, whose cells say what they are and nothing else.
class ShortEmbedder final : public TableEmbedder {
 public:
  explicit ShortEmbedder(std::size_t most) : most_(most) {}
  const std::string& name() const override { return inner_.name(); }
  std::size_t dimension() const override { return inner_.dimension(); }
  std::size_t most_tokens() const override { return most_; }
  std::size_t tokens(const RelationalTable& table) const override { return inner_.tokens(table); }
  std::vector<TableEmbedding> embed(std::span<const RelationalTable> tables,
                                    const TableLevels& levels) const override {
    for (const RelationalTable& table : tables) {
      if (tokens(table) > most_) throw Error("{} tokens", tokens(table));
    }
    return inner_.embed(tables, levels);
  }

 private:
  HashedTableEmbedder inner_;
  std::size_t most_;
};

TEST(UnaryDependencies, HoldWhereEveryXHasOneY) {
  const auto of = [](std::vector<std::string> cells) {
    return unary_dependencies({.name = "t", .header = {"x", "y"}, .cells = std::move(cells)});
  };
  const Dependency forth{0, 1};
  const Dependency back{1, 0};
  EXPECT_THAT(of({"1", "a", "1", "a", "2", "b"}), ElementsAre(forth, back));
  EXPECT_THAT(of({"1", "a", "1", "b", "2", "b"}), ElementsAre());
  EXPECT_THAT(of({"1", "a", "2", "a", "3", "b"}), ElementsAre(forth));
  // Null tells nothing: the second row does not break it.
  EXPECT_THAT(of({"1", "a", "1", "", "2", "a"}), ElementsAre(forth));
}

TEST(FittingRows, IsTheMostThatFits) {
  // Each column: [CLS], its name and one token per row; at the end [SEP]: 3 (2 + r) + 1.
  const RelationalTable table = words_table("t", 12, 1);
  EXPECT_EQ(fitting_rows(ShortEmbedder(3 * 7 + 1), table), 5);
  EXPECT_EQ(fitting_rows(ShortEmbedder(3 * 8), table), 5);
  EXPECT_EQ(fitting_rows(ShortEmbedder(1000), table), 12);
  EXPECT_EQ(fitting_rows(ShortEmbedder(3), table), 0);
}

TEST(Serialise, GoesColumnByColumn) {
  const SerialisedTable found =
      serialise({.name = "t", .header = {"City name", "x"}, .cells = {"New York", "1", "", "2"}});
  EXPECT_THAT(found.tokens,
              ElementsAre("[CLS]", "city", "name", "new", "york", "[CLS]", "x", "1", "2", "[SEP]"));
  EXPECT_EQ(found.columns[4], 0);
  EXPECT_EQ(found.rows[4], 0);
  EXPECT_EQ(found.rows[8], 1);
  EXPECT_EQ(found.rows[6], SerialisedTable::none);
}

TEST(RowOrder, IsNothingToABagAndSomethingToPositions) {
  const auto tables = some_tables();
  const TableProperty of_bag = row_order_property(bag(), tables, quick_options());
  for (const char* what : {"columns", "rows", "table"}) {
    EXPECT_NEAR(mean(of_bag, std::string("cosine, ") + what), 1, 1e-6) << what;
    EXPECT_LT(mean(of_bag, std::string("variation, ") + what), 1e-6) << what;
  }
  const TableProperty found = row_order_property(positional(), tables, quick_options());
  EXPECT_LT(mean(found, "cosine, columns"), 0.999);
  EXPECT_GT(mean(found, "variation, columns"), 0.005);
  EXPECT_EQ(found.cosines.at("columns").count(), 4 * 3 * 50);
}

TEST(ColumnOrder, IsNothingToABagAndSomethingToPositions) {
  const auto tables = some_tables();
  EXPECT_NEAR(mean(column_order_property(bag(), tables, quick_options()), "cosine, table"), 1,
              1e-6);
  const TableProperty found = column_order_property(positional(), tables, quick_options());
  EXPECT_LT(mean(found, "cosine, table"), 0.999);
  EXPECT_EQ(found.cosines.at("table").count(), 4 * 5);  // 3! - 1 other orders
}

TEST(RowOrder, RowsAreFollowedToTheirNewPlaces) {
  // Cells do not depend on their place, so rows that are followed rightly do not change.
  const TableProperty found = row_order_property(bag(), some_tables(1), quick_options());
  for (const double value : measure(found, "cosine, rows").values[0]) EXPECT_NEAR(value, 1, 1e-6);
}

TEST(RowOrder, MoreThanFitsIntoMemoryIsRefused) {
  const HashedTableEmbedder wide({.dimension = 65536});
  TableStudyOptions options = quick_options();
  options.permutations = 1500;  // the columns alone are too much
  EXPECT_THAT(error_of([&] { row_order_property(wide, some_tables(1, 50), options); }),
              HasSubstr("do not fit into memory"));
}

TEST(RowOrder, OfOneRowIsNotApplicable) {
  const TableProperty found = row_order_property(bag(), some_tables(2, 1), quick_options());
  EXPECT_EQ(summarise(measure(found, "cosine, columns"), 0, 0).tables, 0);
  EXPECT_THAT(found.notes, ElementsAre(HasSubstr("no other order"), HasSubstr("table1")));
}

TEST(RowOrder, TruncatesFirstSoThatAllVariantsHaveTheSameRows) {
  // The embedder fails for longer tables, and bags of other rows would differ.
  const TableProperty found =
      row_order_property(ShortEmbedder(25), some_tables(2), quick_options());
  EXPECT_NEAR(mean(found, "cosine, columns"), 1, 1e-6);
}

TEST(Samples, AreTheMoreFaithfulTheLargerTheyAre) {
  const TableProperty found = sample_property(bag(), some_tables(), quick_options());
  const double quarter = mean(found, "cosine, columns, 0.25 of rows");
  const double half = mean(found, "cosine, columns, 0.5 of rows");
  const double most = mean(found, "cosine, columns, 0.75 of rows");
  EXPECT_LT(quarter, half);
  EXPECT_LT(half, most);
  EXPECT_LT(most, 1);
}

TEST(Joins, BagsAreNearWhereColumnsOverlap) {
  // Columns of 30 values, s of which are those of the first table's.
  std::vector<RelationalTable> tables;
  for (std::size_t t = 0; t <= 10; ++t) {
    RelationalTable table{.name = fmt::format("t{}", t), .header = {"v"}, .cells = {}};
    for (std::size_t r = 0; r < 30; ++r) {
      table.cells.push_back(r < 3 * t ? fmt::format("common{}", r)
                                      : fmt::format("own{}of{}", r, t));
    }
    tables.push_back(std::move(table));
  }
  TableStudyOptions options = quick_options();
  options.seed = 3;
  // Chance products of tokens are small in many dimensions.
  const HashedTableEmbedder wide({.dimension = 1024});
  const TableProperty found = join_property(wide, tables, options);
  EXPECT_GT(found.figures.at("Spearman, jaccard"), 0.8);
  EXPECT_EQ(found.figures.at("pairs"), 55);
  // One is a monotone function of the other.
  EXPECT_NEAR(found.figures.at("Spearman, multiset jaccard"),
              found.figures.at("Spearman, weighted jaccard"), 1e-12);
  // A bag does not see the order of rows.
  EXPECT_NEAR(found.figures.at("Spearman, jaccard, rows shuffled"),
              found.figures.at("Spearman, jaccard"), 1e-3);
  EXPECT_GT(found.intervals.at("Spearman, jaccard").low, 0.5);
}

TEST(Joins, LongTablesAreEmbeddedInPieces) {
  const TableProperty found = join_property(ShortEmbedder(25), some_tables(), quick_options());
  EXPECT_EQ(found.figures.at("pairs"), 6 * 9);
  EXPECT_GT(found.figures.at("Spearman, jaccard"), 0.5);
}

TEST(Joins, OfManyPairsSomeAreDrawn) {
  const auto tables = some_tables(8);  // 28 pairs of tables, 9 pairs of columns each
  TableStudyOptions options = quick_options();
  options.resamples = 0;
  for (const std::size_t most : {10U, 100U, 252U, 1000U}) {
    options.most_pairs = most;
    const TableProperty found = join_property(bag(), tables, options);
    EXPECT_EQ(found.figures.at("pairs"), std::min<std::size_t>(most, 252));
  }
}

RelationalTable dependent_table(std::uint64_t seed) {
  RandomStream random(seed, "cities");
  RelationalTable table{.name = "d", .header = {"city", "country", "noise"}, .cells = {}};
  for (std::size_t r = 0; r < 20; ++r) {
    const std::uint64_t city = random.below(6);
    table.cells.push_back(fmt::format("city{}", city));
    table.cells.push_back(fmt::format("country{}", city / 2));
    table.cells.push_back(fmt::format("noise{}", random.below(4)));
  }
  return table;
}

TEST(Dependencies, CellsWithoutContextAreConstantWithinGroups) {
  const std::vector tables{dependent_table(1), dependent_table(2)};
  const TableProperty found = dependency_property(bag(), tables, quick_options());
  EXPECT_EQ(summarise(measure(found, "S2, dependencies"), 0, 0).greatest, 0);
  EXPECT_EQ(summarise(measure(found, "S2, dependencies"), 0, 0).tables, 2);
}

TEST(Dependencies, ContextSpreadsCellsOfEqualValues) {
  const std::vector tables{dependent_table(1), dependent_table(2), dependent_table(3)};
  const TableProperty found = dependency_property(positional(), tables, quick_options());
  EXPECT_GT(summarise(measure(found, "S2, dependencies"), 0, 0).mean, 0);
  EXPECT_TRUE(std::isfinite(found.figures.at("ratio of S2")));
  const Interval interval = found.intervals.at("ratio of S2");
  EXPECT_LE(interval.low, found.figures.at("ratio of S2"));
  EXPECT_GE(interval.high, found.figures.at("ratio of S2"));
}

TEST(Dependencies, ShortTablesAndKeysAreNotApplicable) {
  RelationalTable keys{.name = "keys", .header = {"k", "v"}, .cells = {}};
  for (std::size_t r = 0; r < 12; ++r) {
    keys.cells.push_back(fmt::format("k{}", r));
    keys.cells.push_back(fmt::format("v{}", r % 2));
  }
  const std::vector tables{keys, with_leading_rows(keys, 5)};
  const TableProperty found = dependency_property(bag(), tables, quick_options());
  EXPECT_THAT(found.notes, ElementsAre(HasSubstr("1 on keys"), HasSubstr("5 rows")));
  EXPECT_TRUE(std::isnan(found.figures.at("ratio of S2")));
}

TEST(Entities, AnEmbedderAgreesWithItselfAndLittleWithAnother) {
  const auto tables = some_tables();
  const HashedTableEmbedder other({.seed = 9});
  const TableProperty self = entity_property(bag(), bag(), tables, quick_options());
  EXPECT_EQ(mean(self, "common neighbours, k = 5"), 1);
  EXPECT_EQ(mean(self, "common entities, k = 5"), 1);
  TableStudyOptions options = quick_options();
  options.neighbours = {40};
  EXPECT_LT(mean(entity_property(bag(), other, tables, options), "common neighbours, k = 40"), 0.9);
  options.neighbours = {5, 5000};
  EXPECT_THAT(entity_property(bag(), other, tables, options).notes,
              ElementsAre(HasSubstr("5000 neighbours")));
}

TEST(Renamings, MoveTheRenamedColumnAlone) {
  const TableProperty found =
      renaming_property(bag(), some_tables(), common_renamings(), quick_options());
  // "price" becomes "cost": one token of thirteen.
  EXPECT_GT(mean(found, "cosine, renamed columns (synonym)"), 0.8);
  EXPECT_LT(mean(found, "cosine, renamed columns (synonym)"), 1 - 1e-4);
  EXPECT_NEAR(mean(found, "cosine, other columns (synonym)"), 1, 1e-6);
}

TEST(Renamings, AreReadFromATable) {
  const TemporaryFolder folder;
  const auto path = folder.write("renamings.csv", "kind,from,to\nsynonym,City,town\n");
  const auto renamings = read_renamings(path);
  ASSERT_EQ(renamings.size(), 1);
  EXPECT_EQ(renamings[0].from, "city");
  folder.write("renamings.csv", "kind,from,to\nsynonym,City,\n");
  EXPECT_THAT(error_of([&] { read_renamings(path); }), HasSubstr("renamings.csv:2"));
}

TEST(Context, TypesOfDisjointWordsAreClusteredPurely) {
  const auto tables = some_tables(12);
  const TableProperty found =
      context_property(bag(), tables, types_by_name(tables), quick_options());
  EXPECT_EQ(found.figures.at("types"), 3);
  EXPECT_EQ(found.figures.at("columns of known type"), 36);
  EXPECT_GE(found.figures.at("purity, alone"), 0.9);
  // A bag's columns have no context.
  EXPECT_NEAR(mean(found, "cosine, whole table to alone"), 1, 1e-6);
  EXPECT_NEAR(found.figures.at("purity, whole table"), found.figures.at("purity, alone"), 1e-12);
  EXPECT_LT(mean(context_property(positional(), tables, types_by_name(tables), quick_options()),
                 "cosine, whole table to alone"),
            0.9999);
}

TEST(Context, WithoutTypesThereAreNoClusters) {
  const auto tables = some_tables(1);
  const TableProperty found =
      context_property(bag(), tables, types_by_name(tables), quick_options());
  EXPECT_EQ(found.figures.count("purity, alone"), 0);
  EXPECT_EQ(found.notes.size(), 4);
}

TEST(Context, TypesAreReadFromATableAndMustFit) {
  const auto tables = some_tables(2);
  const TemporaryFolder folder;
  const auto path = folder.write("types.csv", "table,column,type\ntable1,price,money\n");
  EXPECT_EQ(read_column_types(path, tables).types[1][2], "money");
  folder.write("types.csv", "table,column,type\ntable1,prise,money\n");
  EXPECT_THAT(error_of([&] { read_column_types(path, tables); }),
              HasSubstr("did you mean 'price'?"));
}

TEST(Studies, AreTheSameForAnyNumberOfThreads) {
  const auto tables = some_tables();
  TableStudyOptions threads = quick_options();
  threads.parallel.threads = 3;
  const TableProperty one = row_order_property(positional(), tables, quick_options());
  const TableProperty three = row_order_property(positional(), tables, threads);
  for (std::size_t m = 0; m < one.measures.size(); ++m) {
    EXPECT_EQ(one.measures[m].values, three.measures[m].values);
  }
}

TEST(Studies, ConstantEmbeddingsAreNotTakenForPerfect) {
  // What returns the same vector for everything has cosine 1 and variation 0 everywhere, and fails
  // wherever something should differ: larger samples are not more faithful, joins not nearer.
  class Constant final : public TableEmbedder {
   public:
    const std::string& name() const override { return name_; }
    std::size_t dimension() const override { return 2; }
    std::size_t tokens(const RelationalTable&) const override { return 0; }
    std::vector<TableEmbedding> embed(std::span<const RelationalTable> tables,
                                      const TableLevels&) const override {
      std::vector<TableEmbedding> all;
      for (const RelationalTable& table : tables) {
        TableEmbedding one;
        one.columns = Embeddings(table.columns(), 2);
        one.columns.values.assign(one.columns.values.size(), 1.0F);
        all.push_back(one);
      }
      return all;
    }

   private:
    std::string name_ = "constant";
  };
  const auto tables = some_tables();
  const TableProperty joins = join_property(Constant(), tables, quick_options());
  EXPECT_TRUE(std::isnan(joins.figures.at("Spearman, jaccard")));
  EXPECT_THAT(joins.notes, ElementsAre(HasSubstr("no correlation")));
}

TEST(Studies, EmbeddersThatReturnTheWrongNumberOfVectorsAreRefused) {
  class Wrong final : public TableEmbedder {
   public:
    const std::string& name() const override { return name_; }
    std::size_t dimension() const override { return 2; }
    std::size_t tokens(const RelationalTable&) const override { return 0; }
    std::vector<TableEmbedding> embed(std::span<const RelationalTable> tables,
                                      const TableLevels&) const override {
      std::vector<TableEmbedding> all(tables.size());
      for (TableEmbedding& one : all) one.columns = Embeddings(1, 2);
      return all;
    }

   private:
    std::string name_ = "wrong";
  };
  EXPECT_THAT(error_of([] { sample_property(Wrong(), some_tables(), quick_options()); }),
              HasSubstr("1 vectors of 2 numbers for its columns; expected 3 of 2"));
}

TEST(Summarise, MeansOfTablesCountTheSame) {
  const TableMeasure measure{"m", {{1, 1, 1, 1}, {3}, {std::nan("")}, {}}};
  const MeasureSummary found = summarise(measure, 100, 0);
  EXPECT_EQ(found.tables, 2);
  EXPECT_EQ(found.values, 5);
  EXPECT_EQ(found.undefined, 1);
  EXPECT_NEAR(found.mean, 2, 1e-12);
  EXPECT_NEAR(found.pooled_mean, 1.4, 1e-12);
  EXPECT_EQ(found.quartiles[1], 1);
  EXPECT_EQ(found.greatest, 3);
  EXPECT_EQ(found.interval->low, 1);
  EXPECT_EQ(found.interval->high, 3);
}

}  // namespace
}  // namespace amalgam::scores
