#include <gmock/gmock.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/trainer.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TrainingRecipe recipe(std::uint64_t epochs) {
  TrainingRecipe made;
  made.network = nlohmann::json{{"architecture", "mlp"}, {"hidden", {16}}};
  made.epochs = epochs;
  made.batch = 32;
  made.optimizer.learning_rate = 0.05;
  made.seed = 3;
  return made;
}

torch::Tensor certain(const torch::Tensor& labels) {
  return torch::one_hot(labels, 4).to(torch::kFloat);
}

TEST(SoftLabels, CrossEntropyIsTheMeanOverExamplesOfMinusSumOfPTimesLogQ) {
  Batch batch;
  batch.labels = torch::zeros({2}, torch::kLong);
  batch.soft_labels = torch::tensor({{0.25F, 0.75F}, {1.0F, 0.0F}});
  // Softmax of (0, ln 3) is (1/4, 3/4), of (0, 0) is (1/2, 1/2).
  const torch::Tensor logits = torch::tensor({{0.0, std::log(3.0)}, {0.0, 0.0}}, torch::kFloat);
  const double first = -(.25 * std::log(.25) + .75 * std::log(.75));
  EXPECT_NEAR(training_loss(logits, batch, 0).item<double>(), (first + std::log(2.0)) / 2, 1e-6);
}

TEST(SoftLabels, ThatAreCertainTrainAsLabelsDo) {
  const Dataset hard = toy_data(128, 1);
  Dataset soft = hard;
  soft.soft_labels = certain(hard.labels);
  const auto by_labels = initial_network(recipe(3), hard);
  const auto by_soft = initial_network(recipe(3), soft);
  train(*by_labels, hard, recipe(3));
  train(*by_soft, soft, recipe(3));
  EXPECT_LT((all_parameters(*by_labels) - all_parameters(*by_soft)).abs().max().item<double>(),
            1e-4);
}

TEST(SoftLabels, AreWhatIsLearntWhereTheyContradictTheLabels) {
  Dataset data = toy_data(400, 1);
  const torch::Tensor truth = data.labels;
  data.soft_labels = certain(truth);
  data.labels = torch::zeros_like(truth);
  TrainingRecipe mixed = recipe(30);
  mixed.mixup = 0.2;
  const auto network = initial_network(mixed, data);
  train(*network, data, mixed);
  const auto guess = predict_logits(*network, toy_data(200, 2)).argmax(1);
  EXPECT_GT(guess.eq(toy_data(200, 2).labels).to(torch::kDouble).mean().item<double>(), 0.9);
}

TEST(SoftLabels, FollowTheirExamples) {
  Dataset data = toy_data(6, 1);
  data.soft_labels = torch::arange(24, torch::kFloat).reshape({6, 4});
  EXPECT_EQ(data.range(2, 2).soft_labels[0][0].item<float>(), 8);
  const std::vector<std::size_t> places{5, 0};
  EXPECT_EQ(data.select(places).soft_labels[0][3].item<float>(), 23);
  const std::vector<Dataset> both{data, data};
  EXPECT_EQ(joined(both).soft_labels.size(0), 12);
  const std::vector<Dataset> mixed{data, toy_data(6, 2)};
  EXPECT_THAT([&] { joined(mixed); }, ThrowsMessage<InputError>(HasSubstr("soft labels")));
}

TEST(SoftLabels, OfAnotherShapeAreRefused) {
  Dataset data = toy_data(8, 1);
  data.soft_labels = torch::ones({8, 3});
  const auto network = initial_network(recipe(1), toy_data(8, 1));
  EXPECT_THAT([&] { train(*network, data, recipe(1)); },
              ThrowsMessage<InputError>(HasSubstr("soft labels of shape [8, 3]; expected [8, 4]")));
}

}  // namespace
}  // namespace amalgam::learning
