// Merges whose coefficients are learned: the shared gradient, learned soups, AdaMerging.
#include "amalgam/weights/learned/coefficients.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/weights/learned/adamerging.hpp"
#include "amalgam/weights/learned/learned_soup.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::Network;

std::shared_ptr<Network> small(std::uint64_t seed) {
  return learning::toy_network("mlp", {{"hidden", {5}}}, seed);
}

NamedTensors state(std::uint64_t seed) { return learning::copied_state(*small(seed)); }

double loss_at(MergedPoint& point, const torch::Tensor& coefficients, const Dataset& data) {
  point.move_to(coefficients);
  return mean_entropy(point.network().forward(data.inputs).to(torch::kDouble)).item<double>();
}

TEST(MergedPoint, GradientIsThatOfCentralDifferences) {
  const Dataset data = learning::toy_data(32, 2);
  const NamedTensors base = state(1);
  const std::vector<NamedTensors> directions{subtract(state(2), base), subtract(state(3), base)};
  for (const Granularity granularity : {Granularity::whole, Granularity::tensor}) {
    MergedPoint point(*small(1), &base, directions, granularity);
    const torch::Tensor at = torch::full({point.rows(), 2}, .3, torch::kDouble);
    point.move_to(at);
    mean_entropy(point.network().forward(data.inputs)).backward();
    const torch::Tensor gradient = point.gradient();
    ASSERT_EQ(gradient.sizes(), at.sizes());
    for (std::int64_t row = 0; row < point.rows(); ++row) {
      for (std::int64_t k = 0; k < 2; ++k) {
        constexpr double kStep = 4e-3;  // the network computes in float
        torch::Tensor more = at.clone();
        more[row][k] += kStep;
        torch::Tensor less = at.clone();
        less[row][k] -= kStep;
        const double slope =
            (loss_at(point, more, data) - loss_at(point, less, data)) / (2 * kStep);
        EXPECT_NEAR(gradient[row][k].item<double>(), slope, 5e-3 * std::abs(slope) + 3e-4);
      }
    }
  }
}

TEST(MergedPoint, WholeIsTheSumOfTheTensors) {
  const Dataset data = learning::toy_data(16, 2);
  const NamedTensors base = state(1);
  const std::vector<NamedTensors> directions{subtract(state(2), base)};
  MergedPoint whole(*small(1), &base, directions, Granularity::whole);
  MergedPoint tensors(*small(1), &base, directions, Granularity::tensor);
  whole.move_to(torch::full({1, 1}, .3, torch::kDouble));
  tensors.move_to(torch::full({tensors.rows(), 1}, .3, torch::kDouble));
  mean_entropy(whole.network().forward(data.inputs)).backward();
  mean_entropy(tensors.network().forward(data.inputs)).backward();
  EXPECT_NEAR(whole.gradient().item<double>(), tensors.gradient().sum().item<double>(), 1e-9);
}

TEST(MergedPoint, ZeroIsTheOriginAndOneTheExpert) {
  const NamedTensors base = state(1);
  const NamedTensors expert = state(2);
  MergedPoint point(*small(1), &base, {subtract(expert, base)}, Granularity::whole);
  point.move_to(torch::zeros({1, 1}, torch::kDouble));
  for (std::size_t i = 0; i < base.size(); ++i) {
    EXPECT_TRUE(point.state()[i].second.equal(base[i].second));
  }
  point.move_to(torch::ones({1, 1}, torch::kDouble));
  for (std::size_t i = 0; i < base.size(); ++i) {
    EXPECT_TRUE(torch::allclose(point.state()[i].second, expert[i].second, 1e-6, 1e-7));
  }
}

TEST(MergedPoint, RefusesWhatDoesNotFit) {
  const NamedTensors base = state(1);
  EXPECT_THROW(MergedPoint(*small(1), &base, {}, Granularity::whole), InputError);
  NamedTensors shorter = state(2);
  shorter.pop_back();
  EXPECT_THROW(MergedPoint(*small(1), &base, {shorter}, Granularity::whole), InputError);
}

TEST(LearnedSoup, StartsAsTheUniformSoupAndStaysOnTheSimplex) {
  const Dataset data = learning::toy_data(64, 3);
  const std::vector<NamedTensors> members{state(1), state(2), state(3)};
  const LearnedSoup start = learn_soup(*small(1), members, data, {.epochs = 0});
  EXPECT_TRUE(torch::allclose(start.shares, torch::full_like(start.shares, 1.0 / 3)));
  EXPECT_EQ(start.inverse_temperature, 1);
  for (std::size_t i = 0; i < start.state.size(); ++i) {
    const torch::Tensor mean =
        (members[0][i].second + members[1][i].second + members[2][i].second) / 3;
    EXPECT_TRUE(torch::allclose(start.state[i].second, mean, 1e-5, 1e-6));
  }
  const LearnedSoup soup = learn_soup(*small(1), members, data, {.epochs = 5, .batch = 32});
  EXPECT_TRUE(
      torch::allclose(soup.shares.sum(1), torch::ones({soup.shares.size(0)}, torch::kDouble)));
  EXPECT_EQ(soup.losses.size(), 10U);
  EXPECT_LT(soup.losses.back(), soup.losses.front());
  EXPECT_EQ(soup.row_names.size(), start.state.size());
}

TEST(LearnedSoup, IsTheSameForTheSameSeed) {
  const Dataset data = learning::toy_data(48, 3);
  const std::vector<NamedTensors> members{state(1), state(2)};
  const LearnedSoup a = learn_soup(*small(1), members, data, {.epochs = 2, .seed = 5});
  const LearnedSoup b = learn_soup(*small(1), members, data, {.epochs = 2, .seed = 5});
  EXPECT_TRUE(a.shares.equal(b.shares));
}

TEST(Entropy, OfKnownLogits) {
  EXPECT_NEAR(mean_entropy(torch::zeros({3, 4}, torch::kDouble)).item<double>(), std::log(4.0),
              1e-12);
  EXPECT_NEAR(mean_entropy(torch::tensor({{1.0, 0.0}}, torch::kDouble)).item<double>(), .582203,
              1e-6);
}

TEST(AdaMerging, OneStepMovesEveryCoefficientByTheRate) {
  const Dataset data = learning::toy_data(64, 3);
  const NamedTensors base = state(1);
  const std::vector<NamedTensors> vectors{subtract(state(2), base), subtract(state(3), base)};
  const AdaMerging merged = adamerge(*small(1), base, vectors, {data}, {.steps = 1, .batch = 64});
  for (const double value :
       {merged.coefficients[0][0].item<double>(), merged.coefficients[0][1].item<double>()}) {
    EXPECT_NEAR(std::abs(value - .3), 1e-3, 1e-6);
  }
}

TEST(AdaMerging, EqualExpertsKeepEqualCoefficientsAndNoneMovesWithoutDifference) {
  const Dataset data = learning::toy_data(64, 3);
  const NamedTensors base = state(1);
  const NamedTensors vector = subtract(state(2), base);
  const AdaMerging same =
      adamerge(*small(1), base, {vector, vector}, {data}, {.learning_rate = .01, .steps = 20});
  EXPECT_EQ(same.coefficients[0][0].item<double>(), same.coefficients[0][1].item<double>());
  const AdaMerging still = adamerge(*small(1), base, {subtract(base, base)}, {data}, {.steps = 5});
  EXPECT_EQ(still.coefficients[0][0].item<double>(), .3);
}

TEST(AdaMerging, LowersTheEntropyAndReportsIt) {
  const Dataset data = learning::toy_data(64, 3);
  const NamedTensors base = state(1);
  const std::vector<NamedTensors> vectors{subtract(state(2), base), subtract(state(3), base)};
  const AdaMerging merged = adamerge(
      *small(1), base, vectors, {data},
      {.granularity = Granularity::tensor, .learning_rate = .02, .steps = 60, .batch = 32});
  EXPECT_LT(merged.entropy_after.front(), merged.entropy_before.front());
  EXPECT_GE(merged.coefficients.min().item<double>(), 0);
  EXPECT_LE(merged.coefficients.max().item<double>(), 1);
}

// The published task-wise row on task vectors e_k gives that row.
TEST(AdaMerging, GivenCoefficientsAreApplied) {
  const std::vector<double> row{.2202, .1413, .2826, .3284, .2841, .4003, .1978, .1692};
  std::vector<NamedTensors> members;
  std::vector<SourcePointer> sources;
  std::string weights = "weight=";
  const NamedTensors base{{"w", torch::zeros({8}, torch::kDouble)}};
  for (std::int64_t k = 0; k < 8; ++k) {
    members.push_back({{"w", torch::eye(8, torch::kDouble)[k].clone()}});
    sources.push_back(as_source(members.back(), "expert"));
    weights += (k == 0 ? "" : ",") + std::to_string(row[static_cast<std::size_t>(k)]);
  }
  const auto merged = merge_in_memory({.method = "task_arithmetic",
                                       .base = as_source(base, "base"),
                                       .members = sources,
                                       .parameters = {weights},
                                       .files = {}});
  EXPECT_TRUE(
      torch::allclose(as_tensors(*merged)[0].second, torch::tensor(row, torch::kDouble), 0, 1e-12));
}

// A raw value beyond 1 has no gradient; projected it stays where it can come back from.
TEST(AdaMerging, ProjectedValuesNeverLeaveTheInterval) {
  const Dataset data = learning::toy_data(64, 3);
  const NamedTensors base = state(1);
  const std::vector<NamedTensors> vectors{subtract(state(2), base), subtract(state(3), base)};
  const auto run = [&](bool project) {
    return adamerge(*small(1), base, vectors, {data},
                    {.granularity = Granularity::tensor,
                     .project = project,
                     .learning_rate = .2,
                     .steps = 30,
                     .batch = 32});
  };
  EXPECT_GT(run(false).dead, 0U);
  const AdaMerging projected = run(true);
  EXPECT_EQ(projected.dead, 0U);
  EXPECT_GE(projected.coefficients.min().item<double>(), 0);
  EXPECT_LE(projected.coefficients.max().item<double>(), 1);
  EXPECT_LT(projected.entropy_after.front(), projected.entropy_before.front());
}

TEST(AdaMerging, RefusesTasksWithoutInputs) {
  const NamedTensors base = state(1);
  EXPECT_THROW(adamerge(*small(1), base, {state(2)}, {}, {}), InputError);
}

// The card's example: keep 3 of 5.
TEST(AdaMerging, ElectedTaskVectorsShareTheirSigns) {
  const auto vector = [](std::vector<double> values) {
    return NamedTensors{{"w", torch::tensor(values, torch::kDouble)}};
  };
  const auto elected =
      elect_task_vectors({vector({.5, -.1, .3, .02, -.4}), vector({-.6, .2, .35, -.01, .1})}, .6);
  EXPECT_TRUE(elected[0][0].second.equal(torch::tensor({0., 0., .3, 0., -.4}, torch::kDouble)));
  EXPECT_TRUE(elected[1][0].second.equal(torch::tensor({-.6, .2, .35, 0., 0.}, torch::kDouble)));
  const auto whole = elect_task_vectors({vector({1, -2, 3})}, 1);
  EXPECT_TRUE(whole[0][0].second.equal(torch::tensor({1., -2., 3.}, torch::kDouble)));
  EXPECT_THROW(elect_task_vectors({vector({1})}, 0), InputError);
}

}  // namespace
}  // namespace amalgam::learned
