#include "amalgam/learning/evaluation.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

const std::vector<std::string> kTwo{"a", "b"};

torch::Tensor logs(const std::vector<double>& first_class) {
  torch::Tensor rows =
      torch::empty({static_cast<std::int64_t>(first_class.size()), 2}, torch::kDouble);
  for (std::size_t i = 0; i < first_class.size(); ++i) {
    rows[static_cast<std::int64_t>(i)][0] = std::log(first_class[i]);
    rows[static_cast<std::int64_t>(i)][1] = std::log(1 - first_class[i]);
  }
  return rows;
}

TEST(Evaluation, WorkedByHand) {
  // Probabilities of class a: .9 .8 .3 .4, labels a b b a: right, wrong, right, wrong.
  const Evaluation result =
      evaluate(logs({0.9, 0.8, 0.3, 0.4}), torch::tensor({0L, 1L, 1L, 0L}), kTwo, {.bins = 10});
  EXPECT_EQ(result.examples, 4U);
  EXPECT_DOUBLE_EQ(result.accuracy, 0.5);
  EXPECT_NEAR(result.nll, -(std::log(0.9) + std::log(0.2) + std::log(0.7) + std::log(0.4)) / 4,
              1e-12);
  // Confidences .9 .8 .7 .6 in bins of their own: gaps .1 .8 .3 .6, each of weight 1/4.
  EXPECT_NEAR(result.ece, (0.1 + 0.8 + 0.3 + 0.6) / 4, 1e-9);
  EXPECT_DOUBLE_EQ(*result.per_class[0].accuracy, 0.5);
  EXPECT_DOUBLE_EQ(*result.per_class[1].accuracy, 0.5);
  EXPECT_EQ(result.correct, (std::vector<double>{1, 0, 1, 0}));
  // Twice the square of what the label lacks: 2 (.01 + .64 + .09 + .36) / 4.
  EXPECT_NEAR(result.brier, .55, 1e-12);
  EXPECT_DOUBLE_EQ(result.macro_f1, 0.5);
}

TEST(Evaluation, MacroF1IsOverClassesThatLabelsOrPredictionsHave) {
  const torch::Tensor sure = torch::tensor({{.8, .1, .1}, {.8, .1, .1}, {.1, .8, .1}}).log();
  // Predicted 0 0 1, labels 0 1 1: F1 2/3 and 2/3; class 2 is nowhere.
  const std::vector<std::string> three{"a", "b", "c"};
  EXPECT_NEAR(evaluate(sure.to(torch::kDouble), torch::tensor({0L, 1L, 1L}), three).macro_f1,
              2.0 / 3, 1e-12);
  // Labels 0 2 1: F1 2/3, 1, and 0 of class 2, which nobody predicts.
  EXPECT_NEAR(evaluate(sure.to(torch::kDouble), torch::tensor({0L, 2L, 1L}), three).macro_f1,
              5.0 / 9, 1e-12);
}

TEST(Evaluation, CalibrationErrorCancelsWithinABin) {
  // Four predictions of confidence .75, three right: calibrated.
  const Evaluation result =
      evaluate(logs({0.75, 0.75, 0.75, 0.75}), torch::tensor({0L, 0L, 0L, 1L}), kTwo);
  EXPECT_NEAR(result.ece, 0, 1e-12);
}

TEST(Evaluation, TellsAClassWithoutExamplesFromOneThatIsAlwaysWrong) {
  const Evaluation result = evaluate(logs({0.1, 0.2}), torch::tensor({0L, 0L}), kTwo);
  EXPECT_EQ(result.per_class[0].accuracy, 0.0);
  EXPECT_EQ(result.per_class[1].accuracy, std::nullopt);
}

TEST(Evaluation, BootstrapIntervalsHoldTheEstimateAndShrinkWithExamples) {
  const auto width = [](std::int64_t count) {
    const Dataset data = toy_data(count, 3);
    RandomStream random(1, "logits");
    torch::Tensor logits = torch::empty({count, 4});
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t k = 0; k < 4; ++k) logits[i][k] = random.normal();
    }
    const Evaluation result =
        evaluate(log_probabilities(logits), data.labels, data.class_names, {.resamples = 300});
    EXPECT_LT(result.nll_interval.low, result.nll);
    EXPECT_GT(result.nll_interval.high, result.nll);
    EXPECT_LT(result.accuracy_interval.low, result.accuracy);
    EXPECT_GT(result.accuracy_interval.high, result.accuracy);
    return result.nll_interval.high - result.nll_interval.low;
  };
  EXPECT_NEAR(width(200) / width(3200), 4.0, 1.2);
}

TEST(Evaluation, PredictionsDoNotDependOnTheBatch) {
  const auto network = toy_network("mlp", {{"hidden", {9}}}, 2);
  const Dataset data = toy_data(37, 4);
  const torch::Tensor whole = predict_logits(*network, data, 100);
  EXPECT_TRUE(torch::allclose(whole, predict_logits(*network, data, 5), 1e-6, 1e-6));
  EXPECT_EQ(whole.size(0), 37);
}

TEST(Evaluation, RefusesDataThatDoNotFitTheNetwork) {
  const auto network = toy_network("mlp", {{"hidden", {9}}}, 2);
  Dataset classes = toy_data(5, 4);
  classes.class_names.pop_back();
  EXPECT_THROW(predict_logits(*network, classes), InputError);
  Dataset shape = toy_data(5, 4);
  shape.inputs = torch::zeros({5, 1, 6, 7});
  EXPECT_THROW(predict_logits(*network, shape), InputError);
  EXPECT_THROW(
      evaluate(torch::empty({0, 2}, torch::kDouble), torch::empty({0}, torch::kLong), kTwo),
      InputError);
}

}  // namespace
}  // namespace amalgam::learning
