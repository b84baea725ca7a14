#include "amalgam/weights/learned/soup_diagnostics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "amalgam/core/error.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

NamedTensors weights(std::vector<double> values) {
  return {{"w", torch::tensor(values, torch::kDouble)}};
}

// Logits (0, theta^2), label 1, theta from 1 to 1.2: log(1 + e^-1.21) - log(1 + e^-1.22).
TEST(SoupVersusEnsemble, OfTheWorkedExample) {
  const auto logits = [](double alpha) {
    const double theta = 1 + .2 * alpha;
    return torch::tensor({{0.0, theta * theta}}, torch::kDouble);
  };
  const torch::Tensor labels = torch::tensor({std::int64_t{1}});
  const SoupVersusEnsemble found = soup_versus_ensemble(logits, labels, {.step = 1e-3});
  EXPECT_NEAR(found.measured(), .00228818, 1e-8);
  EXPECT_NEAR(found.predicted, .00229701, 1e-7);
  EXPECT_NEAR(found.soup_loss, std::log1p(std::exp(-1.21)), 1e-12);
  EXPECT_NEAR(found.ensemble_loss, std::log1p(std::exp(-1.22)), 1e-12);
}

// Logits that are linear in the weights: soup and ensemble are one, and the curvature is beta^2
// times the variance.
TEST(SoupVersusEnsemble, IsNothingForLinearModels) {
  const torch::Tensor inputs = torch::linspace(-1, 1, 12, torch::kDouble).view({4, 3});
  const torch::Tensor first = torch::linspace(-2, 2, 6, torch::kDouble).view({3, 2});
  const torch::Tensor second = torch::linspace(1, -1, 6, torch::kDouble).square().view({3, 2});
  const auto logits = [&](double alpha) {
    return torch::mm(inputs, (1 - alpha) * first + alpha * second);
  };
  const torch::Tensor labels = torch::tensor({0, 1, 1, 0}, torch::kLong);
  for (const double beta : {.5, 1.0, 3.0}) {
    const SoupVersusEnsemble found = soup_versus_ensemble(
        logits, labels, {.alpha = .3, .inverse_temperature = beta, .step = 1e-3});
    EXPECT_NEAR(found.measured(), 0, 1e-12);
    EXPECT_NEAR(found.curvature, beta * beta * found.variance, 1e-5);
    EXPECT_NEAR(found.predicted, 0, 1e-6);
    EXPECT_GT(found.variance, .01);
  }
}

TEST(SoupVersusEnsemble, StaysBetweenTheNetworks) {
  double lowest = 1;
  double highest = 0;
  const auto logits = [&](double alpha) {
    lowest = std::min(lowest, alpha);
    highest = std::max(highest, alpha);
    return torch::tensor({{0.0, alpha}}, torch::kDouble);
  };
  soup_versus_ensemble(logits, torch::zeros({1}, torch::kLong), {.alpha = .95, .step = .2});
  EXPECT_GE(lowest, 0);
  EXPECT_LE(highest, 1);
}

TEST(SoupVersusEnsemble, RefusesWhatIsNoMixture) {
  const auto logits = [](double) { return torch::zeros({2, 3}, torch::kDouble); };
  const torch::Tensor labels = torch::zeros({2}, torch::kLong);
  EXPECT_THROW(soup_versus_ensemble(logits, labels, {.alpha = 0}), InputError);
  EXPECT_THROW(soup_versus_ensemble(logits, labels, {.alpha = 1}), InputError);
  EXPECT_THROW(soup_versus_ensemble(logits, labels, {.inverse_temperature = 0}), InputError);
  EXPECT_THROW(soup_versus_ensemble(logits, torch::zeros({3}, torch::kLong)), InputError);
}

TEST(WeightGeometry, MeasuresAnglesAtTheBase) {
  const WeightGeometry right = weight_geometry(weights({2, 0}), weights({1, 1}), weights({1, 0}));
  EXPECT_NEAR(right.angle, 90, 1e-9);
  EXPECT_NEAR(right.distance, std::sqrt(2), 1e-12);
  EXPECT_NEAR(right.relative_distance, 2 * std::sqrt(2) / (2 + std::sqrt(2)), 1e-12);
  EXPECT_NEAR(weight_geometry(weights({2, 0}), weights({3, 0}), weights({1, 0})).angle, 0, 1e-5);
  EXPECT_NEAR(weight_geometry(weights({2, 0}), weights({0, 0}), weights({1, 0})).angle, 180, 1e-5);
  EXPECT_TRUE(std::isnan(weight_geometry(weights({1, 0}), weights({0, 0}), weights({1, 0})).angle));
  EXPECT_THROW(weight_geometry(weights({1, 0}), weights({1}), weights({1, 0})), InputError);
}

}  // namespace
}  // namespace amalgam::learned
