// Validation after every epoch, early stopping, and runs that end badly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/trainer.hpp"
#include "amalgam/learning/validation.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

using testing::HasSubstr;

TrainingRecipe recipe_of(nlohmann::json json) {
  json["network"] = {{"architecture", "mlp"}, {"hidden", {16}}};
  return parse_recipe(std::move(json), "test");
}

TrainingOptions judged_by(const Dataset& validation) {
  TrainingOptions options;
  options.progress = Progress::Mode::never;
  options.validation = &validation;
  return options;
}

// Training examples with labels at random, which a network can only learn by heart: the loss on
// others rises soon.
Dataset random_labels(std::int64_t count) {
  Dataset data = toy_data(count, 5);
  RandomStream random(7, "labels");
  for (std::int64_t i = 0; i < count; ++i) {
    data.labels[i] = static_cast<std::int64_t>(random.below(4));
  }
  return data;
}

const nlohmann::json kOverfits{{"epochs", 60},
                               {"batch", 8},
                               {"optimizer", {{"name", "adam"}, {"learning_rate", 0.02}}},
                               {"schedule", {{"name", "constant"}}},
                               {"early_stop", {{"patience", 3}}}};

TEST(Validation, FiguresAreThoseOfEvaluation) {
  const Dataset data = toy_data(300, 1);
  const auto network = network_with_biases("mlp", {{"hidden", {8}}}, 3);
  network->train();
  const ValidationFigures figures = validate(*network, data);
  EXPECT_TRUE(network->is_training());
  const Evaluation expected = evaluate(log_probabilities(predict_logits(*network, data)),
                                       data.labels, data.class_names, {.resamples = 0});
  EXPECT_NEAR(figures.loss, expected.nll, 1e-6);
  EXPECT_EQ(figures.accuracy, expected.accuracy);
}

TEST(Validation, IsRecordedAfterEveryEpochAndChangesNothing) {
  const Dataset data = toy_data(100, 1);
  const Dataset held_out = toy_data(50, 2);
  for (const char* average : {"none", "ema", "swa"}) {
    const TrainingRecipe recipe =
        recipe_of({{"epochs", 3}, {"batch", 16}, {"average", {{"name", average}}}});
    const auto judged = initial_network(recipe, data);
    const TrainingReport report = train(*judged, data, recipe, judged_by(held_out));
    ASSERT_TRUE(report.epochs.front().validation);
    // The last figures are those of the finished network, averages included.
    EXPECT_EQ(report.epochs.back().validation->loss, validate(*judged, held_out).loss) << average;
    EXPECT_FALSE(report.best_epoch);
    const auto plain = initial_network(recipe, data);
    TrainingOptions quiet;
    quiet.progress = Progress::Mode::never;
    EXPECT_FALSE(train(*plain, data, recipe, quiet).epochs.back().validation);
    EXPECT_TRUE(torch::equal(all_parameters(*judged), all_parameters(*plain))) << average;
  }
}

TEST(EarlyStop, EndsAfterThePatienceWithTheBestWeights) {
  const Dataset data = random_labels(64);
  const Dataset held_out = toy_data(60, 9);
  const TrainingRecipe recipe = recipe_of(kOverfits);
  const auto network = initial_network(recipe, data);
  const TrainingReport report = train(*network, data, recipe, judged_by(held_out));
  ASSERT_TRUE(report.best_epoch);
  ASSERT_LT(report.epochs.size(), 60U);
  EXPECT_EQ(report.epochs.size(), *report.best_epoch + 1 + 3);
  EXPECT_EQ(report.steps, report.epochs.size() * 8);
  const double best = report.epochs[*report.best_epoch].validation->loss;
  for (const EpochRecord& epoch : report.epochs) EXPECT_GE(epoch.validation->loss, best);
  EXPECT_EQ(validate(*network, held_out).loss, best);
  EXPECT_GT(report.epochs.back().validation->loss, best);
  EXPECT_FALSE(network->is_training());
}

TEST(EarlyStop, ARunThatEndsByItselfHasTheBestWeightsToo) {
  const Dataset data = random_labels(64);
  const Dataset held_out = toy_data(60, 9);
  nlohmann::json json = kOverfits;
  json["epochs"] = 12;
  json["early_stop"] = {{"patience", 100}};
  const TrainingRecipe recipe = recipe_of(json);
  const auto network = initial_network(recipe, data);
  const TrainingReport report = train(*network, data, recipe, judged_by(held_out));
  EXPECT_EQ(report.epochs.size(), 12U);
  EXPECT_LT(*report.best_epoch, 11U);
  EXPECT_EQ(validate(*network, held_out).loss, report.epochs[*report.best_epoch].validation->loss);
}

TEST(EarlyStop, ResumesWithTheSameBits) {
  const Dataset data = random_labels(64);
  const Dataset held_out = toy_data(60, 9);
  const TemporaryFolder folder;
  for (const char* average : {"none", "ema"}) {
    nlohmann::json json = kOverfits;
    json["average"] = {{"name", average}};
    const TrainingRecipe recipe = recipe_of(json);
    const auto expected = initial_network(recipe, data);
    const TrainingReport whole = train(*expected, data, recipe, judged_by(held_out));
    ASSERT_LT(whole.epochs.size(), 60U);
    // Stopped after the best epoch, while patience runs out.
    TrainingOptions options = judged_by(held_out);
    options.state_file = folder / "state.safetensors";
    options.after_epoch = [&](std::uint64_t epoch) {
      if (epoch == *whole.best_epoch + 1) throw Interrupted();
    };
    const auto stopped = initial_network(recipe, data);
    EXPECT_THROW(train(*stopped, data, recipe, options), Interrupted);
    options.after_epoch = nullptr;
    options.resume = true;
    const auto network = initial_network(recipe, data);
    const TrainingReport rest = train(*network, data, recipe, options);
    EXPECT_EQ(rest.first_epoch, *whole.best_epoch + 2);
    EXPECT_EQ(rest.best_epoch, whole.best_epoch);
    ASSERT_EQ(rest.epochs.size(), whole.epochs.size());
    for (std::size_t i = 0; i < whole.epochs.size(); ++i) {
      EXPECT_EQ(rest.epochs[i].validation->loss, whole.epochs[i].validation->loss);
    }
    EXPECT_TRUE(torch::equal(all_parameters(*network), all_parameters(*expected))) << average;
    std::filesystem::remove(options.state_file);
  }
}

// Losses 1, .9, .85, .84, .84, .9 with changes of more than .1 asked for: only .85 is better than
// the first (0.9 is not, by exactly .1).
TEST(EarlyStop, CountsChangesThatAreLargeEnough) {
  const EarlyStopper stopper(EarlyStop{.patience = 2, .min_change = 0.1});
  const auto network = toy_network("mlp", {{"hidden", {2}}}, 1);
  TrainingProgress progress;
  std::vector<std::uint64_t> best;
  std::vector<bool> stops;
  for (const double loss : {1.0, 0.9, 0.85, 0.84, 0.8, 0.7}) {
    progress.epochs.push_back({0, 0, ValidationFigures{loss, 1 - loss}});
    stopper.note(progress.epochs.size() - 1, {loss, 1 - loss}, *network, progress);
    best.push_back(*progress.best_epoch);
    stops.push_back(stopper.stops(progress));
  }
  EXPECT_EQ(best, (std::vector<std::uint64_t>{0, 0, 2, 2, 2, 5}));
  EXPECT_EQ(stops, (std::vector<bool>{false, false, false, false, true, false}));

  const EarlyStopper by_accuracy(EarlyStop{.patience = 1, .metric = EarlyStop::Metric::accuracy});
  TrainingProgress other;
  for (const double accuracy : {0.5, 0.6, 0.6}) {
    other.epochs.push_back({0, 0, ValidationFigures{0, accuracy}});
    by_accuracy.note(other.epochs.size() - 1, {0, accuracy}, *network, other);
  }
  EXPECT_EQ(*other.best_epoch, 1U);
  EXPECT_TRUE(by_accuracy.stops(other));
}

TEST(EarlyStop, NeedsExamplesToJudgeBy) {
  const Dataset data = toy_data(20, 1);
  TrainingOptions options;
  options.progress = Progress::Mode::never;
  const TrainingRecipe recipe = recipe_of({{"early_stop", {{"patience", 1}}}});
  const auto network = initial_network(recipe, data);
  expect_error<InputError>([&] { train(*network, data, recipe, options); }, "validation examples");
  Dataset none = data;
  none.inputs = data.inputs.narrow(0, 0, 0);
  none.labels = data.labels.narrow(0, 0, 0);
  options.validation = &none;
  expect_error<InputError>([&] { train(*network, data, recipe, options); },
                           "no examples to validate on");
  options.validation = &data;
  expect_error<InputError>([&] { train(*network, none, recipe, options); },
                           "toy: no examples to train on");
}

class DivergingRun : public ::testing::Test {
 protected:
  // The third epoch meets an example that is not finite.
  Diverged run(std::uint64_t bad_epoch) {
    const TrainingRecipe recipe = recipe_of({{"epochs", 5}, {"batch", 10}});
    network_ = initial_network(recipe, data_);
    TrainingOptions options;
    options.progress = Progress::Mode::never;
    options.state_file = folder_ / "state.safetensors";
    Dataset data = data_;
    data.inputs = data_.inputs.clone();
    options.before_forward = [&](std::uint64_t step) {
      if (step == bad_epoch * 4 + 1) {
        const torch::NoGradGuard no_grad;
        network_->parameters().front().fill_(std::numeric_limits<float>::quiet_NaN());
      }
    };
    options.after_epoch = [&](std::uint64_t) { good_ = all_parameters(*network_); };
    good_ = all_parameters(*network_);
    try {
      train(*network_, data, recipe, options);
    } catch (const Diverged& error) {
      return error;
    }
    throw Error("the run ended well");
  }

  const Dataset data_ = toy_data(40, 1);
  const TemporaryFolder folder_;
  std::shared_ptr<Network> network_;
  torch::Tensor good_;
};

TEST_F(DivergingRun, LeavesTheWeightsAfterTheLastWholeEpoch) {
  const Diverged error = run(2);
  EXPECT_THAT(error.what(), HasSubstr("the loss is nan at step 10 of 20 (epoch 3)"));
  EXPECT_EQ(error.whole_epochs(), 2U);
  EXPECT_TRUE(torch::equal(all_parameters(*network_), good_));
  EXPECT_FALSE(network_->is_training());
  EXPECT_TRUE(std::filesystem::exists(folder_ / "state.safetensors"));
}

TEST_F(DivergingRun, InTheFirstEpochLeavesTheStart) {
  const Diverged error = run(0);
  EXPECT_EQ(error.whole_epochs(), 0U);
  EXPECT_TRUE(torch::equal(all_parameters(*network_), good_));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "state.safetensors"));
}

// The last update's weights are seen by no loss.
TEST(Diverging, WeightsThatTheLastStepSpoilsAreFound) {
  const Dataset data = toy_data(40, 1);
  const TrainingRecipe recipe = recipe_of({{"epochs", 1}, {"batch", 40}});
  const auto network = initial_network(recipe, data);
  TrainingOptions options;
  options.progress = Progress::Mode::never;
  options.before_update = [&](std::uint64_t) {
    network->parameters().front().mutable_grad().fill_(std::numeric_limits<float>::infinity());
  };
  expect_error<Diverged>([&] { train(*network, data, recipe, options); }, "layers.0.weight",
                         "not finite at step 1 of 1");
}

}  // namespace
}  // namespace amalgam::learning
