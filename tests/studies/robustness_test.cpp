// Robustness under degradation: the worked figures, invariants, poor tables, and weights.
#include "amalgam/scores/studies/robustness.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/scores/studies/accuracy_table.hpp"
#include "amalgam/scores/studies/robustness_weights.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double improved(double native, double accuracy, double classes,
                const RobustnessOptions& options = {}) {
  return relative_robustness(accuracy, native) * chance_factor(native, 1 / classes, options);
}

TEST(Robustness, TakesOutWhatIsNearChance) {
  EXPECT_DOUBLE_EQ(relative_robustness(0.4, 0.8), 0.5);
  EXPECT_NEAR(improved(0.8, 0.4, 10), 0.5, 1e-12);
  EXPECT_NEAR(relative_robustness(0.012, 0.015), 0.8, 1e-12);
  EXPECT_NEAR(improved(0.015, 0.012, 100), 0.003990, 1e-6);
  EXPECT_NEAR(relative_robustness(0.06, 0.11), 0.545455, 1e-6);
  EXPECT_NEAR(improved(0.11, 0.06, 100), 0.471635, 1e-6);
  EXPECT_EQ(improved(0.05, 0.05, 10), 0) << "below chance";
  EXPECT_TRUE(std::isnan(relative_robustness(0.1, 0)));
  const std::vector<std::pair<double, double>> factors{
      {0.01, 0.0198}, {0.02, 0.0769}, {0.05, 0.3935}, {0.1, 0.8647}, {0.2, 0.9997}};
  for (const auto& [above, factor] : factors) {
    EXPECT_NEAR(chance_factor(0.1 + above, 0.1), factor, 5e-5) << above;
  }
  // A linear exponent would keep most of what is a hundredth above chance.
  EXPECT_NEAR(chance_factor(0.11, 0.1, {.exponent = 1}), 0.8647, 1e-4);
}

AccuracyTable one_model(std::vector<double> native, std::vector<double> accuracies,
                        std::size_t resolutions) {
  AccuracyTable table{.models = {"m"}, .accuracies = std::move(accuracies)};
  table.native = std::move(native);
  for (std::size_t d = 0; d < table.native.size(); ++d) {
    table.datasets.push_back("d" + std::to_string(d));
    table.chance.push_back(0.01);
  }
  for (std::size_t r = 0; r < resolutions; ++r) table.resolutions.push_back(std::to_string(r));
  return table;
}

// EVA02-CLIP-B/16 on Oxford Pets at 224, and 128, 64, 32, 16.
TEST(Robustness, OfAPublishedModel) {
  const AccuracyTable pets = one_model({0.9223}, {0.9264, 0.9032, 0.8253, 0.5184}, 4);
  const Robustness found = robustness(pets);
  const std::vector<double> expected{1.0044, 0.9793, 0.8948, 0.5621};
  for (std::size_t r = 0; r < 4; ++r) EXPECT_NEAR(found.gamma[r], expected[r], 5e-5);
  EXPECT_EQ(found.flags[0].above_native, 1U);
  EXPECT_EQ(robustness(pets, {.clip = true}).gamma[0], 1);
  const AccuracyTable both = one_model({0.9223, 0.5}, {0.5184, 0.15}, 1);
  EXPECT_NEAR(robustness(both).sar[0], 0.43105, 5e-5);
}

AccuracyTable random_table(std::uint64_t seed, std::size_t models, std::size_t datasets,
                           std::size_t resolutions) {
  RandomStream random(seed, "accuracy table");
  AccuracyTable table;
  for (std::size_t m = 0; m < models; ++m) table.models.push_back("m" + std::to_string(m));
  for (std::size_t d = 0; d < datasets; ++d) {
    table.datasets.push_back("d" + std::to_string(d));
    table.chance.push_back(0.1);
  }
  for (std::size_t r = 0; r < resolutions; ++r) table.resolutions.push_back(std::to_string(r));
  for (std::size_t i = 0; i < models * datasets; ++i) {
    table.native.push_back(0.3 + 0.6 * random.uniform());
    for (std::size_t r = 0; r < resolutions; ++r) {
      table.accuracies.push_back(table.native.back() * random.uniform());
    }
  }
  return table;
}

TEST(Robustness, WarIsSarWithEqualWeightsAndNothingNearChance) {
  const AccuracyTable table = random_table(1, 6, 5, 3);
  const Robustness steep = robustness(table, {.steepness = 1e9});
  for (std::size_t i = 0; i < steep.sar.size(); ++i) EXPECT_NEAR(steep.war[i], steep.sar[i], 1e-12);
  // The scale of weights does not matter.
  const std::vector<double> weights{0.1, 0.2, 0.9, 0.4, 0};
  std::vector<double> larger;
  for (const double weight : weights) larger.push_back(7 * weight);
  const Robustness first = robustness(table, {.weights = weights});
  const Robustness second = robustness(table, {.weights = larger});
  for (std::size_t i = 0; i < first.war.size(); ++i)
    EXPECT_NEAR(first.war[i], second.war[i], 1e-12);
  EXPECT_EQ(first.sar, second.sar);
}

TEST(Robustness, OfEqualValuesIsThatValue) {
  AccuracyTable table = random_table(2, 3, 4, 2);
  for (std::size_t i = 0; i < table.native.size(); ++i) {
    for (std::size_t r = 0; r < 2; ++r) table.accuracies[2 * i + r] = 0.6 * table.native[i];
  }
  const Robustness found = robustness(table, {.steepness = 1e9, .weights = {0.3, 0.01, 1, 0.7}});
  for (const double war : found.war) EXPECT_NEAR(war, 0.6, 1e-12);
  EXPECT_THAT(found.war_ranks, ::testing::Each(2)) << "the mean of the places 1 to 3";
  EXPECT_TRUE(std::isnan(found.war_agreement[0].spearman)) << "a tie of all models";
}

TEST(Robustness, AgreementIsThatOfTheRankings) {
  const AccuracyTable table = random_table(3, 8, 3, 1);
  const Robustness found = robustness(table, {.weights = {1, 0, 0}});
  EXPECT_NEAR(found.war_agreement[0].spearman, 1, 1e-12) << "the only data set that counts";
  std::vector<double> second;
  for (std::size_t m = 0; m < 8; ++m) second.push_back(found.improved_gamma[3 * m + 1]);
  EXPECT_EQ(found.war_agreement[1].spearman, spearman(found.war, second));
  EXPECT_EQ(found.war_agreement[1].kendall, kendall_tau_b(found.war, second));
}

TEST(Robustness, LeavesOutWhatIsMissingAndSaysSo) {
  AccuracyTable table = random_table(4, 3, 2, 1);
  table.accuracies[0] = kNaN;  // model 0 on data set 0
  table.native[3] = 0;         // model 1 on data set 1
  table.accuracies[3] = 0;
  table.native[4] = 0.1;  // model 2 on data set 0, at chance
  const Robustness found = robustness(table, {.weights = {0.2, 0.8}});
  EXPECT_NEAR(found.sar[0], found.gamma[1], 1e-15);
  EXPECT_NEAR(found.war[0], found.improved_gamma[1], 1e-15) << "its weights are renormalised";
  EXPECT_NEAR(found.war[1], found.improved_gamma[2], 1e-15);
  EXPECT_FALSE(found.flags[0].comparable());
  EXPECT_FALSE(found.flags[1].comparable());
  EXPECT_EQ(found.flags[1].zero_native, 1U);
  EXPECT_TRUE(found.flags[2].comparable());
  EXPECT_EQ(found.flags[2].at_chance, 1U);
  EXPECT_EQ(found.improved_gamma[4], 0);
}

TEST(Robustness, RefusesWhatIsNotPossible) {
  AccuracyTable table = random_table(5, 2, 2, 1);
  const auto error_with = [&](const RobustnessOptions& options) {
    return error_of([&] { robustness(table, options); });
  };
  EXPECT_THAT(error_with({.weights = {1, -1}}), HasSubstr("weight of -1"));
  EXPECT_THAT(error_with({.weights = {0, 0}}), HasSubstr("all data sets are 0"));
  EXPECT_THAT(error_with({.weights = {1}}), HasSubstr("1 weights for 2 data sets"));
  EXPECT_THAT(error_with({.steepness = 0}), HasSubstr("expected positive"));
  table.accuracies[0] = 1.5;
  EXPECT_THAT(error_with({}), HasSubstr("accuracy of 1.5"));
}

RobustnessMatrix random_matrix(std::uint64_t seed, std::size_t models, std::size_t datasets) {
  // A common skill, and data sets that follow it more and less, the first not at all.
  RandomStream random(seed, "robustness matrix");
  RobustnessMatrix matrix{.models = models, .datasets = datasets};
  for (std::size_t m = 0; m < models; ++m) {
    const double skill = random.normal();
    for (std::size_t d = 0; d < datasets; ++d) {
      matrix.values.push_back((d == 0 ? 0 : skill) + 0.5 * random.normal());
    }
  }
  return matrix;
}

TEST(RobustnessWeights, AreNeverWorseThanEqualOnesAndTheSameForASeed) {
  const RobustnessMatrix matrix = random_matrix(1, 12, 6);
  for (const auto objective : {WeightOptions::Objective::sum, WeightOptions::Objective::maximin}) {
    WeightOptions options{.objective = objective, .starts = 16, .seed = 3};
    const OptimisedWeights found = optimise_weights(matrix, options);
    EXPECT_GE(found.objective, found.equal_objective);
    const double total = objective == WeightOptions::Objective::sum
                             ? std::accumulate(found.rho.begin(), found.rho.end(), 0.0)
                             : *std::ranges::min_element(found.rho);
    EXPECT_NEAR(found.objective, total, 1e-12);
    for (const double weight : found.weights) {
      EXPECT_GE(weight, 0.01);
      EXPECT_LE(weight, 1);
    }
    EXPECT_EQ(found.held_out_rho.size(), 6U);
    options.parallel = {4, Runner::std_thread};
    std::atomic<std::uint64_t> steps = 0;
    options.on_step = [&] { ++steps; };
    const OptimisedWeights again = optimise_weights(matrix, options);
    EXPECT_EQ(again.weights, found.weights);
    EXPECT_EQ(again.held_out_rho, found.held_out_rho);
    EXPECT_EQ(steps, search_steps(matrix, options));
  }
}

TEST(RobustnessWeights, MaximinLiftsTheDataSetThatDisagrees) {
  const RobustnessMatrix matrix = random_matrix(2, 14, 5);
  const OptimisedWeights found =
      optimise_weights(matrix, {.objective = WeightOptions::Objective::maximin});
  EXPECT_GT(found.rho[0], found.equal_rho[0] + 0.1);
  EXPECT_GT(found.objective, found.equal_objective + 0.1);
}

TEST(RobustnessWeights, ImportanceDecidesWhomTheWeightsServe) {
  const RobustnessMatrix matrix = random_matrix(3, 14, 5);
  const OptimisedWeights found = optimise_weights(matrix, {.importance = {1, 0, 0, 0, 0}});
  EXPECT_GT(found.rho[0], 0.9) << "data set 0 alone";
}

TEST(RobustnessWeights, RhoIsSpearmansWithConstantsAsZero) {
  RobustnessMatrix matrix = random_matrix(4, 9, 3);
  for (std::size_t m = 0; m < 9; ++m) matrix.values[3 * m + 2] = 0.5;
  const std::vector<double> weights{0.3, 0.7, 0.1};
  const std::vector<double> rho = weighted_rho(matrix, weights);
  std::vector<double> war;
  std::vector<double> first;
  for (std::size_t m = 0; m < 9; ++m) {
    war.push_back(0.3 * matrix.values[3 * m] + 0.7 * matrix.values[3 * m + 1]);
    first.push_back(matrix.values[3 * m]);
  }
  EXPECT_NEAR(rho[0], spearman(war, first), 1e-12);
  EXPECT_EQ(rho[2], 0);
}

TEST(RobustnessWeights, RefusesWhatIsNotPossible) {
  EXPECT_THAT(error_of([] { optimise_weights(random_matrix(1, 1, 3)); }),
              HasSubstr("1 models and 3 data sets"));
  RobustnessMatrix matrix = random_matrix(1, 4, 3);
  EXPECT_THAT(error_of([&] { optimise_weights(matrix, {.low = 0}); }), HasSubstr("0 < from"));
  matrix.values[2] = kNaN;
  EXPECT_THAT(error_of([&] { optimise_weights(matrix); }), HasSubstr("measured on every"));
}

TEST(RobustnessWeights, PublishedOnesAreFoundByName) {
  EXPECT_EQ(published_weight("imagenet_v2"), 0.285457);
  EXPECT_EQ(published_weight("EuroSAT"), 1.0);
  EXPECT_EQ(published_weight("digits"), std::nullopt);
  double sum = 0;
  for (const double weight : published_weights(published_datasets())) sum += weight;
  EXPECT_NEAR(sum, 4.524925, 1e-9);
  EXPECT_THAT(error_of([] { published_weights(std::vector<std::string>{"Eurosta"}); }),
              HasSubstr("no published weight of data set 'Eurosta'"));
}

class AccuracyFiles : public ::testing::Test {
 protected:
  std::filesystem::path write(std::string_view text) const {
    std::ofstream(folder_ / "table.csv") << text;
    return folder_ / "table.csv";
  }
  std::string error_with(std::string_view text, const AccuracyFormat& format = {}) const {
    return error_of([&] { read_accuracies(write(text), format); });
  }
  TemporaryFolder folder_;
};

TEST_F(AccuracyFiles, RowsInAnyOrder) {
  const AccuracyTable table =
      read_accuracies(write("model,dataset,resolution,accuracy,classes\n"
                            "a,x,16,0.5,10\na,x,224,0.9,\n"
                            "a,x,64,0.8,\nb,x,336,0.7,\nb,x,16,,10\n"));
  EXPECT_THAT(table.models, ElementsAre("a", "b"));
  EXPECT_THAT(table.resolutions, ElementsAre("64", "16")) << "from high to low";
  EXPECT_THAT(table.native, ElementsAre(0.9, 0.7)) << "each model's largest";
  EXPECT_EQ(table.accuracy(0, 0, 1), 0.5);
  EXPECT_TRUE(std::isnan(table.accuracy(1, 0, 1)));
  EXPECT_THAT(table.chance, ElementsAre(0.1));
}

TEST_F(AccuracyFiles, PercentCountsAndNamedResolutions) {
  AccuracyTable table = read_accuracies(write("net,set,level,acc\na,x,clean,90\na,x,blur,45\n"),
                                        {.model = "net",
                                         .dataset = "set",
                                         .resolution = "level",
                                         .accuracy = "acc",
                                         .percent = true,
                                         .class_counts = {{"x", 4}}});
  EXPECT_EQ(table.native[0], 0.9);
  EXPECT_EQ(table.accuracy(0, 0, 0), 0.45);
  EXPECT_EQ(table.chance[0], 0.25);
  table = read_accuracies(write("model,dataset,resolution,correct,total\n"
                                "a,x,HR,40,50\na,x,HR,45,50\na,x,8,10,100\n"),
                          {.chance = {{"x", 0.6}}});
  EXPECT_EQ(table.native[0], 0.85) << "counts add up";
  EXPECT_EQ(table.accuracy(0, 0, 0), 0.1);
  EXPECT_EQ(table.chance[0], 0.6) << "the most frequent class, say";
}

TEST_F(AccuracyFiles, NumbersComeBeforeNamesOfResolutions) {
  const AccuracyTable table =
      read_accuracies(write("model,dataset,resolution,accuracy,classes\na,x,HR,0.9,10\n"
                            "a,x,16,0.5,\na,x,blur,0.4,\na,x,64,0.8,\na,x,noise,0.3,\n"));
  EXPECT_THAT(table.resolutions, ElementsAre("64", "16", "blur", "noise"));
}

TEST_F(AccuracyFiles, RefusesNamingThePlace) {
  const std::string head = "model,dataset,resolution,accuracy,classes\n";
  EXPECT_THAT(error_with(head + "a,x,HR,90,10\n"), HasSubstr("or are they in percent?"));
  EXPECT_THAT(error_with(head + "a,x,HR,-1,10\n"), HasSubstr("table.csv:2:"));
  EXPECT_THAT(error_with(head + "a,x,HR,.9,10\na,x,HR,.9,10\n"), HasSubstr("a second accuracy"));
  EXPECT_THAT(error_with(head + "a,x,HR,.9,10\na,x,8,.9,11\n"), HasSubstr("11 classes here"));
  EXPECT_THAT(error_with(head + "a,x,HR,.9,1\na,x,8,.9,1\n"), HasSubstr("expected 2 or more"));
  EXPECT_THAT(error_with(head + "a,x,HR,.9,\na,x,8,.9,\n"), HasSubstr("how many classes"));
  EXPECT_THAT(error_with(head + "a,x,HR,.9,10\n"), HasSubstr("no resolution but the native"));
  EXPECT_THAT(error_with(head + "a,x,low,.9,10\na,x,8,.9,10\n"), HasSubstr("'low' is no number"));
  EXPECT_THAT(error_with(head + "a,x,32,.9,10\na,x,8,.9,10\n", {.native = "64"}),
              HasSubstr("no resolution '64'"));
  EXPECT_THAT(error_with(head), HasSubstr("no rows"));
  EXPECT_THAT(error_with(head + "a,x,HR,high,10\n"), HasSubstr("expected a number"));
  EXPECT_THAT(error_with(head + "a,x,HR,.9,10\na,x,8,.9,10\n", {.class_counts = {{"y", 3}}}),
              HasSubstr("no data set 'y'"));
}

TEST_F(AccuracyFiles, WeightsFromAFile) {
  const std::vector<std::string> datasets{"x", "y"};
  EXPECT_THAT(read_weights(write("dataset,weight\ny,0.5\nx,2\n"), datasets), ElementsAre(2, 0.5));
  const auto error = [&](std::string_view text) {
    return error_of([&] { read_weights(write(text), datasets); });
  };
  EXPECT_THAT(error("dataset,weight\ny,0.5\n"), HasSubstr("no weight of 'x'"));
  EXPECT_THAT(error("dataset,weight\nz,0.5\n"), HasSubstr("no data set 'z'"));
  EXPECT_THAT(error("dataset,weight\ny,-1\n"), HasSubstr("expected a number of at least 0"));
  EXPECT_THAT(error("dataset,weight\ny,1\ny,1\n"), HasSubstr("a second weight"));
}

}  // namespace
}  // namespace amalgam::scores
