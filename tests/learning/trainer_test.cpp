#include "amalgam/learning/trainer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

TrainingRecipe recipe_of(nlohmann::json json) {
  if (!json.contains("network")) {
    json["network"] = {{"architecture", "mlp"}, {"hidden", {16}}};
  }
  return parse_recipe(std::move(json), "test");
}

TrainingOptions quiet() {
  TrainingOptions options;
  options.progress = Progress::Mode::never;
  return options;
}

// The weights after training from the recipe's own start.
torch::Tensor trained(const TrainingRecipe& recipe, const Dataset& data,
                      const TrainingOptions& options = quiet()) {
  const auto network = initial_network(recipe, data);
  train(*network, data, recipe, options);
  return all_parameters(*network);
}

double accuracy(Network& network, const Dataset& data) {
  return evaluate(log_probabilities(predict_logits(network, data)), data.labels, data.class_names,
                  {.resamples = 0})
      .accuracy;
}

TEST(Trainer, EveryOptimiserAndArchitectureLearnsTheToyProblem) {
  const Dataset data = toy_data(600, 1);
  const Dataset test = toy_data(400, 2);
  const nlohmann::json cnn{{"architecture", "cnn"}, {"channels", {8}}, {"hidden", {16}}};
  const nlohmann::json mlp{{"architecture", "mlp"}, {"hidden", {16}}};
  for (const auto& network_options : {mlp, cnn}) {
    for (const nlohmann::json& optimizer :
         {nlohmann::json{{"name", "sgd"}, {"learning_rate", 0.05}},
          nlohmann::json{{"name", "adam"}, {"learning_rate", 0.005}},
          nlohmann::json{{"name", "adamw"}, {"learning_rate", 0.005}, {"weight_decay", 0.01}}}) {
      const TrainingRecipe recipe = recipe_of(
          {{"network", network_options}, {"optimizer", optimizer}, {"epochs", 6}, {"batch", 32}});
      const auto network = initial_network(recipe, data);
      EXPECT_LT(accuracy(*network, test), 0.6);
      const TrainingReport report = train(*network, data, recipe, quiet());
      EXPECT_GT(accuracy(*network, test), 0.95) << optimizer << network_options;
      EXPECT_LT(report.epochs.back().loss, 0.5 * report.epochs.front().loss);
      EXPECT_EQ(report.steps, 6U * 19U);
      EXPECT_FALSE(network->is_training());
    }
  }
}

TEST(Trainer, SgdStepIsTheFormula) {
  // One batch of everything, one step: w - rate * (gradient + decay * w).
  const Dataset data = toy_data(20, 1);
  const TrainingRecipe recipe =
      recipe_of({{"epochs", 1},
                 {"batch", 20},
                 {"optimizer", {{"learning_rate", 0.1}, {"weight_decay", 0.01}, {"momentum", 0.9}}},
                 {"schedule", {{"name", "constant"}}}});
  const auto network = initial_network(recipe, data);
  const torch::Tensor loss =
      torch::nn::functional::cross_entropy(network->forward(data.inputs), data.labels);
  loss.backward();
  std::vector<torch::Tensor> expected;
  for (const auto& one : network->parameters()) {
    expected.push_back((one - 0.1 * (one.grad() + 0.01 * one)).detach().flatten());
  }
  EXPECT_TRUE(torch::allclose(trained(recipe, data), torch::cat(expected), 1e-5, 1e-6));
}

TEST(Trainer, IsAFunctionOfTheSeed) {
  const Dataset data = toy_data(100, 1);
  const auto with_seed = [&](std::uint64_t seed) {
    return trained(recipe_of({{"epochs", 2},
                              {"seed", seed},
                              {"mixup", 0.3},
                              {"augment", {{"flip", true}, {"shift", 1}, {"noise", 0.1}}}}),
                   data);
  };
  torch::manual_seed(1);
  const torch::Tensor first = with_seed(1);
  torch::manual_seed(2);
  EXPECT_TRUE(torch::equal(first, with_seed(1)));
  EXPECT_FALSE(torch::equal(first, with_seed(2)));
}

TEST(Trainer, ResumesWithTheSameBits) {
  const Dataset data = toy_data(100, 1);
  const fs::path state =
      fs::temp_directory_path() / ("amalgam-" + std::to_string(getpid()) + ".safetensors");
  for (const nlohmann::json& optimizer :
       {nlohmann::json{{"name", "sgd"}}, nlohmann::json{{"name", "sgd"}, {"momentum", 0}},
        nlohmann::json{{"name", "adam"}}, nlohmann::json{{"name", "adamw"}}}) {
    for (const char* average : {"none", "ema", "swa"}) {
      const TrainingRecipe recipe = recipe_of({{"epochs", 4},
                                               {"batch", 16},
                                               {"optimizer", optimizer},
                                               {"mixup", 0.2},
                                               {"schedule", {{"name", "cosine"}, {"warmup", 5}}},
                                               {"average", {{"name", average}}}});
      const torch::Tensor expected = trained(recipe, data);

      TrainingOptions options = quiet();
      options.state_file = state;
      options.after_epoch = [](std::uint64_t epoch) {
        if (epoch == 1) throw Interrupted();
      };
      EXPECT_THROW(trained(recipe, data, options), Interrupted);
      ASSERT_TRUE(fs::exists(state));

      options.after_epoch = nullptr;
      options.resume = true;
      const auto network = initial_network(recipe, data);
      const TrainingReport report = train(*network, data, recipe, options);
      EXPECT_EQ(report.first_epoch, 2U);
      EXPECT_EQ(report.epochs.size(), 4U);
      EXPECT_TRUE(torch::equal(all_parameters(*network), expected)) << optimizer << average;
      fs::remove(state);
    }
  }
}

TEST(Trainer, RefusesTheStateOfAnotherRecipe) {
  const Dataset data = toy_data(40, 1);
  TrainingOptions options = quiet();
  options.state_file =
      fs::temp_directory_path() / ("amalgam-other-" + std::to_string(getpid()) + ".safetensors");
  trained(recipe_of({{"epochs", 2}}), data, options);
  options.resume = true;
  try {
    trained(recipe_of({{"epochs", 2}, {"seed", 3}}), data, options);
    ADD_FAILURE() << "another recipe was accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("another recipe"));
    EXPECT_THAT(error.what(), HasSubstr(options.state_file.string()));
  }
  fs::remove(options.state_file);
}

TEST(Trainer, StopsWhenTheLossIsNotFiniteAndSaysTheStep) {
  const Dataset data = toy_data(64, 1);
  const TrainingRecipe recipe =
      recipe_of({{"epochs", 50},
                 {"batch", 16},
                 {"schedule", {{"name", "constant"}}},
                 {"optimizer", {{"learning_rate", 100.0}, {"weight_decay", 100.0}}}});
  try {
    trained(recipe, data);
    ADD_FAILURE() << "a diverging run ended well";
  } catch (const InputError&) {
    ADD_FAILURE() << "not the user's input";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("at step "));
    EXPECT_THAT(error.what(), HasSubstr("learning_rate"));
  }
}

TEST(Trainer, StopsBetweenStepsWhenInterrupted) {
  set_interrupt(true);
  EXPECT_THROW(trained(recipe_of({{"epochs", 2}}), toy_data(20, 1)), Interrupted);
  set_interrupt(false);
}

TEST(TrainingLoss, MixesTheLossesOfBothLabels) {
  const torch::Tensor logits = torch::tensor({{1.0F, 2.0F, 0.5F}});
  Batch batch;
  batch.labels = torch::tensor({1L});
  const double first = training_loss(logits, batch, 0).item<double>();
  batch.labels = torch::tensor({2L});
  const double second = training_loss(logits, batch, 0).item<double>();
  batch.labels = torch::tensor({1L});
  batch.second_labels = torch::tensor({2L});
  batch.share = 0.7;
  EXPECT_NEAR(training_loss(logits, batch, 0).item<double>(), 0.7 * first + 0.3 * second, 1e-6);
}

TEST(TrainingLoss, SmoothingSpreadsTheTargetOverAllClasses) {
  const torch::Tensor logits = torch::tensor({{1.0F, 2.0F, 0.5F}});
  Batch batch;
  batch.labels = torch::tensor({1L});
  const torch::Tensor logs = torch::log_softmax(logits, 1)[0];
  const double expected = -(0.8 * logs[1].item<double>() + 0.2 * logs.mean().item<double>());
  EXPECT_NEAR(training_loss(logits, batch, 0.2).item<double>(), expected, 1e-6);
}

TEST(Batches, ShowEveryExampleOncePerEpochInANewOrder) {
  Dataset data = toy_data(50, 1);
  for (std::int64_t i = 0; i < 50; ++i) data.inputs[i].fill_(static_cast<double>(i));
  const TrainingRecipe recipe = recipe_of({{"batch", 16}});
  Batches batches(data, recipe);
  ASSERT_EQ(batches.per_epoch(), 4U);
  std::vector<std::vector<float>> orders;
  for (std::uint64_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<float> seen;
    for (std::uint64_t b = 0; b < 4; ++b) {
      const Batch batch = batches.get(epoch, b);
      EXPECT_EQ(batch.labels.size(0), b < 3 ? 16 : 2);
      for (std::int64_t i = 0; i < batch.labels.size(0); ++i) {
        const auto example = batch.inputs[i][0][0][0].item<float>();
        EXPECT_EQ(batch.labels[i].item<std::int64_t>(),
                  data.labels[static_cast<std::int64_t>(example)].item<std::int64_t>());
        seen.push_back(example);
      }
    }
    orders.push_back(seen);
    std::sort(seen.begin(), seen.end());
    for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(seen[i], static_cast<float>(i));
  }
  EXPECT_NE(orders[0], orders[1]);
}

TEST(Batches, DoNotDependOnWhatWasAskedBefore) {
  const Dataset data = toy_data(50, 1);
  const TrainingRecipe recipe =
      recipe_of({{"batch", 16}, {"mixup", 0.5}, {"augment", {{"shift", 1}, {"noise", 0.1}}}});
  Batches in_order(data, recipe);
  for (std::uint64_t b = 0; b < 4; ++b) (void)in_order.get(0, b);
  const Batch after = in_order.get(3, 2);
  Batches fresh(data, recipe);
  const Batch direct = fresh.get(3, 2);
  EXPECT_TRUE(torch::equal(after.inputs, direct.inputs));
  EXPECT_EQ(after.share, direct.share);
  EXPECT_GT(after.share, 0.0);
  EXPECT_LT(after.share, 1.0);
}

TEST(Batches, MixupSharesHaveTheMomentsOfTheirDistribution) {
  // Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)).
  const Dataset data = toy_data(2, 1);
  for (const double a : {0.2, 2.0}) {
    const TrainingRecipe recipe = recipe_of({{"batch", 2}, {"mixup", a}});
    Batches batches(data, recipe);
    double sum = 0;
    double squares = 0;
    constexpr int kDraws = 4000;
    for (std::uint64_t epoch = 0; epoch < kDraws; ++epoch) {
      const double share = batches.get(epoch, 0).share - 0.5;
      sum += share;
      squares += share * share;
    }
    EXPECT_NEAR(sum / kDraws, 0, 0.03);
    EXPECT_NEAR(squares / kDraws, 1 / (4 * (2 * a + 1)), 0.01) << a;
  }
}

TEST(WeightAverage, EmaAndSwaAreTheirRecurrences) {
  const auto network = toy_network("mlp", {{"hidden", nlohmann::json::array()}}, 1);
  const auto set_all = [&](double value) {
    const torch::NoGradGuard no_grad;
    for (auto& one : network->parameters()) one.fill_(value);
  };
  set_all(1);
  WeightAverage ema(*network, {.kind = AverageOptions::Kind::ema, .decay = 0.5});
  set_all(3);
  ema.after_step();  // (1 + 3) / 2
  ema.after_step();  // (2 + 3) / 2
  ema.apply();
  EXPECT_FLOAT_EQ(all_parameters(*network)[0].item<float>(), 2.5F);

  WeightAverage swa(*network, {.kind = AverageOptions::Kind::swa, .first_epoch = 1});
  for (const double value : {10.0, 1.0, 2.0, 6.0}) {
    set_all(value);
    swa.after_epoch(static_cast<std::uint64_t>(value == 10.0 ? 0 : 1));
  }
  swa.apply();
  EXPECT_FLOAT_EQ(all_parameters(*network)[0].item<float>(), 3.0F);
}

}  // namespace
}  // namespace amalgam::learning
