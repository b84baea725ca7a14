#include "amalgam/scores/files/ranking_file.hpp"

#include <cmath>

#include "tests/scores/score_files_fixture.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class RankingFiles : public ScoreFilesTest {};

TEST_F(RankingFiles, ReadsWhatRankWritesAndTablesOfRanks) {
  const RankingFile json = read_ranking(write("a.json", R"({
    "method": "borda", "warnings": [],
    "ranking": [{"system": "x", "rank": 1, "score": 2.5, "rank_low": null},
                {"system": "y", "rank": 2, "score": -1},
                {"system": "z", "rank": 3, "score": null}], "certificate": null})"));
  EXPECT_EQ(json.method, "borda");
  EXPECT_THAT(json.systems, ElementsAre("x", "y"));
  EXPECT_THAT(json.ranks, ElementsAre(1, 2));
  EXPECT_THAT(json.unranked, ElementsAre("z"));
  const RankingFile table = read_ranking(write("a.csv", "rank,system\n1.5,x\n1.5,y\n3,z\n"));
  EXPECT_EQ(table.method, "");
  EXPECT_THAT(table.systems, ElementsAre("x", "y", "z"));
  EXPECT_THAT(table.ranks, ElementsAre(1.5, 1.5, 3));
  // What --out writes of a system of which nothing is known.
  const RankingFile out = read_ranking(write("b.csv", "system,rank,score\nx,1,3\ny,2,1\nz,3,\n"));
  EXPECT_THAT(out.systems, ElementsAre("x", "y"));
  EXPECT_THAT(out.unranked, ElementsAre("z"));
}

// Being last in both without a score is no agreement.
TEST_F(RankingFiles, SystemsWithoutAScoreAreNotCompared) {
  const RankingFile first = read_ranking(write("a.csv", "system,rank,score\na,1,2\nb,2,1\nz,3,\n"));
  const RankingFile second =
      read_ranking(write("b.csv", "system,rank,score\nb,1,2\na,2,1\nz,3,0\n"));
  const RankingComparison found = compare_rankings(first, second);
  EXPECT_EQ(found.common, 2U);
  EXPECT_EQ(found.tau_b, -1);
  EXPECT_THAT(found.only_second, ElementsAre("z"));
}

TEST_F(RankingFiles, RefusesWhatIsNoRanking) {
  const auto refused = [&](const std::string& name, const std::string& text, const char* message) {
    EXPECT_THAT([&] { read_ranking(write(name, text)); },
                ThrowsMessage<InputError>(HasSubstr(message)));
  };
  refused("a.json", "{\"method\": \"m\"}", "it has no 'ranking'");
  refused("a.json", "[1]", "it has no 'ranking'");
  refused("a.json", "{\"ranking\": 3}", "it has no 'system' and 'rank'");
  refused("a.json", "{\"ranking\": [{\"system\": \"x\"}]}",
          "'ranking', item 1: it has no 'system'");
  refused("a.json", "{\"ranking\": [{\"system\": \"x\", \"rank\": 0}]}", "the rank of 'x' is 0");
  refused("a.json", "{\"ranking\": [{\"system\": \"x\", \"rank\": 1}]}", "it ranks 1 system");
  refused("a.csv", "system,rank\nx,1\nx,2\n", "a.csv:3:3: system 'x' is there a second time");
  refused("a.csv", "system,rank\nx,nan\ny,1\n", "expected a number of at least 1");
  refused("a.csv", "system,score\nx,1\n", "it has no column 'rank'");
}

// Of a b c d and b a d c: two of six pairs are discordant, so tau is (4 - 2) / 6, and the squared
// differences of ranks are four ones, 1 - 6 * 4 / (4 * 15). Agreements 0, 1, 2/3, 1.
TEST_F(RankingFiles, ComparesWorkedByHand) {
  const RankingFile first{"", {"a", "b", "c", "d"}, {1, 2, 3, 4}};
  const RankingFile second{"", {"d", "c", "b", "a"}, {3, 4, 1, 2}};
  const RankingComparison found = compare_rankings(first, second, {1, 2, 3, 9}, 0.5);
  EXPECT_EQ(found.common, 4U);
  EXPECT_DOUBLE_EQ(found.tau_a, 1.0 / 3);
  EXPECT_DOUBLE_EQ(found.tau_b, 1.0 / 3);
  EXPECT_DOUBLE_EQ(found.spearman, 0.6);
  EXPECT_EQ(found.distance, 2);
  EXPECT_EQ(found.largest_distance, 6);
  ASSERT_EQ(found.tops.size(), 3U);
  EXPECT_EQ(found.tops[0].overlap, 0);
  EXPECT_EQ(found.tops[1].overlap, 1);
  EXPECT_DOUBLE_EQ(found.tops[2].overlap, 2.0 / 3);
  EXPECT_DOUBLE_EQ(found.rank_biased_overlap,
                   0.5 * 0 + 0.25 * 1 + 0.125 * 2 / 3 + 0.0625 * 1 + 0.0625 * 1);
}

TEST_F(RankingFiles, ComparesCommonSystemsAndNamesTheOthers) {
  const RankingFile first{"", {"a", "x", "b", "c"}, {1, 2, 3, 4}};
  const RankingFile second{"", {"c", "b", "y", "a", "z"}, {1, 2, 3, 4, 5}};
  const RankingComparison found = compare_rankings(first, second);
  EXPECT_EQ(found.common, 3U);
  EXPECT_THAT(found.only_first, ElementsAre("x"));
  EXPECT_THAT(found.only_second, ElementsAre("y", "z"));
  EXPECT_EQ(found.tau_b, -1);
  EXPECT_EQ(found.distance, 3);
  ASSERT_EQ(found.moves.size(), 2U);
  EXPECT_EQ(found.moves[0].system, "a");
  EXPECT_EQ(found.moves[0].first, 1);
  EXPECT_EQ(found.moves[0].second, 3);
}

TEST_F(RankingFiles, IsUndefinedWhereAllAreTiedAndRefusesTooFewCommonSystems) {
  const RankingFile tied{"", {"a", "b"}, {1, 1}};
  const RankingFile ordered{"", {"a", "b"}, {1, 2}};
  const RankingComparison found = compare_rankings(tied, ordered);
  EXPECT_TRUE(std::isnan(found.tau_b));
  EXPECT_EQ(found.distance, 0.5);
  EXPECT_THAT(
      [&] {
        compare_rankings(tied, {"", {"b", "c"}, {1, 2}});
      },
      ThrowsMessage<InputError>(HasSubstr("1 system in common; expected at least 2")));
  EXPECT_THROW(compare_rankings(tied, ordered, {1}, 1.0), InputError);
}

}  // namespace
}  // namespace amalgam::scores
