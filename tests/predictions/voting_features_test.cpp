#include "amalgam/predictions/voting_features.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

// Card wise-ft-bang, check 6, and the closed forms of the paper's example.
TEST(VotingAccuracy, OfThePapersExampleIsTheClosedForm) {
  for (const double p : {0.0, .1, .5, .9, 1.0}) {
    const VotingShift shift{.classes = 3, .strength = p};
    EXPECT_NEAR(voting_accuracy({{2, 3}}, shift), 1 - 5 * p * p * p / 27, 1e-12);
    EXPECT_NEAR(voting_accuracy({{4, 6}}, shift),
                1 - 2 * std::pow(p, 5) / 81 - 17 * std::pow(p, 6) / 729, 1e-12);
  }
  EXPECT_NEAR(voting_accuracy({{2, 3}}, {3, .5}), .976852, 1e-6);
  EXPECT_NEAR(voting_accuracy({{4, 6}}, {3, .9}), .973027, 1e-6);
  EXPECT_NEAR(voting_accuracy({{4, 6}}, {3, 1}), .951989, 1e-6);
}

// Check 7.
TEST(VotingAccuracy, AtTheEnds) {
  EXPECT_DOUBLE_EQ(voting_accuracy({{1, 0}}, {10, 1}), 1);
  EXPECT_NEAR(voting_accuracy({{0, 5}}, {4, 1}), .25, 1e-12);
  EXPECT_DOUBLE_EQ(voting_accuracy({}, {4, .5}), .25);  // no votes at all: a guess
  EXPECT_NEAR(voting_accuracy({{0, 5}}, {4, 0}), 1, 1e-12);
}

TEST(VotingAccuracy, AgreesWithDraws) {
  const std::vector<FeatureGroup> groups{{1, 3, 1}, {1, 2, 4}};
  const VotingShift shift{.classes = 4, .strength = .8};
  const double exact = voting_accuracy(groups, shift);
  EXPECT_NEAR(sampled_voting_accuracy(groups, shift, 40000, 3), exact,
              4 * std::sqrt(exact * (1 - exact) / 40000));
}

// Weights of what two models share matter, and one group is the same as two of its halves.
TEST(VotingAccuracy, DependsOnWeightsNotOnGrouping) {
  const VotingShift shift{.classes = 3, .strength = .9};
  EXPECT_NEAR(voting_accuracy({{1, 2, 2}, {1, 2, 2}}, shift), voting_accuracy({{2, 4, 1}}, shift),
              1e-12);
  EXPECT_GT(std::abs(voting_accuracy({{2, 0, 4}, {0, 6, 1}}, shift) -
                     voting_accuracy({{2, 0, 2}, {0, 6, 1}}, shift)),
            1e-3);
}

TEST(VotingAccuracy, RefusesWhatIsNoModel) {
  EXPECT_THROW(voting_accuracy({{1, 1}}, {0, .5}), InputError);
  EXPECT_THROW(voting_accuracy({{1, 1}}, {3, 1.5}), InputError);
  EXPECT_THROW(voting_accuracy({{1, 65}}, {3, .5}), InputError);
  EXPECT_THROW(voting_accuracy({{1, 1, 0}}, {3, .5}), InputError);
  EXPECT_THROW(sampled_voting_accuracy({{1, 1}}, {3, .5}, 0, 1), InputError);
}

}  // namespace
}  // namespace amalgam
