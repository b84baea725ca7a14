// Figures without a derivation are those of the authors' own script (see the table of
// docs/scores/difficulty.md).
#include "amalgam/scores/studies/difficulty.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "tests/error_of.hpp"

namespace amalgam::scores {
namespace {

using ::testing::HasSubstr;

constexpr double kPi = std::numbers::pi;

SphereTask mnist() { return classification_task(60000, 14, 17.179046, 2.398708, 10); }
SphereTask svhn() { return classification_task(73257, 19, 53.869325, 1.576700, 10); }
SphereTask cifar10() { return classification_task(50000, 27, 54.915679, 2.750641, 10); }
SphereTask imagenet() { return classification_task(1280901, 48, 943.5923, 65, 1000); }

void expect_bits(const Difficulty& found, double bits, double relative) {
  EXPECT_NEAR(found.bits / bits, 1, relative) << found.bits << " and " << bits;
}

TEST(DifficultyFormula, HarmonicsOnTheOrdinarySphereAreSquares) {
  // m = 2: C(K + 2, 2) + C(K + 1, 2) = (K + 1)^2, whether K is whole or not.
  for (const double degree : {0.0, 0.25, 3.0, 5.803048, 1000.5}) {
    EXPECT_NEAR(log_harmonics(2, degree), 2 * std::log(degree + 1), 1e-13) << degree;
  }
  // m = 1: 2 K + 1 sines and cosines.
  for (const double degree : {0.5, 7.0, 1e6}) {
    EXPECT_NEAR(log_harmonics(1, degree), std::log(2 * degree + 1), 1e-13) << degree;
  }
}

// Degree l on the sphere of dimension m has C(m + l, m) - C(m + l - 2, m) harmonics.
TEST(DifficultyFormula, HarmonicsOfWholeDegreeAddUp) {
  const auto choose = [](double n, double k) {
    return n < k ? 0 : std::round(std::tgamma(n + 1) / std::tgamma(k + 1) / std::tgamma(n - k + 1));
  };
  for (const int m : {2, 3, 5, 9}) {
    double sum = 0;
    for (int l = 0; l <= 8; ++l) {
      sum += choose(m + l, m) - choose(m + l - 2, m);
      EXPECT_NEAR(log_harmonics(m, l), std::log(sum), 1e-12) << m << ' ' << l;
    }
  }
}

TEST(DifficultyFormula, DimensionsBetweenWholeOnesAreGammaFunctions) {
  for (const double m : {1.5, 8.13, 13.72}) {
    for (const double k : {0.5, 5.25, 38.9659}) {
      const auto choose = [](double n, double r) {
        return std::lgamma(n + 1) - std::lgamma(r + 1) - std::lgamma(n - r + 1);
      };
      const double direct = std::exp(choose(m + k, m)) + std::exp(choose(m + k - 1, m));
      EXPECT_NEAR(log_harmonics(m, k), std::log(direct), 1e-12) << m << ' ' << k;
    }
  }
  // Far out, where differences of lgamma have lost their digits: E ~ 2 K^m / m!.
  EXPECT_NEAR(log_harmonics(2.5, 1e12), std::log(2) + 2.5 * std::log(1e12) - std::lgamma(3.5),
              1e-10);
}

TEST(DifficultyFormula, DegreeSolvesItsEquation) {
  EXPECT_NEAR(harmonic_degree(2, 2 * kPi), (std::sqrt(1 + 16 * kPi * kPi) - 1) / 2, 1e-14);
  for (const double m : {1.0, 2.0, 27.0, 447.0}) {
    for (const double frequency : {1e-8, 0.5, 45.0, 1e12}) {
      const double k = harmonic_degree(m, frequency);
      EXPECT_NEAR(k * (k + (m - 1)) / (frequency * frequency), 1, 1e-12) << m << ' ' << frequency;
    }
  }
}

// M = 2 pi, K (K + 1) = M^2, so K = 5.803048, E = (K + 1)^2 = 46.28147, dim = 2 * 1 * 2 * E.
TEST(DifficultyFormula, SmallTaskWorkedByHand) {
  SphereTask task{.log_examples = std::log(100.0), .dimension = 2, .combinations = 2};
  const Difficulty found = difficulty(task, 0.1);
  EXPECT_NEAR(found.frequency, 6.283185, 1e-6);
  EXPECT_NEAR(std::exp(found.log_functions), 46.28147, 1e-5);
  EXPECT_NEAR(std::exp(found.log_dimensions), 185.13, 0.01);
  EXPECT_NEAR(std::exp(found.log_consistent), 85.13, 0.01);
  EXPECT_NEAR(found.log_distance, -1.2398, 1e-4);
  EXPECT_NEAR(found.log2_ratio, 4.5701, 1e-4);
  EXPECT_NEAR(found.bits, 389.03, 0.01);
  EXPECT_NEAR(found.log10_bits, std::log10(389.03), 1e-5);
}

TEST(DifficultyFormula, MnistInParts) {
  const Difficulty found = difficulty(mnist(), 0.001);
  EXPECT_NEAR(found.frequency, 44.9989, 1e-4);
  EXPECT_NEAR(found.degree, 38.9659, 1e-4);
  expect_bits({.bits = std::exp(found.log_functions)}, 4.1296e12, 1e-4);
  expect_bits({.bits = std::exp(found.log_dimensions)}, 7.4332e14, 1e-4);
  EXPECT_NEAR(found.log2_ratio, 19.9753, 1e-4);
  expect_bits(found, 1.485e16, 1e-3);
}

TEST(DifficultyFormula, TheAuthorsTasks) {
  expect_bits(difficulty(svhn(), 0.01), 1.213e31, 1e-3);
  expect_bits(difficulty(cifar10(), 0.01), 3.438e32, 1e-3);
  expect_bits(difficulty(imagenet(), 0.1), 3.583e41, 1e-3);
  const SphereTask omniglot = sphere_task({.log_examples = std::log(7e40),
                                           .ways = 20,
                                           .dimension_within = 22,
                                           .dimension_across = 29,
                                           .radius = 49.4065,
                                           .resolution = 5.477226});
  expect_bits(difficulty(omniglot, 0.01), 1.79e145, 5e-3);
}

// What a model with this test error on ImageNet was given.
TEST(DifficultyFormula, BiasOfModelsByTheirErrors) {
  expect_bits(difficulty(imagenet(), 0.97), 3.113e41, 1e-3);
  expect_bits(difficulty(imagenet(), 0.375), 3.310e41, 1e-3);
  expect_bits(difficulty(imagenet(), 0.25), 3.394e41, 1e-3);
  expect_bits(difficulty(imagenet(), 0.0906), 3.604e41, 1e-3);
}

TEST(DifficultyFormula, CartpoleWithMoreToRemember) {
  const std::vector<double> expected = {4.415e9, 3.326e17, 1.464e25, 4.689e32, 1.187e40};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const TorusTask task{.log_examples = std::log(1e4),
                         .dimension = 2 * static_cast<double>(i + 1),
                         .resolution = 0.001,
                         .outputs = 1};
    expect_bits(difficulty(task, 0.001), expected[i], 1e-3);
  }
  // T = 1: (2 (2000 pi)^2 pi - 10^4) (log2(4 pi^2 / sqrt 3) + 2 log2 1000 - log2(10^4) / 2).
  const double per_dimension =
      std::log2(4 * kPi * kPi / std::sqrt(3)) + 2 * std::log2(1000) - std::log2(1e4) / 2;
  EXPECT_NEAR(per_dimension, 17.798, 1e-3);
  const double by_hand = (2 * std::pow(2000 * kPi, 2) * kPi - 1e4) * per_dimension;
  expect_bits(difficulty(TorusTask{std::log(1e4), 2, 0.001, 1}, 0.001), by_hand, 1e-12);
}

TEST(DifficultyFormula, RobotsWithManyJoints) {
  const auto robot = [](double dimension, double outputs) {
    return difficulty(TorusTask{std::log(1e6), dimension, 0.001, outputs}, 0.001);
  };
  expect_bits(robot(6, 2), 2.914e25, 1e-3);
  expect_bits(robot(15, 4), 7.613e58, 1e-3);
  expect_bits(robot(17, 6), 1.718e66, 1e-3);
}

TEST(DifficultyFormula, HalvingTheErrorAddsOneBitPerDimension) {
  for (const SphereTask& task : {mnist(), cifar10()}) {
    const Difficulty whole = difficulty(task, 0.01);
    const Difficulty half = difficulty(task, 0.005);
    EXPECT_NEAR((half.bits - whole.bits) / std::exp(whole.log_consistent), 1, 1e-10);
  }
}

TEST(DifficultyFormula, TheUnitOfLengthDoesNotMatter) {
  SphereTask scaled = mnist();
  scaled.radius *= 255;
  scaled.resolution *= 255;
  EXPECT_NEAR(difficulty(scaled, 0.01).log10_bits, difficulty(mnist(), 0.01).log10_bits, 1e-12);
}

TEST(DifficultyFormula, GrowsExponentiallyInDimensionPolynomiallyInResolution) {
  SphereTask task = mnist();
  double before = 0;
  for (int m = 10; m <= 21; ++m) {
    task.dimension = m;
    const double bits = difficulty(task, 0.001).bits;
    if (m > 10) EXPECT_GT(bits, 2 * before) << m;
    before = bits;
  }
  task = mnist();
  task.resolution /= 2;
  EXPECT_NEAR(std::log2(difficulty(task, 0.001).bits / difficulty(mnist(), 0.001).bits), 13.86,
              0.01);
  task = mnist();
  task.log_examples += std::numbers::ln2;
  EXPECT_NEAR(difficulty(task, 0.001).bits / difficulty(mnist(), 0.001).bits, 1 - 0.0036, 5e-5);
}

TEST(DifficultyFormula, NothingLeftToChooseIsZeroBitsAndSaidSo) {
  // n D >= 2 D prod E = 185.13 D.
  SphereTask task{.log_examples = std::log(186.0), .dimension = 2, .combinations = 2};
  const Difficulty determined = difficulty(task, 0.01);
  EXPECT_TRUE(determined.over_determined);
  EXPECT_FALSE(determined.everything_general);
  EXPECT_EQ(determined.bits, 0);
  EXPECT_EQ(determined.log10_bits, -std::numeric_limits<double>::infinity());
  task.log_examples = std::log(185.0);
  EXPECT_FALSE(difficulty(task, 0.01).over_determined);
  EXPECT_GT(difficulty(task, 0.01).bits, 0);

  // K < 1 although E is large: every hypothesis is within the radius.
  const SphereTask smooth{.log_examples = 0, .dimension = 1, .resolution = 50};
  const Difficulty general = difficulty(smooth, 0.9);
  EXPECT_LE(general.log2_ratio, 0);
  EXPECT_TRUE(general.everything_general);
  EXPECT_EQ(general.bits, 0);
}

TEST(DifficultyFormula, BeyondDoublesOnlyTheLogarithmRemains) {
  SphereTask task = imagenet();
  task.dimension = 1000;
  task.resolution = 0.1;
  const Difficulty found = difficulty(task, 0.1);
  EXPECT_EQ(found.bits, std::numeric_limits<double>::infinity());
  EXPECT_GT(found.log10_bits, 300);
  EXPECT_TRUE(std::isfinite(found.log10_bits));
}

TEST(DifficultyFormula, LogarithmsAgreeWithTheDirectFormula) {
  for (const double m : {1.0, 2.0, 3.5, 6.0}) {
    const SphereTask task = classification_task(500, m, 2, 0.3, 4);
    const double frequency = 2 * kPi * 2 / 0.3;
    const double k = (std::sqrt((m - 1) * (m - 1) + 4 * frequency * frequency) - (m - 1)) / 2;
    const auto choose = [](double n, double r) {
      return std::tgamma(n + 1) / std::tgamma(r + 1) / std::tgamma(n - r + 1);
    };
    const double e = choose(m + k, m) + choose(m + k - 1, m);
    const double w =
        std::sqrt(m / 6) *
        std::pow(2 * std::pow(kPi, (m + 1) / 2) * 4 / std::tgamma((m + 1) / 2), 1 / m) * 2 /
        std::pow(500, 1 / m);
    const double direct = (2 * 3 * 4 * e - 500 * 3) *
                          std::log2(std::sqrt(3.0) * 2 / 0.01 * (k * std::sqrt(3.0) / 2) * w);
    if (direct <= 0) {
      EXPECT_EQ(difficulty(task, 0.01).bits, 0) << m;
    } else {
      EXPECT_NEAR(difficulty(task, 0.01).bits / direct, 1, 1e-12) << m;
    }
  }
}

TEST(DifficultyFormula, TasksShownTogether) {
  const SphereTask both = shown_together(mnist(), svhn());
  EXPECT_NEAR(both.log_examples, std::log(60000.0 * 73257.0), 1e-12);
  EXPECT_EQ(both.dimension, 33);
  EXPECT_NEAR(both.radius, std::sqrt(17.179046 * 17.179046 + 53.869325 * 53.869325), 1e-12);
  EXPECT_EQ(both.combinations, 100);
  EXPECT_EQ(both.resolution, mnist().resolution);
  EXPECT_EQ(both.log_outputs, mnist().log_outputs);
  EXPECT_GT(difficulty(both, 0.01).log10_bits, difficulty(svhn(), 0.01).log10_bits);
}

// Families of 5 and 3 classes, 2 ways, 10 images: (10 + 3) * 100; one of 1 class counts once.
TEST(DifficultyFormula, FewShotInputsAreCounted) {
  EXPECT_NEAR(few_shot_log_examples(std::vector<std::uint64_t>{5, 3}, 2, 10), std::log(1300.0),
              1e-12);
  EXPECT_NEAR(few_shot_log_examples(std::vector<std::uint64_t>{1}, 2, 10), std::log(100.0), 1e-12);
}

TEST(DifficultyFormula, SaysWhatIsOutOfRange) {
  const auto refused = [](auto change, double error = 0.01) {
    SphereTask task = mnist();
    change(task);
    return error_of([&] { difficulty(task, error); });
  };
  EXPECT_THAT(refused([](SphereTask& task) { task.dimension = 0.9; }),
              HasSubstr("dimension is 0.9"));
  EXPECT_THAT(refused([](SphereTask& task) { task.resolution = 0; }), HasSubstr("resolution is 0"));
  EXPECT_THAT(refused([](SphereTask& task) { task.radius = -1; }), HasSubstr("radius is -1"));
  EXPECT_THAT(refused([](SphereTask& task) { task.log_examples = -0.1; }), HasSubstr("example"));
  EXPECT_THAT(refused([](SphereTask& task) { task.dimension = std::nan(""); }),
              HasSubstr("dimension is nan"));
  EXPECT_THAT(refused([](SphereTask&) {}, 0), HasSubstr("error is 0"));
  EXPECT_THAT(refused([](SphereTask&) {}, 1), HasSubstr("error is 1"));
  EXPECT_THAT(error_of([] { classification_task(10, 2, 1, 1, 1); }), HasSubstr("classes is 1"));
  EXPECT_THAT(error_of([] { classification_task(0, 2, 1, 1, 2); }), HasSubstr("0 training"));
}

}  // namespace
}  // namespace amalgam::scores
