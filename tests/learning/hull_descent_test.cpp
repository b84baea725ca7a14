#include "amalgam/weights/learned/hull_descent.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam::learned {
namespace {

torch::Tensor points(std::vector<std::vector<double>> rows) {
  std::vector<torch::Tensor> all;
  for (const std::vector<double>& row : rows) all.push_back(torch::tensor(row, torch::kDouble));
  return torch::stack(all);
}

// |theta - c|^2 / 2 over one row; the last vertex is the start.
Hull quadratic(const torch::Tensor& vertices, std::vector<double> centre) {
  const torch::Tensor c = torch::tensor(centre, torch::kDouble);
  return hull_in_memory({vertices},
                        [c](const HullPoint& theta, HullPoint* gradient, std::uint64_t) {
                          if (gradient != nullptr) *gradient = {theta[0] - c};
                          return (theta[0] - c).square().sum().item<double>() / 2;
                        });
}

// c = (.3, .7), vertices e1 and e2, from e1.
Hull worked() { return quadratic(points({{1, 0}, {0, 1}, {1, 0}}), {.3, .7}); }

TEST(HullDescent, FollowsTheWorkedExample) {
  const HullDescent found = descend_in_hull(worked(), {.iterations = 5});
  const std::vector<std::size_t> picks{1, 0, 1, 1, 0};
  const std::vector<double> losses{.49, .09, .134444, .001111, .01};
  const std::vector<double> gaps{1.4, .6, .488889, .022222, .16};
  const std::vector<double> steps{1, .666667, .5, .4, .333333};
  ASSERT_EQ(found.trajectory.size(), 5U);
  for (std::size_t t = 0; t < 5; ++t) {
    const HullStep& step = found.trajectory[t];
    EXPECT_EQ(step.pick.vertices.front(), picks[t]);
    EXPECT_NEAR(step.objective, losses[t], 1e-6);
    EXPECT_NEAR(step.gap, gaps[t], 1e-6);
    EXPECT_NEAR(step.step, steps[t], 1e-6);
  }
  EXPECT_NEAR(found.theta[0][0].item<double>(), .466667, 1e-6);
  EXPECT_NEAR(found.theta[0][1].item<double>(), .533333, 1e-6);
  EXPECT_NEAR(found.objective, .027778, 1e-6);
  // The first step leaves nothing of the start.
  EXPECT_TRUE(torch::allclose(found.shares[0],
                              torch::tensor({.466667, .533333, 0.0}, torch::kDouble), 0, 1e-6));
}

TEST(HullDescent, KeepsTheBestPointIfAsked) {
  const HullDescent found = descend_in_hull(worked(), {.iterations = 5, .keep_best = true});
  EXPECT_NEAR(found.objective, .001111, 1e-6);
  EXPECT_NEAR(found.theta[0][0].item<double>(), 1 / 3., 1e-12);
  EXPECT_NEAR(found.shares[0][1].item<double>(), 2 / 3., 1e-12);
}

TEST(HullDescent, EndsWhereTheGapIsSmall) {
  EXPECT_EQ(descend_in_hull(worked(), {.iterations = 9, .tolerance = .1}).trajectory.size(), 3U);
}

// The card's example: products -1 and -.5, cosines -.0995 and -1.
TEST(PickVertices, InnerProductsAndCosinesDisagree) {
  const Hull hull = hull_in_memory({points({{-1, 10}, {-.5, 0}})}, {});
  const HullPoint theta{torch::zeros({2}, torch::kDouble)};
  const HullPoint gradient{torch::tensor({1.0, 0.0}, torch::kDouble)};
  const HullPick inner =
      pick_vertices(hull, theta, gradient, Granularity::whole, VertexRule::inner);
  EXPECT_EQ(inner.vertices.front(), 0U);
  EXPECT_NEAR(inner.scores.front(), -1, 1e-12);
  EXPECT_NEAR(inner.margins.front(), .5, 1e-12);
  const HullPick cosine =
      pick_vertices(hull, theta, gradient, Granularity::whole, VertexRule::cosine);
  EXPECT_EQ(cosine.vertices.front(), 1U);
  EXPECT_NEAR(cosine.scores.front(), -1, 1e-12);
  EXPECT_NEAR(cosine.margins.front(), 1 - .099504, 1e-6);
}

TEST(PickVertices, TheInnerRuleDoesNotSeeACommonShift) {
  const torch::Tensor shift = torch::tensor({5.0, -3.0}, torch::kDouble);
  const torch::Tensor vertices = points({{1, 2}, {-1, 1}, {0, -2}});
  const HullPoint theta{torch::zeros({2}, torch::kDouble)};
  const HullPoint gradient{torch::tensor({.3, .7}, torch::kDouble)};
  const auto pick = [&](const torch::Tensor& of) {
    return pick_vertices(hull_in_memory({of}, {}), theta, gradient, Granularity::whole,
                         VertexRule::inner)
        .vertices;
  };
  EXPECT_EQ(pick(vertices), pick(vertices + shift));
}

TEST(PickVertices, AMixtureOfVerticesIsNeverBetterThanAll) {
  const torch::Tensor vertices = points({{1, 2}, {-1, 1}, {0, -2}});
  const torch::Tensor mixture = vertices.mean(0, /*keepdim=*/true);
  const HullPoint theta{torch::zeros({2}, torch::kDouble)};
  for (const double angle : {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}) {
    const HullPoint gradient{torch::tensor({std::cos(angle), std::sin(angle)}, torch::kDouble)};
    const auto best = [&](const torch::Tensor& of) {
      return pick_vertices(hull_in_memory({of}, {}), theta, gradient, Granularity::whole,
                           VertexRule::inner)
          .scores.front();
    };
    EXPECT_EQ(best(vertices), best(torch::cat({vertices, mixture})));
  }
}

TEST(PickVertices, TiesAndVerticesWithoutLengthGoToTheLowestIndex) {
  const HullPoint theta{torch::zeros({2}, torch::kDouble)};
  const HullPoint gradient{torch::tensor({1.0, 0.0}, torch::kDouble)};
  const auto pick = [&](const torch::Tensor& of, VertexRule rule) {
    return pick_vertices(hull_in_memory({of}, {}), theta, gradient, Granularity::whole, rule)
        .vertices.front();
  };
  EXPECT_EQ(pick(points({{1, 0}, {1, 5}, {1, 0}}), VertexRule::inner), 0U);
  // Cosines 1, 0 (no length) and 1.
  EXPECT_EQ(pick(points({{1, 0}, {0, 0}, {2, 0}}), VertexRule::cosine), 1U);
}

// The lowest point (0, 0) lies between the first two vertices, the start off that line: what the
// start had must leave, which steps towards a vertex never do wholly once they are short.
TEST(HullDescent, StepsAwayTakeTheStartOutOfTheMixture) {
  const torch::Tensor vertices = points({{-1, 0}, {1, 0}, {.1, 1}});
  const Hull hull = quadratic(vertices, {0, 0});
  const auto run = [&](StepDirection direction) {
    return descend_in_hull(
        hull, {.direction = direction, .iterations = 40, .step_factor = .5, .line_search = 20});
  };
  const HullDescent towards = run(StepDirection::towards);
  EXPECT_GT(towards.shares[0][2].item<double>(), .01);
  for (const StepDirection direction : {StepDirection::away, StepDirection::pairwise}) {
    const HullDescent found = run(direction);
    EXPECT_EQ(found.shares[0][2].item<double>(), 0);
    EXPECT_NEAR(found.shares.sum().item<double>(), 1, 1e-12);
    EXPECT_GE(found.shares.min().item<double>(), 0);
    EXPECT_TRUE(torch::allclose(torch::matmul(found.shares, vertices)[0], found.theta[0], 0, 1e-9));
    EXPECT_LT(found.objective, towards.objective / 1000);
    double last = found.trajectory.front().objective;
    for (const HullStep& step : found.trajectory) {
      EXPECT_LE(step.objective, last);
      last = step.objective;
    }
  }
}

// The second worked example: gamma = 1.4 / |s - theta|^2 = .7 lands on the lowest point.
TEST(HullDescent, TheParabolaLandsOnTheLowestPointOfAQuadratic) {
  const HullDescent found =
      descend_in_hull(worked(), {.iterations = 2, .step_rule = StepRule::parabola});
  EXPECT_NEAR(found.trajectory[0].step, .7, 1e-12);
  EXPECT_NEAR(found.theta[0][0].item<double>(), .3, 1e-12);
  EXPECT_NEAR(found.theta[0][1].item<double>(), .7, 1e-12);
  EXPECT_NEAR(found.objective, 0, 1e-12);
  EXPECT_NEAR(found.shares[0][1].item<double>(), .7, 1e-12);
  // Half of it by the factor.
  EXPECT_NEAR(descend_in_hull(worked(),
                              {.iterations = 1, .step_rule = StepRule::parabola, .step_factor = .5})
                  .trajectory[0]
                  .step,
              .35, 1e-12);
}

// f = (theta - c)' A (theta - c) / 2 with A = diag(1, 9) and c = (0, .5): from (1, 0) the gradient
// is (1, -4.5), towards (0, 1) the slope is -5.5 and the curvature 1 + 9. Beyond the hull, its end.
TEST(HullDescent, TheParabolaKnowsTheCurvatureAlongTheStep) {
  const auto over = [](double centre) {
    const torch::Tensor c = torch::tensor({0.0, centre}, torch::kDouble);
    const torch::Tensor a = torch::tensor({1.0, 9.0}, torch::kDouble);
    return hull_in_memory({points({{0, 1}, {1, 0}})},
                          [c, a](const HullPoint& theta, HullPoint* gradient, std::uint64_t) {
                            const torch::Tensor off = theta[0] - c;
                            if (gradient != nullptr) *gradient = {a * off};
                            return (a * off.square()).sum().item<double>() / 2;
                          });
  };
  const HullDescentOptions options{.iterations = 1, .step_rule = StepRule::parabola};
  EXPECT_NEAR(descend_in_hull(over(.5), options).trajectory[0].step, .55, 1e-12);
  EXPECT_EQ(descend_in_hull(over(9), options).trajectory[0].step, 1);
}

TEST(HullDescent, TheParabolaNeverRaisesAQuadraticInAnyDirection) {
  const torch::Tensor vertices = points({{-1, 0}, {1, 0}, {.1, 1}});
  for (const StepDirection direction :
       {StepDirection::towards, StepDirection::away, StepDirection::pairwise}) {
    const HullDescent found = descend_in_hull(
        quadratic(vertices, {.2, .1}),
        {.direction = direction, .iterations = 30, .step_rule = StepRule::parabola});
    double last = found.trajectory.front().objective;
    for (const HullStep& step : found.trajectory) {
      EXPECT_LE(step.objective, last + 1e-15);
      last = step.objective;
    }
    EXPECT_NEAR(found.shares.sum().item<double>(), 1, 1e-12);
    EXPECT_GE(found.shares.min().item<double>(), 0);
    EXPECT_LT(found.objective, direction == StepDirection::towards ? 1e-3 : 1e-9);
  }
}

TEST(HullDescent, RowsMoveByThemselves) {
  const torch::Tensor vertices = points({{1, 0}, {0, 1}, {1, 0}});
  const Hull hull = hull_in_memory(
      {vertices, vertices}, [](const HullPoint& theta, HullPoint* gradient, std::uint64_t) {
        const torch::Tensor first = theta[0] - torch::tensor({1.0, 0.0}, torch::kDouble);
        const torch::Tensor second = theta[1] - torch::tensor({0.0, 1.0}, torch::kDouble);
        if (gradient != nullptr) *gradient = {first, second};
        return (first.square().sum() + second.square().sum()).item<double>() / 2;
      });
  const HullDescent found = descend_in_hull(hull, {.iterations = 1});
  EXPECT_EQ(found.objective, 0);
  EXPECT_EQ(found.trajectory.front().pick.vertices, (std::vector<std::size_t>{0, 1}));
  ASSERT_EQ(found.shares.size(0), 2);
}

TEST(HullDescent, StepsAwayAreNotMadeByRules) {
  const HullDescentOptions options{.direction = StepDirection::away,
                                   .step_by = [](const HullPoint& theta, const HullPoint&, double,
                                                 std::uint64_t) { return theta; }};
  EXPECT_THROW(descend_in_hull(worked(), options), InputError);
}

}  // namespace
}  // namespace amalgam::learned
