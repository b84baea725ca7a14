#include <gmock/gmock.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/bags/risk.hpp"
#include "tests/error_of.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;

BagProblem problem(double bag_size, double rows_per_feature) {
  return {.rows_per_feature = rows_per_feature, .bag_size = bag_size};
}

void expect_risk(const BagProblem& one, double rho, double g, double bias, double variance) {
  const BagRisk risk = bag_risk(one, rho);
  EXPECT_NEAR(risk.fixed_point, g, 5e-5);
  EXPECT_NEAR(risk.bias, bias, 5e-5);
  EXPECT_NEAR(risk.variance, variance, 5e-5);
}

TEST(BagRisk, InsideTheInterval) {
  expect_risk(problem(3, 6), 0.3, .4000, .2406, .2065);
  expect_risk(problem(2, 4), 0.5, .4574, .2130, .2685);
  expect_risk(problem(5, 8), 0.1, .6320, .2036, .3253);
}

TEST(BagRisk, SolvesItsFixedPointEquation) {
  for (const double k : {1.0, 2.0, 7.0, 40.0}) {
    for (const double psi : {1.01, 3.0, 30.0}) {
      for (const double rho : {1e-6, 0.01, 1.0, 50.0}) {
        const double g = bag_risk(problem(k, psi), rho).fixed_point;
        EXPECT_GT(g, 0);
        EXPECT_NEAR(psi / k * g / (1 + g) + psi * (1 - 1 / k) * rho * g / (1 + rho * g), 1, 1e-9);
      }
    }
  }
}

TEST(BagRisk, AtTheEndsHasItsClosedForm) {
  for (const double k : {2.0, 3.0, 5.0}) {
    const double psi = 9;
    const BagRisk bag = bag_risk(problem(k, psi), 0);
    EXPECT_EQ(bag.bias, 0);
    EXPECT_NEAR(bag.variance, 1 / (psi / k - 1), 1e-12);
    const BagRisk instance = bag_risk(problem(k, psi), 1);
    const double kappa = 1 - 1 / k;
    EXPECT_NEAR(instance.variance, 1 / (k * (psi - 1)), 1e-12);
    EXPECT_NEAR(instance.bias, kappa * (1 + kappa * (psi - 2)) / (psi - 1), 1e-12);
  }
  EXPECT_NEAR(bag_risk(problem(2, 4), 0).variance, 1, 1e-12);
  EXPECT_NEAR(bag_risk(problem(2, 4), 1).variance, 1.0 / 6, 1e-12);
  EXPECT_NEAR(bag_risk(problem(2, 4), 1).bias, 1.0 / 3, 1e-12);
}

TEST(BagRisk, OfSingleRowsIsThatOfLeastSquares) {
  for (const double rho : {0.0, 0.4, 1.0, 10.0}) {
    EXPECT_EQ(bag_risk(problem(1, 5), rho).bias, 0);
    EXPECT_NEAR(bag_risk(problem(1, 5), rho).variance, 0.25, 1e-12);
  }
}

TEST(BagRisk, CountsAddedNoiseTimesTheBagSize) {
  BagProblem noisy = problem(3, 6);
  noisy.added_noise = 2;
  const BagRisk clean = bag_risk(problem(3, 6), 0.3);
  const BagRisk risk = bag_risk(noisy, 0.3);
  EXPECT_NEAR(risk.variance, (1 + 3 * 2) * clean.variance_factor, 1e-12);
  EXPECT_EQ(risk.bias, clean.bias);
}

TEST(BagRisk, SaysWhichConditionFails) {
  EXPECT_THAT(error_of([] { bag_risk(problem(2, 1), 0.5); }), HasSubstr("psi = n / d > 1"));
  EXPECT_THAT(error_of([] { bag_risk(problem(4, 4), 0); }), HasSubstr("psi <= k"));
  EXPECT_THAT(error_of([] { bag_risk(problem(2, 4), -1); }), HasSubstr("rho is -1"));
  EXPECT_THAT(error_of([] { bag_risk(problem(0.5, 4), 1); }), HasSubstr("bag size is 0.5"));
  BagProblem negative = problem(2, 4);
  negative.noise = -1;
  EXPECT_THAT(error_of([&] { bag_risk(negative, 1); }), HasSubstr(">= 0, not -1"));
}

TEST(InstanceLevelThreshold, IsWhereBothRisksAreEqual) {
  EXPECT_NEAR(*instance_level_threshold(4, 2), 2.5, 1e-12);
  EXPECT_NEAR(*instance_level_threshold(6, 3), 1.909091, 1e-6);
  EXPECT_NEAR(*instance_level_threshold(8, 5), 2.471264, 1e-6);
  BagProblem one = problem(5, 8);
  one.signal = *instance_level_threshold(8, 5);
  EXPECT_NEAR(bag_risk(one, 0).total(), bag_risk(one, 1).total(), 1e-12);
  EXPECT_FALSE(instance_level_threshold(4, 4));
  EXPECT_FALSE(instance_level_threshold(4, 1));
}

TEST(BestRho, IsInside) {
  struct Case {
    double k, psi, rho, risk, bag, instance, rho_of_signal_4;
  };
  for (const Case& one :
       {Case{2, 4, .554, .4809, 1, .5, .097}, Case{3, 6, .268, .4461, 1, .5556, .055},
        Case{5, 8, .170, .5042, 1.6667, .6914, .037}}) {
    BagProblem bags = problem(one.k, one.psi);
    const BestRho best = best_rho(bags);
    EXPECT_NEAR(best.rho, one.rho, 6e-4);
    EXPECT_NEAR(best.risk.total(), one.risk, 6e-5);
    EXPECT_NEAR(bag_risk(bags, 0).total(), one.bag, 6e-5);
    EXPECT_NEAR(bag_risk(bags, 1).total(), one.instance, 6e-5);
    bags.signal = 4;
    EXPECT_NEAR(best_rho(bags).rho, one.rho_of_signal_4, 6e-4);
  }
}

TEST(BestRho, MayBeAnEnd) {
  BagProblem bags = problem(2, 4);
  bags.noise = 0;  // the bag-level loss finds the truth
  EXPECT_EQ(best_rho(bags).rho, 0);
  bags.noise = 100;  // everything is noise
  EXPECT_EQ(best_rho(bags).rho, 1);
  EXPECT_GT(best_rho(bags, 1000).rho, 2);
  EXPECT_GT(best_rho(problem(10, 4)).rho, 0);  // psi < k: rho = 0 has no risk
}

// Where added noise is all that matters, v / k of rho = 0, 0.05 and 1 decides.
TEST(PlanBags, ChooseTheSizeByTheNoise) {
  const std::vector<double> sizes{1, 2, 3, 4, 5};
  const auto factors = [&](double rho) {
    std::vector<double> all;
    for (const double k : sizes) all.push_back(bag_risk(problem(k, 10), rho).variance_factor / k);
    return all;
  };
  const auto near = [](std::vector<double> expected) {
    std::vector<::testing::Matcher<double>> matchers;
    for (const double one : expected) matchers.push_back(::testing::DoubleNear(one, 5.1e-5));
    return ::testing::ElementsAreArray(matchers);
  };
  EXPECT_THAT(factors(0), near({.1111, .1250, .1429, .1667, .2000}));
  EXPECT_THAT(factors(.05), near({.1111, .1081, .1018, .0928, .0825}));
  EXPECT_THAT(factors(1), near({.1111, .0278, .0123, .0069, .0044}));

  const AddedNoise noise{.of_single_row = 1e9};
  const auto best_size = [&](double rho) {
    const auto plans = plan_bags(problem(1, 10), sizes, noise, rho);
    return plans[best_plan(plans, true)].bag_size;
  };
  EXPECT_EQ(best_size(0), 1);
  EXPECT_EQ(best_size(.027), 1);
  EXPECT_EQ(best_size(.029), 5);
  EXPECT_EQ(best_size(1), 5);
}

TEST(PlanBags, SayWhereTheBagLevelLossIsNotIdentified) {
  const auto plans = plan_bags(problem(1, 4), std::vector<double>{2, 4, 8}, {}, 0.0);
  EXPECT_TRUE(plans[0].bag_level && plans[0].chosen && plans[0].threshold);
  EXPECT_FALSE(plans[1].bag_level || plans[1].chosen || plans[1].threshold);
  EXPECT_FALSE(plans[2].bag_level);
  EXPECT_GT(plans[2].best.rho, 0);
  EXPECT_EQ(best_plan(plans, true), 0U);
  EXPECT_THAT(error_of([] { plan_bags(problem(1, 4), std::vector<double>{}); }),
              HasSubstr("no bag sizes"));
}

}  // namespace
}  // namespace amalgam::labels
