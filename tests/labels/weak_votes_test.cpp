#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <cstring>
#include <sstream>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/weak/features.hpp"
#include "amalgam/labels/weak/fit_votes.hpp"
#include "amalgam/labels/weak/function_analysis.hpp"
#include "amalgam/labels/weak/vote_matrix.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A .npy file of the values, of type T.
template <class T>
std::string npy(const std::string& descr, const std::string& shape, const std::vector<T>& values,
                bool column_major = false) {
  std::string header = "{'descr': '" + descr +
                       "', 'fortran_order': " + (column_major ? "True" : "False") +
                       ", 'shape': " + shape + ", }";
  header.resize((header.size() + 10 + 64) / 64 * 64 - 10 - 1, ' ');
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() % 256);
  file += static_cast<char>(header.size() / 256);
  file += header;
  file.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  return file;
}

void expect_three_by_two(const AnnotationTable& table) {
  // Votes {{0, -1}, {2, 1}, {-1, -1}}.
  EXPECT_EQ(table.task_count(), 3U);
  EXPECT_EQ(table.worker_count(), 2U);
  EXPECT_EQ(table.label_count(), 3U);
  EXPECT_THAT(table.tasks, ElementsAre(0, 1, 1));
  EXPECT_THAT(table.workers, ElementsAre(0, 0, 1));
  EXPECT_THAT(table.labels, ElementsAre(0, 2, 1));
  EXPECT_THAT(table.task_begins, ElementsAre(0, 1, 3, 3));
}

TEST(ReadVoteMatrix, TakesArraysOfAnyNumberTypeAndOrder) {
  const TemporaryFolder folder;
  const std::vector<std::int8_t> bytes{0, -1, 2, 1, -1, -1};
  expect_three_by_two(read_vote_matrix(folder.write("a.npy", npy("|i1", "(3, 2)", bytes))));
  const std::vector<double> doubles{0, -1, 2, 1, -1, -1};
  expect_three_by_two(read_vote_matrix(folder.write("b.npy", npy("<f8", "(3, 2)", doubles))));
  const std::vector<std::int64_t> by_columns{0, 2, -1, -1, 1, -1};
  expect_three_by_two(
      read_vote_matrix(folder.write("c.npy", npy("<i8", "(3, 2)", by_columns, true))));
}

TEST(ReadVoteMatrix, NumbersItemsFromWhereItIsTold) {
  const TemporaryFolder folder;
  const std::vector<std::int8_t> bytes{0, 1, 1, 0};
  const VoteMatrixOptions options{.first_item = 98};
  const std::vector<std::filesystem::path> files{folder.write("a.npy", npy("|i1", "(2, 2)", bytes)),
                                                 folder.write("b.csv", "0,1\n1,0\n"),
                                                 folder.write("c.csv", "f,g\n0,1\n1,0\n")};
  for (const std::filesystem::path& file : files) {
    const AnnotationTable table = read_vote_matrix(file, options);
    ASSERT_EQ(table.task_count(), 2U);
    EXPECT_EQ(table.task_names[0], "98");
    EXPECT_EQ(table.task_names[1], "99");
    EXPECT_THAT(table.labels, ElementsAre(0, 1, 1, 0));
  }
}

TEST(ReadVoteMatrix, TakesCsvWithAndWithoutNames) {
  const TemporaryFolder folder;
  expect_three_by_two(read_vote_matrix(folder.write("a.csv", "0,-1\n2,1\n-1,-1\n")));
  expect_three_by_two(read_vote_matrix(folder.write("b.csv", "first,second\n0,\n2,1\n,-1\n")));
  const AnnotationTable named = read_vote_matrix(
      folder.write("c.csv", "about_sport,task,about_art\n0,x9,-1\n2,x10,1\n-1,y,-1\n"));
  EXPECT_EQ(named.task_names[0], "x10");  // texts in the order of their bytes
  EXPECT_EQ(named.worker_names[0], "about_art");
  EXPECT_EQ(named.rows(), 3U);
}

TEST(ReadVoteMatrix, HasAllClassesThatAreAskedFor) {
  const TemporaryFolder folder;
  const auto path = folder.write("a.csv", "0,1\n1,0\n");
  EXPECT_EQ(read_vote_matrix(path).label_count(), 2U);
  EXPECT_EQ(read_vote_matrix(path, {.classes = 12}).label_count(), 12U);
}

TEST(ReadVoteMatrix, OfAbstentionsAloneHasNoRows) {
  const TemporaryFolder folder;
  const AnnotationTable table =
      read_vote_matrix(folder.write("a.csv", "-1,-1\n-1,\n"), {.classes = 3});
  EXPECT_EQ(table.task_count(), 2U);
  EXPECT_EQ(table.worker_count(), 2U);
  EXPECT_EQ(table.label_count(), 3U);
  EXPECT_EQ(table.rows(), 0U);
  EXPECT_THAT(table.task_begins, ElementsAre(0, 0, 0));
}

TEST(FitVotes, GivesItemsWithoutVotesTheBalance) {
  const std::vector<double> balance{3, 1};
  const AnnotationTable nothing = table_of(VoteMatrix(2, 1), 2);
  const LabelFit none = fit_votes("dawid-skene", nothing, balance);
  EXPECT_THAT(none.posterior.values, ElementsAre(.75, .25, .75, .25));
  EXPECT_THAT(none.warnings, ElementsAre(HasSubstr("no labelling function votes")));
  EXPECT_THAT(fit_votes("standard", nothing, {}).posterior.row(0), ElementsAre(.5, .5));
  VoteMatrix votes(2, 2);
  votes.at(1, 0) = 1;
  votes.at(1, 1) = 1;
  const LabelFit some = fit_votes("standard", table_of(votes, 2), balance);
  EXPECT_THAT(some.posterior.values, ElementsAre(.75, .25, 0, 1));
  EXPECT_THAT(error_of([&] {
                fit_votes("standard", nothing, std::vector<double>{1, 0});
              }),
              HasSubstr("a class balance of 0"));
  EXPECT_THAT(error_of([&] { fit_votes("standard", nothing, std::vector<double>{1}); }),
              HasSubstr("a balance of 1 classes, but the votes have 2"));
}

TEST(FitVotes, ByMajorityIsTheShareOfVotesAndUniformWithoutAny) {
  VoteMatrix votes(2, 4);
  votes.at(0, 0) = 0;
  votes.at(0, 1) = 0;
  votes.at(0, 2) = 1;
  const LabelFit fit = fit_votes("standard", table_of(votes, 2), {});
  EXPECT_NEAR(fit.posterior.row(0)[0], 2.0 / 3, 1e-12);
  EXPECT_THAT(fit.posterior.row(1), ElementsAre(.5, .5));
}

TEST(ReadVoteMatrix, RefusesWhatIsNoVote) {
  const TemporaryFolder folder;
  const auto error = [&](const char* text, std::size_t classes = 0) {
    const auto path = folder.write("a.csv", text);
    return error_of([&] { read_vote_matrix(path, {.classes = classes}); });
  };
  EXPECT_THAT(error("0,1\n1,-2\n"), HasSubstr("item 1, labelling function 1: the vote is -2"));
  EXPECT_THAT(error("0,1\n1,0.5\n"), HasSubstr("the vote is 0.5; expected -1 (abstain)"));
  EXPECT_THAT(error("0,1\n1,3\n", 3),
              HasSubstr("the vote is 3; expected -1 (abstain) or a class below 3"));
  EXPECT_THAT(error("0,1\n1,nan\n"), HasSubstr("the vote is nan"));
  EXPECT_THAT(error("0,1\n1,cat\n"), HasSubstr("a.csv:2:3: 'cat'; expected a class number"));
  EXPECT_THAT(error("0,1\n1\n"), HasSubstr("1 cells, but the first record has 2"));
  EXPECT_THAT(error("-1,-1\n"), HasSubstr("every labelling function abstains on every item"));
  EXPECT_THAT(error(""), HasSubstr("it is empty"));
  EXPECT_THAT(error("a,b\n"), HasSubstr("2 labelling functions on 0 items"));
  EXPECT_THAT(error("task\n1\n"), HasSubstr("0 labelling functions"));
  EXPECT_THAT(error("a,a\n0,1\n"), HasSubstr("names column 2 'a', which is empty or there twice"));
  EXPECT_THAT(error("task,a\nx,1\nx,0\n"), HasSubstr("item 'x' was there before"));
  const std::vector<float> beyond{0, 1e9F};
  const auto npy_path = folder.write("b.npy", npy("<f4", "(1, 2)", beyond));
  EXPECT_THAT(error_of([&] { read_vote_matrix(npy_path); }),
              HasSubstr("item 0, labelling function 1"));
  const auto flat = folder.write("c.npy", npy("<f4", "(2,)", beyond));
  EXPECT_THAT(error_of([&] { read_vote_matrix(flat); }), HasSubstr("an array of 1 dimensions"));
}

TEST(ReadFeatures, RefusesNumbersThatAreNotFinite) {
  const TemporaryFolder folder;
  EXPECT_THAT(read_features(folder.write("a.csv", "x,y\n1,2\n3,4\n")).values,
              ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(error_of([&] { read_features(folder.write("b.csv", "1,nan\n")); }),
              HasSubstr("row 0, column 1 is nan; expected a finite number"));
  EXPECT_THAT(error_of([&] { read_features(folder.write("c.csv", "1,2\n3,x\n")); }),
              HasSubstr("c.csv:2:3: 'x'; expected a number"));
  const std::vector<double> by_columns{1, 3, 2, 4};
  const auto path = folder.write("d.npy", npy("<f8", "(2, 2)", by_columns, true));
  EXPECT_THAT(read_features(path).values, ElementsAre(1, 2, 3, 4));
}

TEST(AnalyseFunctions, CountsWhatEachDoes) {
  // Items 0..3; functions A, B, C.
  const std::vector<int> votes{0,  0,  -1,  // overlap
                               1,  0,  -1,  // conflict
                               1,  -1, -1,  // A alone
                               -1, -1, -1};
  const AnnotationTable table = table_of_votes(votes, 4, 3, 2);
  const GoldLabels gold{{0, 1, 0, kNoLabel}};
  const MatrixAnalysis analysis = analyse_functions(table, &gold);
  EXPECT_EQ(analysis.coverage, .75);
  EXPECT_EQ(analysis.overlap, .5);
  EXPECT_EQ(analysis.conflict, .25);
  const FunctionAnalysis& a = analysis.functions[0];
  EXPECT_EQ(a.votes, 3U);
  EXPECT_EQ(a.coverage, .75);
  EXPECT_EQ(a.overlap, .5);
  EXPECT_EQ(a.conflict, .25);
  EXPECT_THAT(a.polarity, ElementsAre(0, 1));
  EXPECT_NEAR(a.accuracy().value(), 2.0 / 3, 1e-12);
  EXPECT_THAT(analysis.functions[1].polarity, ElementsAre(0));
  EXPECT_EQ(analysis.functions[1].accuracy(), .5);
  EXPECT_EQ(analysis.functions[2].coverage, 0);
  EXPECT_FALSE(analysis.functions[2].accuracy().has_value());
  EXPECT_THROW(analyse_functions(table, &gold, {}).functions.at(3), std::out_of_range);
  const GoldLabels other{{0}};
  EXPECT_THROW(analyse_functions(table, &other), InputError);
}

RC_GTEST_PROP(AnalyseFunctions, FollowsAPermutationOfFunctions, ()) {
  auto votes = *rc::gen::container<std::vector<int>>(40, rc::gen::inRange(-1, 3));
  votes[5] = 1;  // not all abstain
  std::vector<int> swapped = votes;
  for (std::size_t i = 0; i < 10; ++i) std::swap(swapped[4 * i], swapped[4 * i + 3]);
  const auto one = analyse_functions(table_of_votes(votes, 10, 4, 3));
  const auto other = analyse_functions(table_of_votes(swapped, 10, 4, 3));
  RC_ASSERT(one.coverage == other.coverage);
  RC_ASSERT(one.conflict == other.conflict);
  RC_ASSERT(one.functions[0].conflict == other.functions[3].conflict);
  RC_ASSERT(one.functions[1].overlap == other.functions[1].overlap);
  for (const FunctionAnalysis& function : one.functions) {
    RC_ASSERT(function.conflict <= function.overlap);
    RC_ASSERT(function.overlap <= function.coverage);
  }
}

TEST(Stacked, PutsRowsOfTheSameFunctionsTogether) {
  VoteMatrix above(1, 2);
  VoteMatrix below(2, 2);
  below.at(1, 0) = 4;
  const VoteMatrix all = stacked(above, below);
  EXPECT_EQ(all.items, 3U);
  EXPECT_EQ(all.at(2, 0), 4);
  EXPECT_FALSE(all.covered(0));
  EXPECT_TRUE(all.covered(2));
  EXPECT_THROW(stacked(above, VoteMatrix(1, 3)), InputError);
}

}  // namespace
}  // namespace amalgam::labels
