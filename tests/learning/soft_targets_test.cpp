#include "amalgam/learning/soft_targets.hpp"

#include <gmock/gmock.h>

#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/description/encoding.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/load_dataset.hpp"
#include "amalgam/learning/trainer.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

using ::testing::ElementsAre;

// 48 rows of one number; odd ones are "yes". Rows are called r0 to r47.
class SoftTargetsOfTable : public ::testing::Test {
 protected:
  SoftTargetsOfTable() {
    std::string rows = "id,x,truth\n";
    std::string soft = "task,yes,no\n";
    for (int i = 0; i < 48; ++i) {
      rows += fmt::format("r{},{},{}\n", i, i, i % 2 == 1 ? "yes" : "no");
      // Nobody annotated r0 to r7; who did says the contrary of the truth.
      if (i >= 8) soft += fmt::format("r{},{}\n", i, i % 2 == 1 ? "0.125,0.875" : "0.75,0.25");
    }
    table_ = folder_.write("rows.csv", rows).string();
    soft_ = folder_.write("soft.csv", soft).string();
  }

  DataRecipe recipe(const std::string& label) const {
    DataRecipe made{.set = table_, .label = label};
    if (label.empty()) made.ignore = {"truth"};
    made.soft = SoftTargets{.file = soft_, .task = "id"};
    return made;
  }
  // Whether an example's number, its only input, is odd.
  static bool odd(const Dataset& data, std::int64_t i) {
    return static_cast<std::int64_t>(data.inputs[i].item<float>()) % 2 == 1;
  }
  void refused(const std::string& soft, const std::string& part) const {
    DataRecipe bad = recipe("");
    bad.soft->file = folder_.write("bad.csv", soft).string();
    expect_error<InputError>([&] { load_dataset(bad, Split::train, 1); }, "bad.csv", part);
  }

  const TemporaryFolder folder_;
  std::string table_;
  std::string soft_;
};

TEST_F(SoftTargetsOfTable, AreFoundByTheNamesOfRowsThatAreNoInputThen) {
  const Dataset data = load_dataset(recipe("truth"), Split::train, 1);
  EXPECT_THAT(data.class_names, ElementsAre("no", "yes"));
  EXPECT_EQ(data.inputs.size(1), 1);
  // 36 of the 48 rows are for training; some of those are without annotations.
  EXPECT_LT(data.count(), 36);
  EXPECT_GE(data.count(), 28);
  for (std::int64_t i = 0; i < data.count(); ++i) {
    EXPECT_GE(data.inputs[i].item<float>(), 8);
    EXPECT_EQ(data.soft_labels[i][1].item<float>(), odd(data, i) ? 0.125F : 0.75F);
    EXPECT_EQ(data.labels[i].item<std::int64_t>(), odd(data, i) ? 1 : 0);
  }
  // Examples to judge by have their labels, and all of them.
  const Dataset held_out = load_dataset(recipe("truth"), Split::validation, 1);
  EXPECT_EQ(held_out.count(), 4);
  EXPECT_FALSE(held_out.soft_labels.defined());
  EXPECT_EQ(held_out.inputs.size(1), 1);
}

TEST_F(SoftTargetsOfTable, WithoutATrueLabelTheMostProbableClassIsTheLabel) {
  const Dataset data = load_dataset(recipe(""), Split::train, 1);
  EXPECT_THAT(data.class_names, ElementsAre("yes", "no"));
  for (std::int64_t i = 0; i < data.count(); ++i) {
    EXPECT_EQ(data.labels[i].item<std::int64_t>(), odd(data, i) ? 1 : 0);
  }
  EXPECT_TRUE(load_dataset(recipe(""), Split::validation, 1).soft_labels.defined());
}

TEST_F(SoftTargetsOfTable, TheNetworksDescriptionSaysThatThereIsNoLabel) {
  const Dataset data = load_dataset(recipe(""), Split::train, 1);
  EXPECT_FALSE(data.encoding.contains("label"));
  EXPECT_EQ(parse_table_layout(data.encoding, data.class_names, "t").label, "");
  NetworkDescription network;
  network.class_names = data.class_names;
  network.input_encoding = data.encoding;
  EXPECT_EQ(load_dataset(recipe(""), Split::validation, 1, &network).class_names, data.class_names);
  // To judge by these rows one has to say where the truth is.
  const DataRecipe rows{.set = table_};
  expect_error<InputError>([&] { load_dataset(rows, Split::all, 1, &network); }, "--label");
  const DataRecipe judged{.set = table_, .label = "truth"};
  EXPECT_EQ(load_dataset(judged, Split::all, 1, &network).labels.sum().item<std::int64_t>(), 24);
}

TEST_F(SoftTargetsOfTable, ANewNetworksHeadIsJudgedOnTheValidationSplit) {
  TrainingRecipe training;
  training.data = recipe("");
  training.data.head = "class";
  training.validation.kind = ValidationOptions::Kind::split;
  const TrainingData data = load_training_data(training);
  EXPECT_EQ(data.train.head, "class");
  EXPECT_EQ(data.validation->head, "class");
  EXPECT_EQ(data.validation->class_names, data.train.class_names);
}

TEST_F(SoftTargetsOfTable, RowsWithoutNamesAreNumbered) {
  DataRecipe numbered{.set = table_, .ignore = {"id", "truth"}};
  numbered.soft =
      SoftTargets{.file = folder_.write("n.csv", "task,a,b\n9,1,0\n10,0.2,0.8\n").string()};
  const Dataset data = load_dataset(numbered, Split::all, 1);
  ASSERT_EQ(data.count(), 2);
  EXPECT_EQ(data.inputs[0].item<float>(), 9);
  EXPECT_FLOAT_EQ(data.soft_labels[1][1].item<float>(), 0.8F);
}

TEST_F(SoftTargetsOfTable, BadOnesAreRefusedByPlace) {
  refused("item,a,b\nr9,1,0\n", "task");
  refused("task,a\nr9,1\n", "1 columns besides 'task'");
  refused("task,a,b\nr9,0.5,0.4\n", ":2:4: the probabilities of this row sum to 0.9");
  refused("task,a,b\nr9,1.5,-0.5\n", ":2:4: '1.5' in column 'a'");
  refused("task,a,b\nr9,nan,1\n", ":2:4: 'nan'");
  refused("task,a,b\nr9,1,0\nr9,1,0\n", ":3:1: task 'r9' is there twice");
  refused("task,a,b\n,1,0\n", "the task has no name");
  refused("task,a,b\n", "it has no task");
  refused("task,a,b\nunknown,1,0\n", "data.soft.task");
  DataRecipe other = recipe("truth");
  other.soft->file =
      folder_.write("other.csv", "task,yes,mo" + contents_of(soft_).substr(11)).string();
  expect_error<InputError>([&] { load_dataset(other, Split::train, 1); }, "other.csv",
                           "column 'mo' is no class", "did you mean 'no'");
  DataRecipe some = recipe("truth");
  some.classes = {"yes"};
  expect_error<InputError>([&] { load_dataset(some, Split::train, 1); }, "'classes'");
}

TrainingRecipe training(std::uint64_t epochs, const SoftTargets& soft) {
  TrainingRecipe made;
  made.network = nlohmann::json{{"architecture", "mlp"}, {"hidden", {16}}};
  made.epochs = epochs;
  made.batch = 32;
  made.seed = 3;
  made.data.soft = soft;
  return made;
}

// The true corner has probability .4, the others .2.
Dataset doubtful(std::int64_t count) {
  Dataset data = toy_data(count, 1);
  data.soft_labels = .2 + .2 * torch::one_hot(data.labels, 4).to(torch::kFloat);
  return data;
}

TEST(SoftTargets, MostProbableClassesTrainAsLabelsDo) {
  const Dataset soft = doubtful(96);
  const Dataset hard = toy_data(96, 1);
  const TrainingRecipe recipe = training(3, {.use = SoftTargets::Use::most_probable});
  const auto one = initial_network(recipe, soft);
  const auto other = initial_network(recipe, hard);
  train(*one, soft, recipe);
  train(*other, hard, recipe);
  EXPECT_TRUE(all_parameters(*one).equal(all_parameters(*other)));
}

TEST(SoftTargets, LabelsAreDrawnByTheirProbabilitiesAnewInEveryEpoch) {
  const torch::Tensor soft = torch::tensor({{.7F, 0.F, .3F}, {0.F, 1.F, 0.F}});
  const torch::Tensor places = torch::tensor({5L, 9L});
  torch::Tensor counts = torch::zeros({2, 3});
  constexpr std::uint64_t kEpochs = 2000;
  for (std::uint64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const torch::Tensor labels = sampled_labels(soft, places, 1, epoch);
    EXPECT_TRUE(labels.equal(sampled_labels(soft, places, 1, epoch)));
    counts += torch::one_hot(labels, 3);
  }
  const torch::Tensor shares = counts / static_cast<double>(kEpochs);
  // Three standard errors of .7 are .031.
  EXPECT_NEAR(shares[0][0].item<float>(), .7, .031);
  EXPECT_EQ(shares[0][1].item<float>(), 0);
  EXPECT_EQ(shares[1][1].item<float>(), 1);
  // Of an example the draw does not depend on what else is in its batch.
  const torch::Tensor alone = sampled_labels(soft.narrow(0, 0, 1), torch::tensor({5L}), 1, 7);
  EXPECT_EQ(alone[0].item<std::int64_t>(),
            sampled_labels(soft, places, 1, 7)[0].item<std::int64_t>());
}

double mean_confidence(Network& network, const Dataset& data) {
  const torch::Tensor sure = log_probabilities(predict_logits(network, data)).exp();
  return std::get<0>(sure.max(1)).mean().item<double>();
}

double accuracy(Network& network, const Dataset& data) {
  return predict_logits(network, data)
      .argmax(1)
      .eq(data.labels)
      .to(torch::kDouble)
      .mean()
      .item<double>();
}

TEST(SoftTargets, SampledLabelsTeachTheDoubtThatProbabilitiesHave) {
  const Dataset data = doubtful(800);
  for (const auto use : {SoftTargets::Use::probabilities, SoftTargets::Use::sampled}) {
    const TrainingRecipe recipe = training(30, {.use = use});
    const auto network = initial_network(recipe, data);
    train(*network, data, recipe);
    EXPECT_NEAR(mean_confidence(*network, toy_data(200, 2)), .4, .1);
    EXPECT_GT(accuracy(*network, toy_data(200, 2)), .8);
  }
}

TEST(SoftTargets, TwoHeadsLearnTheClassAndTheDoubt) {
  Dataset data = doubtful(800);
  data.head = "class";
  TrainingRecipe recipe = training(30, {.head = "doubt"});
  (*recipe.network)["heads"] = {{{"name", "class"}}, {{"name", "doubt"}}};
  const auto network = initial_network(recipe, data);
  train(*network, data, recipe);
  Dataset test = toy_data(200, 2);
  test.head = "class";
  EXPECT_GT(accuracy(*network, test), .9);
  EXPECT_GT(mean_confidence(*network, test), .7);
  test.head = "doubt";
  EXPECT_GT(accuracy(*network, test), .8);
  EXPECT_NEAR(mean_confidence(*network, test), .4, .1);

  recipe.data.soft->head = "class";
  expect_error<InputError>([&] { train(*network, data, recipe); }, "data.soft.head 'class'",
                           "two heads");
}

}  // namespace
}  // namespace amalgam::learning
