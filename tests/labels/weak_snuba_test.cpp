#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/weak/snuba.hpp"
#include "amalgam/labels/weak/vote_aggregator.hpp"
#include "tests/labels/weak_data.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(SnubaGamma, IsAHalfLessTheNumberOfFunctionsToMinusThreeHalves) {
  EXPECT_NEAR(snuba_gamma(3), .307550, 1e-6);
  EXPECT_NEAR(snuba_gamma(4), .375, 1e-12);
  EXPECT_NEAR(snuba_gamma(25), .492, 1e-12);
}

TEST(JaccardDistance, IsOfVotesAgainstCounts) {
  const std::vector<double> votes{1, 1, 0, 0};
  const std::vector<double> counts{2, 0, 1, 0};
  EXPECT_NEAR(jaccard_distance(votes, counts), .75, 1e-12);  // 1 - 1/4
}

TEST(VoteAggregator, IsNaiveBayesOfTheWeights) {
  // Accuracies .9 and .7 that say 1 and 0: odds 9 * 3/7.
  const VoteAggregator model{{std::log(9), std::log(7.0 / 3)}};
  const std::vector<Label> votes{1, 0};
  EXPECT_NEAR(model.probability(votes), .794118, 1e-6);
  const std::vector<Label> nothing{kNoLabel, kNoLabel};
  EXPECT_NEAR(model.probability(nothing), .5, 1e-12);
}

VoteMatrix votes_of_accuracies(const std::vector<double>& accuracies, std::size_t items) {
  VoteMatrix votes(items, accuracies.size());
  RandomStream random(1, "votes");
  for (std::size_t i = 0; i < items; ++i) {
    const auto truth = static_cast<Label>(random.below(2));
    for (std::size_t j = 0; j < accuracies.size(); ++j) {
      const bool right = random.uniform() < accuracies[j];
      votes.at(i, j) = right ? truth : static_cast<Label>(1 - truth);
    }
  }
  return votes;
}

TEST(VoteAggregator, TrustsFunctionsThatAgreeWithTheOthersMore) {
  const VoteAggregator model = fit_aggregator(votes_of_accuracies({.9, .9, .9, .55}, 2000));
  EXPECT_GT(model.weights[0], model.weights[3] + .1);
}

TEST(VoteAggregator, EqualsTheUpdatesOfItsDefinition) {
  const VoteMatrix votes = votes_of_accuracies({.8, .7, .9}, 50);
  std::vector<double> w(3, 1.0);
  std::vector<double> g(3, 0.0);
  for (int step = 0; step < 40; ++step) {
    std::vector<double> accuracy(3, 0.0);
    for (std::size_t i = 0; i < 50; ++i) {
      double odds = 0;
      for (std::size_t j = 0; j < 3; ++j) odds += votes.at(i, j) == 1 ? w[j] : -w[j];
      const double t = 1 / (1 + std::exp(-odds));
      for (std::size_t j = 0; j < 3; ++j) accuracy[j] += (votes.at(i, j) == 1 ? t : 1 - t) / 50;
    }
    for (std::size_t j = 0; j < 3; ++j) {
      const double l = std::log(accuracy[j] / (1 - accuracy[j]));
      g[j] = .95 * 50 * (w[j] - l) / 150 + .05 * g[j];
      w[j] -= 1e-3 * g[j];
      w[j] = std::copysign(std::max(0.0, std::abs(w[j]) - 1e-6), w[j]) / (1 + .5e-6);
    }
  }
  const VoteAggregator model = fit_aggregator(votes, 40);
  for (std::size_t j = 0; j < 3; ++j) EXPECT_NEAR(model.weights[j], w[j], 1e-9);
}

TEST(VoteAggregator, RefusesNoFunctionsAndOtherClasses) {
  EXPECT_THROW(fit_aggregator(VoteMatrix(3, 0)), InputError);
  VoteMatrix votes(1, 1);
  votes.at(0, 0) = 2;
  EXPECT_THAT([&] { fit_aggregator(votes); },
              ThrowsMessage<InputError>(HasSubstr("the vote is 2; expected 0 or 1")));
}

TEST(Snuba, FindsFunctionsThatAreRightAndAbstains) {
  const WeakData data(3, 60, 400, 1);
  const SnubaResult result = snuba(data.known(), data.unlabelled, {.rounds = 5});
  const VoteMatrix votes = votes_of(result.functions, data.unlabelled);
  double voted = 0;
  double right = 0;
  for (std::size_t i = 0; i < votes.items; ++i) {
    for (std::size_t j = 0; j < votes.functions; ++j) {
      if (votes.at(i, j) == kNoLabel) continue;
      voted += 1;
      right += votes.at(i, j) == data.truth[i] ? 1 : 0;
    }
  }
  EXPECT_GT(right / voted, .8);
  EXPECT_LT(voted, static_cast<double>(votes.votes.size()) * .6);
  for (const LabellingFunction& function : result.functions) {
    EXPECT_TRUE(function.target.has_value());
  }
  EXPECT_EQ(result.rounds.front().examples, 60U);
  EXPECT_EQ(result.rounds.front().committed, 3U);
}

TEST(Snuba, LaterRoundsLookOnlyAtRowsThatTheFunctionsAreNotSureOf) {
  const WeakData data(2, 80, 300, 2, 1.5);
  const SnubaResult result = snuba(data.known(), data.unlabelled, {.rounds = 4});
  ASSERT_GT(result.rounds.size(), 1U);
  EXPECT_LT(result.rounds[1].examples, 80U);
  EXPECT_EQ(result.rounds[1].committed, 4U);
}

TEST(Snuba, MultipolarFunctionsVoteForSeveralClasses) {
  const WeakData data(3, 60, 200, 3);
  const SnubaResult result =
      snuba(data.known(), data.unlabelled, {.rounds = 3, .multipolar = true});
  const VoteMatrix votes = votes_of(result.functions, data.unlabelled);
  std::vector<bool> seen(3);
  for (std::size_t i = 0; i < votes.items; ++i) {
    if (votes.at(i, 0) != kNoLabel) seen[votes.at(i, 0)] = true;
  }
  EXPECT_GT(std::ranges::count(seen, true), 1);
  EXPECT_FALSE(result.functions[0].target.has_value());
}

TEST(Snuba, IsTheSameWithAnyNumberOfThreads) {
  const WeakData data(3, 40, 100, 4);
  SnubaOptions threads{.rounds = 3};
  threads.candidates.parallel = {.threads = 2, .runner = Runner::std_thread};
  const SnubaResult one = snuba(data.known(), data.unlabelled, {.rounds = 3});
  const SnubaResult two = snuba(data.known(), data.unlabelled, threads);
  EXPECT_EQ(votes_of(one.functions, data.unlabelled).votes,
            votes_of(two.functions, data.unlabelled).votes);
}

TEST(Snuba, RefusesBadInput) {
  WeakData data(3, 30, 50, 5);
  const Features narrow(50, 1);
  EXPECT_THAT([&] { snuba(data.known(), narrow); },
              ThrowsMessage<InputError>(HasSubstr("labelled rows have 4 features")));
  data.unlabelled.values[2] = std::numeric_limits<double>::infinity();
  EXPECT_THAT([&] { snuba(data.known(), data.unlabelled); },
              ThrowsMessage<InputError>(HasSubstr("unlabelled rows: row 0, column 2 is inf")));
  data.labels[0] = 7;
  EXPECT_THAT([&] { snuba(data.known(), data.labelled); },
              ThrowsMessage<InputError>(HasSubstr("the label of row 0 is 7")));
}

TEST(Snuba, SkipsConstantFeatures) {
  WeakData data(2, 30, 50, 6);
  for (std::size_t i = 0; i < data.labelled.rows; ++i) data.labelled.row(i)[1] = 5;
  const SnubaResult result = snuba(data.known(), data.unlabelled, {.rounds = 3});
  for (const LabellingFunction& function : result.functions) {
    EXPECT_NE(function.learner.columns[0], 1U);
  }
}

}  // namespace
}  // namespace amalgam::labels
