#include "amalgam/weights/learned/parameter_search.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::Network;
using Points = std::vector<std::vector<std::string>>;

// A network whose logits are those of a trained-like one times the value after '='.
std::shared_ptr<Network> scaled(const std::vector<std::string>& parameters) {
  auto network = learning::network_with_biases("mlp", {{"hidden", {6}}}, 3);
  const torch::NoGradGuard no_grad;
  const std::string& text = parameters.front();
  const double factor = std::strtod(text.c_str() + text.find('=') + 1, nullptr);
  for (auto& [name, tensor] : learning::state_of(*network)) {
    if (name.starts_with("layers.1.")) torch::Tensor(tensor).mul_(factor);
  }
  return network;
}

learning::Evaluation judged(Network& network, const Dataset& data) {
  return learning::evaluate(learning::log_probabilities(learning::predict_logits(network, data)),
                            data.labels, data.class_names, {.resamples = 0});
}

TEST(ParameterSearch, ChoosesTheLowestMeanLossOverTheTasks) {
  const std::vector<Dataset> tasks{learning::toy_data(80, 1), learning::toy_data(50, 2)};
  const Points points{{"scale=4"}, {"scale=0.01"}, {"scale=1"}};
  std::size_t calls = 0;
  const ParameterSearch search = search_parameters(points, scaled, tasks, SearchFigure::nll,
                                                   [&](const SearchTrial&) { ++calls; });
  ASSERT_EQ(search.trials.size(), 3U);
  EXPECT_EQ(calls, 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto network = scaled(points[i]);
    const auto first = judged(*network, tasks[0]);
    const auto second = judged(*network, tasks[1]);
    EXPECT_EQ(search.trials[i].parameters, points[i]);
    EXPECT_NEAR(search.trials[i].nll, (first.nll + second.nll) / 2, 1e-12);
    EXPECT_NEAR(search.trials[i].accuracy, (first.accuracy + second.accuracy) / 2, 1e-12);
    EXPECT_GE(search.trials[i].nll, search.trials[search.best].nll);
  }
}

// A positive factor changes no prediction.
TEST(ParameterSearch, OfEqualAccuraciesTheFirstWins) {
  const std::vector<Dataset> tasks{learning::toy_data(80, 1)};
  const ParameterSearch search = search_parameters({{"s=2"}, {"s=1"}, {"s=3"}}, scaled, tasks);
  EXPECT_EQ(search.trials[0].accuracy, search.trials[2].accuracy);
  EXPECT_EQ(search.best, 0U);
}

TEST(ParameterSearch, WhatIsNotFiniteNeverWins) {
  const std::vector<Dataset> tasks{learning::toy_data(40, 1)};
  EXPECT_EQ(search_parameters({{"s=nan"}, {"s=1"}}, scaled, tasks, SearchFigure::nll).best, 1U);
  EXPECT_THROW(search_parameters({{"s=nan"}}, scaled, tasks, SearchFigure::nll), InputError);
}

TEST(ParameterSearch, NeedsPointsAndData) {
  EXPECT_THROW(search_parameters({}, scaled, {learning::toy_data(4, 1)}), InputError);
  EXPECT_THROW(search_parameters({{"s=1"}}, scaled, {}), InputError);
}

}  // namespace
}  // namespace amalgam::learned
