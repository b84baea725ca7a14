#include <gmock/gmock.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/learned/autows.hpp"
#include "tests/labels/weak_data.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Candidates that are useful if their first feature is positive.
Features places(std::size_t count, std::uint64_t seed) {
  RandomStream random(seed, "places");
  Features features(count, 6);
  for (double& value : features.values) value = 3 * random.normal();
  return features;
}

TEST(UsefulnessEnsemble, LearnsFromAnswersWhichFunctionsAreUseful) {
  const Features features = places(60, 1);
  std::vector<DialogueAnswer> answers;
  for (std::size_t j = 0; j < 25; ++j) answers.push_back({j, features.at(j, 0) > 0});
  const Usefulness usefulness = usefulness_ensemble(features, answers, 1);
  double useful = 0;
  double useless = 0;
  for (std::size_t j = 0; j < 25; ++j) {
    (features.at(j, 0) > 0 ? useful : useless) += usefulness.mean[j];
    EXPECT_GE(usefulness.deviation[j], 0);
  }
  EXPECT_GT(useful, useless + 2);
}

TEST(UsefulnessEnsemble, IsAFunctionOfTheSeed) {
  const Features features = places(20, 2);
  const std::vector<DialogueAnswer> answers{{0, true}, {1, false}, {2, true}};
  const EnsembleOptions options{.members = 5, .epochs = 10};
  const Usefulness one = usefulness_ensemble(features, answers, 3, options);
  EXPECT_EQ(one.mean, usefulness_ensemble(features, answers, 3, options).mean);
  EXPECT_NE(one.mean, usefulness_ensemble(features, answers, 4, options).mean);
}

TEST(UsefulnessEnsemble, LowersTheLossOfItsAnswers) {
  const Features features = places(8, 5);
  std::vector<DialogueAnswer> answers;
  for (std::size_t j = 0; j < 8; ++j) answers.push_back({j, j % 3 == 0});
  const Usefulness before = usefulness_ensemble(features, answers, 1, {.epochs = 0});
  const Usefulness after = usefulness_ensemble(features, answers, 1, {.epochs = 400});
  double loss_before = 0;
  double loss_after = 0;
  for (std::size_t j = 0; j < 8; ++j) {
    const auto loss = [&](double p) { return -std::log(j % 3 == 0 ? p : 1 - p); };
    loss_before += loss(before.mean[j]);
    loss_after += loss(after.mean[j]);
  }
  EXPECT_LT(loss_after, loss_before);
}

TEST(UsefulnessEnsemble, RefusesNoAnswersAndFunctionsThatAreNotThere) {
  const Features features = places(3, 1);
  EXPECT_THAT([&] { usefulness_ensemble(features, {}, 1); },
              ThrowsMessage<InputError>(HasSubstr("no answer")));
  const std::vector<DialogueAnswer> beyond{{3, true}};
  EXPECT_THAT([&] { usefulness_ensemble(features, beyond, 1); },
              ThrowsMessage<InputError>(HasSubstr("function 3 of 3")));
}

double share_right(const SoftLabels& soft, const std::vector<Label>& truth) {
  const HardLabels hard = hard_labels(soft);
  double right = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) right += hard.labels[i] == truth[i] ? 1 : 0;
  return right / static_cast<double>(truth.size());
}

// Weak labels of the data's truth: .7 sure, every fourth row uncovered and wrong.
WeakLabels weak_of(const std::vector<Label>& truth, std::size_t classes) {
  WeakLabels labels{SoftLabels(truth.size(), classes), std::vector<bool>(truth.size())};
  for (std::size_t i = 0; i < truth.size(); ++i) {
    labels.covered[i] = i % 4 != 0;
    const std::size_t said = labels.covered[i] ? truth[i] : (truth[i] + 1) % classes;
    for (std::size_t k = 0; k < classes; ++k) {
      labels.soft.row(i)[k] = k == said ? .7 : .3 / static_cast<double>(classes - 1);
    }
  }
  return labels;
}

TEST(EndModel, LearnsProbabilitiesFromCoveredRowsAlone) {
  const WeakData data(3, 60, 400, 1);
  const learning::Dataset rows = as_dataset(data.unlabelled, {"a", "b", "c"});
  const auto network = train_end_model(rows, weak_of(data.truth, 3), {.steps = 300});
  const SoftLabels soft = predict(*network, rows);
  EXPECT_GT(share_right(soft, data.truth), .9);
  // Where the targets are .7 sure, so is the network.
  double mean = 0;
  for (std::size_t i = 0; i < soft.items; ++i) mean += std::ranges::max(soft.row(i)) / 400;
  EXPECT_NEAR(mean, .68, .06);
  const auto certain = train_end_model(rows, weak_of(data.truth, 3), {.steps = 300, .hard = true});
  const SoftLabels sure = predict(*certain, rows);
  double certain_mean = 0;
  for (std::size_t i = 0; i < sure.items; ++i) certain_mean += std::ranges::max(sure.row(i)) / 400;
  EXPECT_GT(certain_mean, mean + .1);
}

TEST(EndModel, RefusesLabelsThatDoNotFitAndNothingCovered) {
  const WeakData data(2, 10, 20, 2);
  const learning::Dataset rows = as_dataset(data.unlabelled, {"a", "b"});
  WeakLabels labels = weak_of(data.truth, 2);
  labels.covered.assign(20, false);
  EXPECT_THAT([&] { train_end_model(rows, labels); },
              ThrowsMessage<InputError>(HasSubstr("no example is covered")));
  EXPECT_THAT([&] { train_end_model(rows, weak_of(data.truth, 3)); },
              ThrowsMessage<InputError>(HasSubstr("probabilities [20, 3] for 20 examples")));
}

TEST(Encode, GivesWhatGoesIntoTheLastLayer) {
  const auto network = learning::toy_network("mlp", {{"hidden", {12, 5}}}, 1);
  const learning::Dataset data = learning::toy_data(30, 1);
  const Features features = encode(*network, data);
  EXPECT_EQ(features.rows, 30U);
  EXPECT_EQ(features.columns, 5U);
  const torch::NoGradGuard no_grad;
  EXPECT_NEAR(features.at(7, 2), network->features(data.inputs)[7][2].item<double>(), 1e-5);
}

TEST(RunAutoWs, GoesEveryWayThatIsAskedFor) {
  const WeakData weak(3, 60, 200, 3);
  const ProtocolData data{weak.labelled, weak.labels, weak.unlabelled, weak.unlabelled, 3};
  AutoWsOptions options;
  options.multipolar_snuba = true;
  options.dialogue = true;
  options.end_model = true;
  options.label_models = {"generative"};
  options.snuba_options.rounds = 3;
  options.dialogue_options.queries = 3;
  options.ensemble_options = {.members = 5, .epochs = 20};
  options.end_model_options.steps = 100;
  std::vector<std::string> methods;
  for (const ProtocolResult& one : run_autows(data, options)) {
    methods.push_back(one.method);
    // Few dialogues' functions cover too little to train on.
    if (one.method == "IWS, generative, end model") continue;
    EXPECT_GT(weak_quality(one.test, weak.truth).covered_accuracy, .6) << one.method;
  }
  EXPECT_THAT(methods,
              testing::ElementsAre("few-shot", "label propagation", "GOGGLES", "Snuba, generative",
                                   "Snuba, generative, end model", "Snuba multipolar, generative",
                                   "Snuba multipolar, generative, end model", "IWS, generative",
                                   "IWS, generative, end model"));
}

TEST(RunAutoWs, SaysThatAnEndModelLearnedHardLabels) {
  const WeakData weak(2, 60, 120, 3);
  const ProtocolData data{weak.labelled, weak.labels, weak.unlabelled, weak.unlabelled, 2};
  AutoWsOptions options;
  options.few_shot = options.propagation = options.goggles = false;
  options.end_model = true;
  options.label_models = {"generative"};
  options.snuba_options.rounds = 3;
  options.end_model_options.steps = 100;
  const auto soft = run_autows(data, options);
  options.end_model_options.hard = true;
  const auto hard = run_autows(data, options);
  ASSERT_EQ(hard.size(), 2U);
  EXPECT_EQ(hard[1].method, "Snuba, generative, end model on hard labels");
  EXPECT_EQ(hard[0].test.soft.values, soft[0].test.soft.values);
  // Certain targets make a network more certain.
  const auto certainty = [](const ProtocolResult& result) {
    double sum = 0;
    for (std::size_t i = 0; i < result.test.soft.items; ++i) {
      sum += std::ranges::max(result.test.soft.row(i));
    }
    return sum;
  };
  EXPECT_GT(certainty(hard[1]), certainty(soft[1]));
}

TEST(RunAutoWs, CoversNothingWithFewerFunctionsThanALabelModelNeeds) {
  // One feature: one stump and one regression, of which some class has no use.
  const WeakData weak(2, 40, 60, 4);
  Features one(40, 1);
  Features others(60, 1);
  for (std::size_t i = 0; i < 40; ++i) one.row(i)[0] = weak.labelled.at(i, 0);
  for (std::size_t i = 0; i < 60; ++i) others.row(i)[0] = weak.unlabelled.at(i, 0);
  const ProtocolData data{one, weak.labels, others, others, 2};
  AutoWsOptions options;
  options.few_shot = options.propagation = options.goggles = options.snuba = false;
  options.dialogue = true;
  options.label_models = {"generative"};
  const auto results = run_autows(data, options);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].functions, 0U);
  EXPECT_EQ(weak_quality(results[0].test, weak.truth).coverage, 0);
  EXPECT_THAT(results[0].warnings, testing::ElementsAre(HasSubstr("3 are needed")));
}

}  // namespace
}  // namespace amalgam::labels
