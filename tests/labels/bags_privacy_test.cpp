#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/bags/privacy.hpp"
#include "tests/error_of.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;

// The statistic of a chi-square test of draws against probabilities of each value; values that are
// expected fewer than 5 times are put together.
double chi_square(const std::map<std::int64_t, int>& counts, int draws,
                  const std::function<double(std::int64_t)>& probability, int& freedom) {
  double statistic = 0;
  double seen = 0;
  double expected_sum = 0;
  freedom = 0;
  for (std::int64_t z = -200; z <= 200; ++z) {
    const double expected = draws * probability(z);
    if (expected < 5) continue;
    const auto found = counts.find(z);
    const double count = found == counts.end() ? 0 : found->second;
    statistic += (count - expected) * (count - expected) / expected;
    seen += count;
    expected_sum += expected;
    ++freedom;
  }
  const double rest = draws - expected_sum;
  if (rest > 5) statistic += (draws - seen - rest) * (draws - seen - rest) / rest;
  return statistic;
}

// mean + 4 deviations of a chi-square distribution.
double high_chi_square(int freedom) { return freedom + 4 * std::sqrt(2.0 * freedom); }

TEST(DiscreteLaplace, HasItsProbabilities) {
  for (const std::int64_t scale : {1, 2, 7}) {
    SeededBits bits(11);
    std::map<std::int64_t, int> counts;
    const int draws = 100'000;
    for (int i = 0; i < draws; ++i) ++counts[discrete_laplace(scale, bits)];
    const double q = std::exp(-1.0 / static_cast<double>(scale));
    int freedom = 0;
    const double statistic = chi_square(
        counts, draws,
        [&](std::int64_t z) { return (1 - q) / (1 + q) * std::pow(q, std::abs(double(z))); },
        freedom);
    EXPECT_GT(freedom, 5);
    EXPECT_LT(statistic, high_chi_square(freedom)) << "scale " << scale;
  }
}

TEST(DiscreteGaussian, HasItsProbabilities) {
  for (const std::int64_t deviation : {1, 3, 10}) {
    SeededBits bits(12);
    std::map<std::int64_t, int> counts;
    const int draws = 100'000;
    for (int i = 0; i < draws; ++i) ++counts[discrete_gaussian(deviation, bits)];
    const auto weight = [&](std::int64_t z) {
      return std::exp(-0.5 * double(z * z) / double(deviation * deviation));
    };
    double total = 0;
    for (std::int64_t z = -400; z <= 400; ++z) total += weight(z);
    int freedom = 0;
    const double statistic = chi_square(
        counts, draws, [&](std::int64_t z) { return weight(z) / total; }, freedom);
    EXPECT_GT(freedom, 5);
    EXPECT_LT(statistic, high_chi_square(freedom)) << "deviation " << deviation;
  }
}

TEST(Samplers, HaveTheDeviationOfLargeScales) {
  SeededBits bits(13);
  const int draws = 20'000;
  double laplace = 0;
  double gaussian = 0;
  for (int i = 0; i < draws; ++i) {
    const double one =
        double(discrete_laplace(kMostLaplaceScale, bits)) / double(kMostLaplaceScale);
    const double two =
        double(discrete_gaussian(kMostGaussianDeviation, bits)) / double(kMostGaussianDeviation);
    laplace += one * one / draws;
    gaussian += two * two / draws;
  }
  EXPECT_NEAR(std::sqrt(laplace), std::sqrt(2.0), 0.03 * std::sqrt(2.0));
  EXPECT_NEAR(std::sqrt(gaussian), 1, 0.03);
  EXPECT_THROW(discrete_laplace(0, bits), Error);
  EXPECT_THROW(discrete_gaussian(kMostGaussianDeviation + 1, bits), Error);
}

TEST(RandomBits, BelowABoundAreEven) {
  SeededBits bits(14);
  std::map<std::uint64_t, int> counts;
  for (int i = 0; i < 30'000; ++i) ++counts[bits.below(3)];
  for (std::uint64_t value = 0; value < 3; ++value) EXPECT_NEAR(counts[value], 10'000, 330);
  EXPECT_EQ(counts.size(), 3U);
  EXPECT_EQ(bits.below(1), 0U);
}

TEST(SecureBits, AreNotTheSameTwice) {
  SecureBits one;
  SecureBits two;
  int ones = 0;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t a = one.next();
    EXPECT_NE(a, two.next());
    ones += std::popcount(a);
  }
  EXPECT_NEAR(ones, 3200, 200);  // five deviations
}

TEST(SeededBits, AreAFunctionOfTheSeed) {
  SeededBits one(5);
  SeededBits same(5);
  SeededBits other(6);
  const std::uint64_t value = one.next();
  EXPECT_EQ(value, same.next());
  EXPECT_NE(value, other.next());
}

PrivacyOptions laplace(double epsilon, double bound) {
  return {.epsilon = epsilon, .delta = 0, .bound = bound};
}

TEST(ClipBound, IsTheConstantTimesTheRootOfTheLogarithm) {
  EXPECT_NEAR(clip_bound(1, 1000), 2.628, 5e-4);
  EXPECT_NEAR(clip_bound(2.5, 1000), 2.5 * 2.62826, 1e-4);
  EXPECT_THAT(error_of([] { clip_bound(0, 10); }), HasSubstr("constant C is 0"));
  EXPECT_THAT(error_of([] { clip_bound(1, 1); }), HasSubstr("at least 2 rows"));
}

TEST(NoiseScale, OfLaplaceNoiseIsTwiceTheBoundOverEpsilon) {
  // n = 1000, C = 1, k = 5, epsilon = 1: b = 2 * 2.628 / 5 = 1.0513.
  EXPECT_NEAR(noise_scale(laplace(1, clip_bound(1, 1000))) / 5, 1.0513, 1e-4);
  EXPECT_DOUBLE_EQ(noise_scale(laplace(0.5, 3)), 12);
  PrivacyOptions zero = laplace(0.5, 3);
  zero.neighbours = Neighbours::zero;
  EXPECT_DOUBLE_EQ(noise_scale(zero), 6);
  EXPECT_DOUBLE_EQ(added_noise(laplace(0.5, 3)).of_bag(4), 2 * 12.0 * 12 / 16);
}

TEST(NoiseScale, OfGaussianNoise) {
  PrivacyOptions options{
      .mechanism = Mechanism::gaussian, .epsilon = 0.5, .delta = 1e-5, .bound = 2};
  // sqrt(2 ln 125000) / 0.5 = 9.689609 with a sensitivity of 4.
  EXPECT_NEAR(noise_scale(options), 4 * 9.689609, 1e-4);
  EXPECT_DOUBLE_EQ(added_noise(options).of_bag(2), std::pow(noise_scale(options) / 2, 2));
  options.epsilon = 1.5;
  EXPECT_THAT(error_of([&] { noise_scale(options); }), HasSubstr("use analytic-gaussian"));
  options.mechanism = Mechanism::analytic_gaussian;
  EXPECT_GT(noise_scale(options), 0);
}

TEST(AnalyticGaussian, IsTheLeastDeviationThatIsPrivate) {
  for (const double epsilon : {0.01, 0.5, 1.0, 5.0, 50.0}) {
    for (const double delta : {1e-3, 1e-6, 1e-10}) {
      const double deviation = analytic_gaussian_deviation(epsilon, delta);
      EXPECT_LE(gaussian_delta(epsilon, deviation), delta);
      EXPECT_GT(gaussian_delta(epsilon, deviation * (1 - 1e-4)), delta);
      if (epsilon <= 1) EXPECT_LT(deviation, classical_gaussian_deviation(epsilon, delta));
    }
  }
  // Phi(0.5 - 1) - e Phi(-0.5 - 1) for epsilon = 1 and deviation 1.
  EXPECT_NEAR(gaussian_delta(1, 1), 0.126936737, 1e-8);
}

TEST(PrivacyOptions, OutOfRangeAreRefused) {
  EXPECT_THAT(error_of([] { check_privacy(laplace(0, 1)); }), HasSubstr("epsilon is 0"));
  EXPECT_THAT(error_of([] { check_privacy(laplace(std::nan(""), 1)); }),
              HasSubstr("epsilon is nan"));
  EXPECT_THAT(error_of([] { check_privacy(laplace(1, 0)); }), HasSubstr("clipped at 0"));
  EXPECT_THAT(error_of([] { check_privacy(laplace(1, INFINITY)); }), HasSubstr("clipped at inf"));
  PrivacyOptions options = laplace(1, 1);
  options.delta = 1e-6;
  EXPECT_THAT(error_of([&] { check_privacy(options); }), HasSubstr("Laplace noise has no delta"));
  options.mechanism = Mechanism::gaussian;
  EXPECT_EQ(error_of([&] { check_privacy(options); }), "no error");
  for (const double delta : {0.0, 1.0, -0.1}) {
    options.delta = delta;
    EXPECT_THAT(error_of([&] { check_privacy(options); }), HasSubstr("delta is"));
  }
}

// The noise of 20,000 bags of `size` zeros.
double noise_deviation(std::size_t size, const PrivacyOptions& options) {
  const std::size_t bags = 20'000;
  SeededBits bits(21);
  const std::vector<double> zeros(bags * size, 0.0);
  const auto release = release_bags(random_bags(zeros.size(), size, 1), zeros, options, bits);
  double squares = 0;
  for (const double mean : release.means) squares += mean * mean;
  return std::sqrt(squares / static_cast<double>(bags));
}

TEST(ReleaseBags, AddNoiseOfTheRightScale) {
  const PrivacyOptions options = laplace(1, clip_bound(1, 1000));
  EXPECT_NEAR(noise_deviation(5, options), 1.487, 0.03 * 1.487);
  EXPECT_NEAR(noise_deviation(10, options), 1.487 / 2, 0.03 * 1.487 / 2);
  PrivacyOptions zero = options;
  zero.neighbours = Neighbours::zero;
  EXPECT_NEAR(noise_deviation(5, zero), 1.487 / 2, 0.03 * 1.487 / 2);
  const PrivacyOptions gaussian{
      .mechanism = Mechanism::analytic_gaussian, .epsilon = 2, .delta = 1e-6, .bound = 3};
  EXPECT_NEAR(noise_deviation(5, gaussian), noise_scale(gaussian) / 5,
              0.03 * noise_scale(gaussian) / 5);
}

TEST(ReleaseBags, ClipRoundAndAverage) {
  // With nearly no noise the means are those of the clipped responses: (2 + 1) / 2 and -2.
  SeededBits bits(1);
  const Bags bags = bags_of(std::vector<std::uint32_t>{0, 0, 1}, 2);
  const std::vector<double> responses{5, 1, -7};
  const PrivateRelease release = release_bags(bags, responses, laplace(100, 2), bits);
  EXPECT_NEAR(release.means[0], 1.5, 0.2);
  EXPECT_NEAR(release.means[1], -2, 0.4);
  EXPECT_EQ(release.clipped, 2U);
  EXPECT_EQ(release.record.rows, 3U);
  EXPECT_EQ(release.record.bags, 2U);
  EXPECT_EQ(release.record.smallest_bag, 1U);
  EXPECT_EQ(release.record.largest_bag, 2U);
}

TEST(ReleaseBags, AreWholeStepsOfTheGridAndNoLessPrivateThanAsked) {
  SeededBits bits(2);
  for (const double epsilon : {1e-3, 0.7, 1.0, 30.0}) {
    for (const double bound : {1e-9, 0.3, 1.0, 12345.678}) {
      const Bags bags = single_rows(20);
      const std::vector<double> responses(20, bound / 3);
      const PrivateRelease release = release_bags(bags, responses, laplace(epsilon, bound), bits);
      const ReleaseRecord& record = release.record;
      for (const double mean : release.means) {
        EXPECT_EQ(std::fmod(mean, record.grid), 0);
      }
      EXPECT_LE(record.sensitivity, 2 * bound);
      EXPECT_GE(record.scale * epsilon, record.sensitivity);
      EXPECT_LT(record.scale * epsilon, record.sensitivity * (1 + 1e-6));
    }
  }
}

TEST(ReleaseBags, AreTheSameForTheSameSeedOnly) {
  const std::vector<double> responses(30, 0.5);
  const Bags bags = random_bags(30, 3, 1);
  const auto release = [&](RandomBits& bits) {
    return release_bags(bags, responses, laplace(1, 1), bits).means;
  };
  SeededBits one(1);
  SeededBits same(1);
  SeededBits other(2);
  SecureBits secure;
  const auto first = release(one);
  EXPECT_EQ(first, release(same));
  EXPECT_NE(first, release(other));
  EXPECT_NE(first, release(secure));
}

TEST(ReleaseBags, RefuseWhatDoesNotFit) {
  SeededBits bits(1);
  const Bags bags = single_rows(2);
  EXPECT_THAT(error_of([&] { release_bags(bags, std::vector<double>{1}, laplace(1, 1), bits); }),
              HasSubstr("1 responses for 2 rows"));
  EXPECT_THAT(error_of([&] {
                release_bags(bags, std::vector<double>{1, NAN}, laplace(1, 1), bits);
              }),
              HasSubstr("response of row 1 is nan"));
  EXPECT_THAT(error_of([&] {
                release_bags(bags, std::vector<double>{1, 2}, laplace(1e-12, 1), bits);
              }),
              HasSubstr("so small that the noise hides everything"));
}

}  // namespace
}  // namespace amalgam::labels
