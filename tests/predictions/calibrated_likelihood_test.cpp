#include "amalgam/predictions/calibrated_likelihood.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam {
namespace {

std::vector<std::size_t> all(std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

// Logits (0, c) where class 1 is right three times of four: the best probability is 3/4, so that
// c / T = ln 3.
TEST(FittedTemperature, MakesConfidenceTheShareThatIsRight) {
  const std::vector<float> logits{0, 4, 0, 4, 0, 4, 0, 4};
  const std::vector<std::uint32_t> labels{1, 1, 1, 0};
  EXPECT_NEAR(fitted_temperature({"t", logits, 4, 2}, labels, all(4)), 4 / std::log(3.0), 1e-6);
}

TEST(FittedTemperature, StaysWithinBoundsWhereNoneIsBest) {
  const std::vector<float> logits{0, 4, 4, 0};
  // All right: the colder, the better, until the loss is 0 to the last bit.
  const double cold =
      fitted_temperature({"t", logits, 2, 2}, std::vector<std::uint32_t>{1, 0}, all(2));
  EXPECT_GE(cold, 1e-3);
  EXPECT_LT(cold, 0.05);
  EXPECT_NEAR(fitted_temperature({"t", logits, 2, 2}, std::vector<std::uint32_t>{0, 1}, all(2)),
              1e3, 1);
}

// Labels drawn from the softmax of given logits: scaling those changes nothing, as the temperature
// takes it back.
TEST(CalibratedLogLikelihood, DoesNotDependOnTheScaleOfLogits) {
  RandomStream random(1, "logits");
  std::vector<float> logits;
  std::vector<std::uint32_t> labels;
  for (int i = 0; i < 2000; ++i) {
    const double z = 2 * random.normal();
    logits.insert(logits.end(), {0.0F, static_cast<float>(z)});
    labels.push_back(random.uniform() < 1 / (1 + std::exp(-z)) ? 1 : 0);
  }
  std::vector<float> tripled = logits;
  for (float& logit : tripled) logit *= 3;
  const double plain = calibrated_log_likelihood({"t", logits, 2000, 2}, labels, 1);
  EXPECT_NEAR(calibrated_log_likelihood({"t", tripled, 2000, 2}, labels, 1), plain, 1e-5);
  // Uncalibrated, the tripled ones are worse; at temperature 1 the plain ones are right already.
  double own = 0;
  for (std::size_t i = 0; i < 2000; ++i) {
    const double z = logits[2 * i + 1];
    own -= std::log(1 + std::exp(labels[i] == 1 ? -z : z)) / 2000;
  }
  EXPECT_NEAR(plain, own, 0.02);
}

TEST(CalibratedLogLikelihood, RefusesWhatItCannotScore) {
  const std::vector<float> logits{0, 4, 4, 0};
  const LogitTable table{"t", logits, 2, 2};
  EXPECT_THROW(calibrated_log_likelihood(table, std::vector<std::uint32_t>{0, 2}, 1), InputError);
  EXPECT_THROW(calibrated_log_likelihood(table, std::vector<std::uint32_t>{0}, 1), InputError);
}

}  // namespace
}  // namespace amalgam
