#include "amalgam/scores/studies/subpopulation_fits.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "amalgam/core/random.hpp"

namespace amalgam::scores {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Pointwise;

CurveMoments moments_of(const std::vector<double>& x, const std::vector<double>& y) {
  CurveMoments moments;
  for (std::size_t i = 0; i < x.size(); ++i) moments.absorb(x[i], y[i]);
  return moments;
}

struct Cloud {
  std::vector<double> x;
  std::vector<double> y;
};

Cloud noisy_parabola(std::size_t count, double low, double high, std::uint64_t seed) {
  RandomStream random(seed, "cloud");
  Cloud cloud;
  for (std::size_t i = 0; i < count; ++i) {
    cloud.x.push_back(low + (high - low) * random.uniform());
    const double x = cloud.x.back();
    cloud.y.push_back(0.3 - 0.5 * x + 0.8 * x * x + 0.05 * random.normal());
  }
  return cloud;
}

// (0, 0), (.5, .25), (1, 1): line -1/12 + x with residuals 1/12, -1/6, 1/12; parabola x^2.
TEST(CurveFit, ThreePointsWorkedByHand) {
  const CurveFits fits = fit_curves(moments_of({0, 0.5, 1}, {0, 0.25, 1}));
  EXPECT_NEAR(fits.line->slope, 1, 1e-14);
  EXPECT_NEAR(fits.line->intercept, -1.0 / 12, 1e-14);
  EXPECT_NEAR(fits.line->r_squared, 12.0 / 13, 1e-14);
  EXPECT_NEAR(fits.line->residual, 1.0 / 24, 1e-14);
  EXPECT_NEAR(fits.parabola->constant, 0, 1e-14);
  EXPECT_NEAR(fits.parabola->linear, 0, 1e-14);
  EXPECT_NEAR(fits.parabola->quadratic, 1, 1e-14);
  EXPECT_EQ(fits.parabola->r_squared, 1);
  EXPECT_NEAR(moon_index(*fits.parabola, 0, 1), 0.25, 1e-14);
  EXPECT_NEAR(*fits.parabola->lowest(), 0, 1e-14);
  EXPECT_TRUE(std::isnan(fits.f));  // three points leave no freedom
}

// (0, 0), (.25, .5), (1, 1): a1 = 7/3, a2 = -4/3, above its chord.
TEST(CurveFit, AboveTheChordIsNoMoon) {
  const CurveFits fits = fit_curves(moments_of({0, 0.25, 1}, {0, 0.5, 1}));
  EXPECT_NEAR(fits.parabola->linear, 7.0 / 3, 1e-13);
  EXPECT_NEAR(fits.parabola->quadratic, -4.0 / 3, 1e-13);
  EXPECT_EQ(moon_index(*fits.parabola, 0, 1), 0);
  EXPECT_FALSE(fits.parabola->lowest().has_value());
}

TEST(CurveFit, PointsOnALineHaveNoCurvatureAndNoTest) {
  const CurveFits fits =
      fit_curves(moments_of({0.1, 0.3, 0.4, 0.77, 0.9}, {0.3, 0.5, 0.6, 0.97, 1.1}));
  EXPECT_NEAR(fits.line->slope, 1, 1e-12);
  EXPECT_NEAR(fits.parabola->quadratic, 0, 1e-10);
  EXPECT_EQ(fits.line->residual, 0);
  EXPECT_TRUE(std::isnan(fits.f));
  EXPECT_TRUE(std::isnan(fits.aic_gain));
  EXPECT_FALSE(fits.chooses_parabola());
  EXPECT_NEAR(moon_index(*fits.parabola, 0.1, 0.9), 0, 1e-10);
}

TEST(CurveFit, PointsOnAParabolaHaveInfiniteFAndSaySo) {
  const CurveFits fits =
      fit_curves(moments_of({0, 0.25, 0.5, 0.75, 1}, {0, 0.0625, 0.25, 0.5625, 1}));
  EXPECT_EQ(fits.f, std::numeric_limits<double>::infinity());
  EXPECT_EQ(fits.p, 0);
  EXPECT_TRUE(fits.chooses_parabola());
}

TEST(CurveFit, WithoutSpreadThereIsNothingToFit) {
  EXPECT_FALSE(fit_curves(moments_of({0.7, 0.7, 0.7}, {0.1, 0.2, 0.3})).line.has_value());
  const CurveFits two = fit_curves(moments_of({0.7, 0.8, 0.8, 0.7}, {0.1, 0.2, 0.3, 0.2}));
  EXPECT_NEAR(two.line->slope, 1, 1e-12);
  EXPECT_FALSE(two.parabola.has_value());  // two different x
  const CurveFits flat = fit_curves(moments_of({0.1, 0.2, 0.4, 0.5}, {0.3, 0.3, 0.3, 0.3}));
  EXPECT_NEAR(flat.line->slope, 0, 1e-15);
  EXPECT_TRUE(std::isnan(flat.line->r_squared));
  EXPECT_TRUE(std::isnan(flat.pearson));
  EXPECT_FALSE(fit_curves({}).line.has_value());
}

// Least squares by Householder QR on the design itself, with its covariance.
TEST(CurveFit, EqualsQrInAllFigures) {
  for (const auto& [low, high] :
       {std::pair(0.0, 1.0), std::pair(0.95, 0.98), std::pair(-3.0, 2.0)}) {
    const Cloud cloud = noisy_parabola(500, low, high, 3);
    const CurveFits fits = fit_curves(moments_of(cloud.x, cloud.y));
    Eigen::MatrixXd design(500, 3);
    const Eigen::Map<const Eigen::VectorXd> y(cloud.y.data(), 500);
    const double middle = (low + high) / 2;  // so that the reference keeps its digits
    for (Eigen::Index i = 0; i < 500; ++i) {
      const double x = cloud.x[static_cast<std::size_t>(i)] - middle;
      design.row(i) << 1, x, x * x;
    }
    const Eigen::VectorXd line = design.leftCols(2).colPivHouseholderQr().solve(y);
    const Eigen::VectorXd curve = design.colPivHouseholderQr().solve(y);
    const double line_residual = (design.leftCols(2) * line - y).squaredNorm();
    const double residual = (design * curve - y).squaredNorm();
    const double all = (y.array() - y.mean()).square().sum();
    EXPECT_NEAR(fits.line->slope, line[1], 1e-9);
    EXPECT_NEAR(fits.line->at(middle), line[0], 1e-9);
    EXPECT_NEAR(fits.parabola->quadratic / curve[2], 1, 1e-9);
    for (const double x : {low, middle, high}) {
      const double u = x - middle;
      EXPECT_NEAR(fits.parabola->at(x), curve[0] + curve[1] * u + curve[2] * u * u, 1e-9);
    }
    EXPECT_NEAR(fits.line->r_squared, 1 - line_residual / all, 1e-9);
    EXPECT_NEAR(fits.parabola->r_squared, 1 - residual / all, 1e-9);
    EXPECT_NEAR(fits.f / ((line_residual - residual) / (residual / 497)), 1, 1e-7);
    EXPECT_NEAR(fits.aic_gain, 500 * std::log(line_residual / residual) - 2, 1e-7);
    const Eigen::Matrix3d covariance = (design.transpose() * design).inverse() * (residual / 497);
    EXPECT_NEAR(fits.parabola->quadratic_error / std::sqrt(covariance(2, 2)), 1, 1e-8);
    if (low == 0.0) {
      // About 0 itself: the constant and the linear coefficient too.
      for (Eigen::Index i = 0; i < 500; ++i) {
        const double x = cloud.x[static_cast<std::size_t>(i)];
        design.row(i) << 1, x, x * x;
      }
      const Eigen::Matrix3d about_zero = (design.transpose() * design).inverse() * (residual / 497);
      EXPECT_NEAR(fits.parabola->constant_error, std::sqrt(about_zero(0, 0)), 1e-9);
      EXPECT_NEAR(fits.parabola->linear_error, std::sqrt(about_zero(1, 1)), 1e-9);
      const Eigen::Matrix2d of_line =
          (design.leftCols(2).transpose() * design.leftCols(2)).inverse() * (line_residual / 498);
      EXPECT_NEAR(fits.line->intercept_error, std::sqrt(of_line(0, 0)), 1e-9);
      EXPECT_NEAR(fits.line->slope_error, std::sqrt(of_line(1, 1)), 1e-9);
    }
  }
}

// Five points with F worked out by hand: x = -2..2, y = 4, 1, 1, 1, 3. Line: slope -.2, mean 2.
TEST(CurveFit, TestAgainstTheLineWorkedByHand) {
  const CurveFits fits = fit_curves(moments_of({-2, -1, 0, 1, 2}, {4, 1, 1, 1, 3}));
  // Sums of squares: all 8; line 10 * .04 = .4; parabola with x^2 - 2 (14): (2 * 4 - 1 * 1 - 2 * 1
  // - 1 * 1 + 2 * 3)^2 / 14 = 100 / 14.
  const double left = 8 - 0.4 - 100.0 / 14;
  EXPECT_NEAR(fits.line->residual, 7.6, 1e-12);
  EXPECT_NEAR(fits.parabola->residual, left, 1e-12);
  EXPECT_NEAR(fits.f, 100.0 / 14 / (left / 2), 1e-9);
  // Student's t with two degrees: P(|T| > t) = 1 - t / sqrt(2 + t^2).
  EXPECT_NEAR(fits.p, 1 - std::sqrt(fits.f / (2 + fits.f)), 1e-9);
  EXPECT_NEAR(fits.line->adjusted_r_squared, 1 - (7.6 / 3) / (8.0 / 4), 1e-12);
}

RC_GTEST_PROP(CurveFit, StatesOfPartsCombineToThatOfAll, ()) {
  const auto count = *rc::gen::inRange<std::size_t>(8, 60);
  const auto cut = *rc::gen::inRange<std::size_t>(0, count + 1);
  const Cloud cloud = noisy_parabola(count, 0.2, 0.9, *rc::gen::arbitrary<std::uint64_t>());
  CurveMoments first;
  CurveMoments second;
  for (std::size_t i = 0; i < count; ++i) {
    (i < cut ? first : second).absorb(cloud.x[i], cloud.y[i]);
  }
  CurveMoments backwards = second;
  backwards.combine(first);
  first.combine(second);
  const CurveFits parts = fit_curves(first);
  const CurveFits swapped = fit_curves(backwards);
  const CurveFits whole = fit_curves(moments_of(cloud.x, cloud.y));
  for (const CurveFits* other : {&parts, &swapped}) {
    RC_ASSERT(std::abs(other->parabola->quadratic - whole.parabola->quadratic) < 1e-9);
    RC_ASSERT(std::abs(other->line->slope - whole.line->slope) < 1e-10);
    RC_ASSERT(std::abs(other->parabola->residual - whole.parabola->residual) < 1e-11);
  }
}

TEST(CurveFit, WeightsCountPointsSeveralTimes) {
  const CurveMoments repeated = moments_of({0.1, 0.4, 0.4, 0.4, 0.8, 0.9}, {1, 2, 2, 2, 0, 1});
  CurveMoments weighted;
  weighted.absorb(0.1, 1);
  weighted.absorb(0.4, 2, 3);
  weighted.absorb(0.5, 7, 0);
  weighted.absorb(0.8, 0);
  weighted.absorb(0.9, 1);
  EXPECT_NEAR(fit_curves(weighted).parabola->quadratic, fit_curves(repeated).parabola->quadratic,
              1e-12);
  EXPECT_EQ(weighted.count, 6);
}

TEST(MonotoneFit, PoolsWhatFallsWorkedByHand) {
  // In the order of x: 1, 3, 2, 2 (equal x: mean 2), 5.
  EXPECT_THAT(monotone_fit(std::vector<double>{0.5, 0.1, 0.2, 0.9, 0.5},
                           std::vector<double>{1, 1, 3, 5, 3}),
              ElementsAre(DoubleNear(7.0 / 3, 1e-15), 1, DoubleNear(7.0 / 3, 1e-15), 5,
                          DoubleNear(7.0 / 3, 1e-15)));
  EXPECT_THAT(monotone_fit(std::vector<double>{1, 2, 3}, std::vector<double>{3, 2, 1}),
              ElementsAre(2, 2, 2));
}

// No increasing function is nearer: by brute force over a grid of increasing functions.
RC_GTEST_PROP(MonotoneFit, IsIncreasingAndNoWorseThanOthers, ()) {
  const auto y = *rc::gen::container<std::vector<double>>(
      5, rc::gen::map(rc::gen::inRange(0, 9), [](int v) { return v / 4.0; }));
  std::vector<double> x(y.size());
  std::iota(x.begin(), x.end(), 0.0);
  const std::vector<double> fitted = monotone_fit(x, y);
  RC_ASSERT(std::ranges::is_sorted(fitted));
  const auto residual = [&](const std::vector<double>& values) {
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += (y[i] - values[i]) * (y[i] - values[i]);
    return sum;
  };
  std::vector<double> other(y.size());
  for (double& value : other) value = *rc::gen::inRange(0, 9) / 4.0;
  std::ranges::sort(other);
  RC_ASSERT(residual(fitted) <= residual(other) + 1e-12);
}

}  // namespace
}  // namespace amalgam::scores
