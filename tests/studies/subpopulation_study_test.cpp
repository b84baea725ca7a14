#include "amalgam/scores/studies/subpopulation_study.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/core/tail_probabilities.hpp"
#include "amalgam/scores/studies/subpopulation_bootstrap.hpp"
#include "amalgam/scores/studies/subpopulation_sweep.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam::scores {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

SubpopulationTable table_of(const std::vector<double>& majority,
                            const std::vector<double>& minority, double examples = 1000) {
  SubpopulationTable table;
  table.source = "models.csv";
  for (std::size_t i = 0; i < majority.size(); ++i) table.models.push_back(fmt::format("m{}", i));
  table.majority = majority;
  table.minority = minority;
  table.majority_size.assign(majority.size(), examples);
  table.minority_size.assign(majority.size(), examples);
  return table;
}

// A moon: y falls from .5 until x = .7, then rises, plus noise.
SubpopulationTable moon(std::size_t count, double noise, std::uint64_t seed) {
  RandomStream random(seed, "moon");
  std::vector<double> x;
  std::vector<double> y;
  for (std::size_t i = 0; i < count; ++i) {
    x.push_back(0.5 + 0.45 * random.uniform());
    y.push_back(0.4 + 3 * (x.back() - 0.7) * (x.back() - 0.7) + noise * random.normal());
  }
  return table_of(x, y);
}

TEST(SubpopulationStudy, FindsTheMoonAndWhereItTurns) {
  const SubpopulationStudy study = study_subpopulations(moon(200, 0.02, 1), {});
  EXPECT_NEAR(study.accuracy.fits.parabola->quadratic, 3, 0.3);
  EXPECT_TRUE(study.accuracy.fits.chooses_parabola());
  EXPECT_LT(study.accuracy.fits.p, 1e-6);
  ASSERT_TRUE(study.accuracy.turning_point.has_value());
  EXPECT_NEAR(*study.accuracy.turning_point, 0.7, 0.02);
  EXPECT_NEAR(study.inverse_share, 0.2 / 0.45, 0.1);
  const double range = study.accuracy.high - study.accuracy.low;
  EXPECT_NEAR(study.accuracy.moon_index,
              study.accuracy.fits.parabola->quadratic * range * range / 4, 1e-12);
  // On probit axes too.
  ASSERT_TRUE(study.probit.has_value());
  EXPECT_TRUE(study.probit->fits.chooses_parabola());
  EXPECT_GT(study.probit->fits.parabola->quadratic, 0);
  EXPECT_LT(study.spearman_lower, -0.3);
  EXPECT_GT(study.spearman_upper, 0.5);
  EXPECT_GT(study.gap->mean_gap, 0.02);
  EXPECT_GT(study.gap->below, study.gap->between / 2);
  // An increasing function cannot follow a moon.
  EXPECT_LT(study.monotone_r_squared, study.accuracy.fits.parabola->r_squared);
  ASSERT_TRUE(study.intervals.has_value());
  EXPECT_LT(study.intervals->quadratic->low, 3.0);
  EXPECT_GT(study.intervals->quadratic->high, 2.7);
  EXPECT_GT(study.intervals->quadratic->low, 2);
  EXPECT_GT(study.intervals->turning_share, 0.99);
}

TEST(SubpopulationStudy, SwappedSubpopulationsAreNoMoon) {
  std::vector<double> x;
  std::vector<double> y;
  for (double at = 0.5; at < 0.95; at += 0.005) {
    x.push_back(at);
    y.push_back(0.4 + 2 * (at - 0.5) * (at - 0.5));
  }
  EXPECT_GT(study_subpopulations(table_of(x, y), {.resamples = 0}).accuracy.moon_index, 0.05);
  const SubpopulationStudy swapped = study_subpopulations(table_of(y, x), {.resamples = 0});
  EXPECT_LT(swapped.accuracy.fits.parabola->quadratic, 0);
  EXPECT_EQ(swapped.accuracy.moon_index, 0);
  EXPECT_FALSE(swapped.accuracy.turning_point.has_value());
}

TEST(SubpopulationStudy, PointsOnTheProbitLineAreStraightThereAndRobustByNothing) {
  std::vector<double> x;
  std::vector<double> y;
  for (double z = -1; z < 2; z += 0.1) {
    x.push_back(normal_below(z));
    y.push_back(normal_below(0.8 * z - 0.3));
  }
  const SubpopulationStudy study = study_subpopulations(table_of(x, y, 1e6), {.resamples = 0});
  EXPECT_NEAR(study.probit->fits.line->slope, 0.8, 1e-9);
  EXPECT_NEAR(study.probit->fits.line->intercept, -0.3, 1e-9);
  EXPECT_NEAR(study.probit->fits.parabola->quadratic, 0, 1e-8);
  EXPECT_NEAR(study.probit->moon_index, 0, 1e-8);
  EXPECT_GT(study.accuracy.fits.f, 10);  // accuracies themselves are curved
  for (const double robust : study.effective_robustness) EXPECT_NEAR(robust, 0, 1e-9);
}

TEST(SubpopulationStudy, RobustnessIsMeasuredFromReferenceModels) {
  SubpopulationTable table = moon(40, 0.01, 2);
  table.tag_names = {"kind"};
  table.tags = {std::vector<std::string>(40, "plain")};
  for (std::size_t i = 0; i < 40; ++i) {
    table.majority[i] = normal_below(-1 + 0.05 * static_cast<double>(i));
    table.minority[i] = normal_below(-1.2 + 0.05 * static_cast<double>(i));
    if (i % 8 == 3) {
      table.minority[i] += 0.1;
      table.tags[0][i] = "robust";
    }
  }
  const SubpopulationStudy study = study_subpopulations(
      table, {.resamples = 0, .reference_tag = "kind", .reference_value = "plain"});
  for (std::size_t i = 0; i < 40; ++i) {
    EXPECT_NEAR(study.effective_robustness[i], i % 8 == 3 ? 0.1 : 0, 1e-6) << i;
  }
  EXPECT_THAT(error_of([&] {
                study_subpopulations(table, {.reference_tag = "kind", .reference_value = "none"});
              }),
              HasSubstr("kind = 'none'"));
}

TEST(SubpopulationStudy, ProbitIsClippedByTheNumberOfExamples) {
  EXPECT_NEAR(probit(0.975), 1.959964, 1e-6);
  EXPECT_NEAR(probit(1.0, 1000), 3.290527, 1e-6);
  EXPECT_NEAR(probit(0.0, 1000), -3.290527, 1e-6);
  EXPECT_NEAR(probit(0.5, 1000), 0, 1e-12);
  SubpopulationTable table = table_of({0.5, 0.6, 0.8, 1.0}, {0.4, 0.5, 0.5, 0.7});
  EXPECT_TRUE(study_subpopulations(table, {.resamples = 0}).probit.has_value());
  table.majority_size.assign(4, 0);
  const SubpopulationStudy study = study_subpopulations(table, {.resamples = 0});
  EXPECT_FALSE(study.probit.has_value());
  EXPECT_TRUE(study.effective_robustness.empty());
  EXPECT_THAT(study.warnings, ElementsAre(HasSubstr("'m3'")));
}

TEST(SubpopulationStudy, FitsWithinGroups) {
  SubpopulationTable table = moon(30, 0.01, 3);
  table.tag_names = {"architecture"};
  table.tags = {std::vector<std::string>(30, "small")};
  for (std::size_t i = 0; i < 30; ++i) {
    if (i >= 12) table.tags[0][i] = "large";
    if (i >= 25) table.tags[0][i] = "rare";
  }
  const SubpopulationStudy study =
      study_subpopulations(table, {.resamples = 0, .within = {"architecture"}});
  ASSERT_EQ(study.groups.size(), 3U);
  EXPECT_EQ(study.groups[0].value, "small");
  EXPECT_EQ(study.groups[0].count, 12U);
  EXPECT_GT(study.groups[0].fits->fits.parabola->quadratic, 0);
  EXPECT_EQ(study.groups[2].count, 5U);
  EXPECT_FALSE(study.groups[2].fits.has_value());  // fewer than eight
}

// Ten copies of each model are no ten models: clusters widen the interval again.
TEST(SubpopulationStudy, CheckpointsOfOneRunAreDrawnTogether) {
  const SubpopulationTable runs = moon(20, 0.05, 4);
  SubpopulationTable table;
  table.source = "checkpoints.csv";
  table.tag_names = {"run"};
  table.tags.resize(1);
  for (std::size_t i = 0; i < 200; ++i) {
    table.models.push_back(fmt::format("c{}", i));
    table.majority.push_back(runs.majority[i / 10]);
    table.minority.push_back(runs.minority[i / 10]);
    table.majority_size.push_back(1000);
    table.minority_size.push_back(1000);
    table.tags[0].push_back(fmt::format("run {}", i / 10));
  }
  const auto width = [&](const SubpopulationOptions& options) {
    const Interval interval = *study_subpopulations(table, options).intervals->line_r_squared;
    return interval.high - interval.low;
  };
  EXPECT_GT(width({.cluster = "run"}), 2 * width({}));
  EXPECT_EQ(study_subpopulations(table, {.cluster = "run"}).intervals->clusters, 20U);
  EXPECT_THAT(error_of([&] { study_subpopulations(table, {.cluster = "runs"}); }),
              AllOf(HasSubstr("runs"), HasSubstr("did you mean 'run'")));
}

TEST(SubpopulationStudy, SameBitsForAnyNumberOfThreads) {
  const SubpopulationTable table = moon(50, 0.05, 5);
  const SubpopulationStudy one = study_subpopulations(table, {.seed = 3}, {1, Runner::sequential});
  const SubpopulationStudy three =
      study_subpopulations(table, {.seed = 3}, {3, Runner::std_thread});
  EXPECT_EQ(one.intervals->moon_index->low, three.intervals->moon_index->low);
  EXPECT_EQ(one.intervals->moon_index->high, three.intervals->moon_index->high);
  EXPECT_NE(study_subpopulations(table, {.seed = 4}).intervals->moon_index->low,
            one.intervals->moon_index->low);
}

// A = (.5, .5), B = (.9, .9): on the segment (.7, .7); below by .2 and above by .1.
TEST(InterpolationGapOfModels, WorkedByHand) {
  const std::vector<double> x = {0.5, 0.7, 0.8, 0.9};
  const std::vector<double> y = {0.5, 0.5, 0.9, 0.9};
  const auto gap = interpolation_gap(x, y);
  ASSERT_TRUE(gap.has_value());
  EXPECT_EQ(gap->first, 0U);
  EXPECT_EQ(gap->last, 3U);
  EXPECT_EQ(gap->between, 2U);
  EXPECT_EQ(gap->below, 1U);
  EXPECT_NEAR(gap->mean_gap, 0.2, 1e-12);
  EXPECT_FALSE(interpolation_gap(std::vector<double>{0.5, 0.5}, std::vector<double>{0, 1}));
}

TEST(AccuracyBins, ByEdgesAndByFifths) {
  const std::vector<double> x = {0.4, 0.6, 0.8, 0.9, 0.95};
  const std::vector<double> y = {1, 2, 3, 4, 5};
  const auto bins = accuracy_bins(x, y, std::vector<double>{0.4, 0.8, 0.95});
  ASSERT_EQ(bins.size(), 2U);
  EXPECT_EQ(bins[0].count, 2U);  // .8 belongs to the next, .95 to the last
  EXPECT_EQ(bins[0].minority, 1.5);
  EXPECT_EQ(bins[1].count, 3U);
  EXPECT_TRUE(std::isnan(accuracy_bins(x, y, std::vector<double>{0.1, 0.2, 1})[0].minority));
  std::size_t all = 0;
  for (const AccuracyBin& bin : accuracy_bins(x, y)) all += bin.count;
  EXPECT_EQ(all, 5U);
  EXPECT_THAT(error_of([&] {
                accuracy_bins(x, y, std::vector<double>{0.5, 0.5});
              }),
              HasSubstr("increasing"));
}

TEST(MixtureAccuracy, WorkedByHand) {
  EXPECT_NEAR(mixture_accuracy(0.9, 0.5, 0.9), 0.86, 1e-15);
  EXPECT_NEAR(mixture_accuracy(0.9, 0.5, 0.5), 0.70, 1e-15);
  // A coin between two models.
  EXPECT_NEAR(mixture_accuracy(0.6, 0.98, 0.5), 0.79, 1e-15);
  EXPECT_NEAR(mixture_accuracy(0.55, 0.75, 0.5), 0.65, 1e-15);
  EXPECT_THAT(error_of([] { mixture_accuracy(0.5, 0.5, 1.5); }), HasSubstr("1.5"));
}

// Counts 4500, 500 / 1500, 3500 of Z = vehicle: P(Y=1) = .5, P(Z=1) = .6, and errors that do not
// depend on Z, TPR .9 and TNR .7. Directly: .75 * .9 + .25 * .7 = .85 and .125 * .9 + .875 * .7.
TEST(SubpopulationGapOfAClassifier, IsExplainedWhereErrorsFollowTheLabel) {
  const GroupConfusion vehicles{4500 * 0.9, 4500 * 0.1, 1500 * 0.7, 1500 * 0.3};
  const GroupConfusion animals{500 * 0.9, 500 * 0.1, 3500 * 0.7, 3500 * 0.3};
  EXPECT_NEAR(vehicles.accuracy(), 0.85, 1e-12);
  EXPECT_NEAR(animals.accuracy(), 0.725, 1e-12);
  const SubpopulationGap gap = subpopulation_gap(vehicles, animals);
  EXPECT_NEAR(gap.positive_share, 0.5, 1e-12);
  EXPECT_NEAR(gap.group_share, 0.6, 1e-12);
  EXPECT_NEAR(gap.group_in_positives, 0.9, 1e-12);
  EXPECT_NEAR(gap.group_in_negatives, 0.3, 1e-12);
  EXPECT_NEAR(gap.observed, 0.125, 1e-12);
  EXPECT_NEAR(gap.explained, 0.125, 1e-12);
  EXPECT_NEAR(gap.rest(), 0, 1e-12);
}

TEST(SubpopulationGapOfAClassifier, VanishesWithoutLinkOrAsymmetry) {
  EXPECT_EQ(explained_gap(0.5, 0.6, 0.9, 0.3, 0.8, 0.8), 0);
  EXPECT_EQ(explained_gap(0.5, 0.6, 0.6, 0.6, 0.9, 0.7), 0);
  EXPECT_NEAR(explained_gap(0.5, 0.6, 0.9, 0.3, 0.9, 0.7), 0.125, 1e-12);
  // The paper's four strengths of the link.
  const double counts[4][4] = {{3500, 1500, 2500, 2500},
                               {4500, 500, 1500, 3500},
                               {4750, 250, 1250, 3750},
                               {4950, 50, 1050, 3950}};
  const double links[4] = {0.2, 0.6, 0.7, 0.78};
  for (int i = 0; i < 4; ++i) {
    const SubpopulationGap gap =
        subpopulation_gap({counts[i][0], 0, counts[i][2], 0}, {counts[i][1], 0, counts[i][3], 0});
    EXPECT_NEAR(gap.group_in_positives - gap.group_in_negatives, links[i], 1e-12);
  }
}

// All of the gap is the classifier's own: it is right on Z = 1 only.
TEST(SubpopulationGapOfAClassifier, TheRestIsTreatingGroupsDifferently) {
  const SubpopulationGap gap = subpopulation_gap({50, 0, 50, 0}, {25, 25, 25, 25});
  EXPECT_NEAR(gap.explained, 0, 1e-15);
  EXPECT_NEAR(gap.rest(), 0.5, 1e-15);
  EXPECT_THAT(error_of([] { subpopulation_gap({0, 0, 0, 0}, {1, 1, 1, 1}); }), HasSubstr("empty"));
  EXPECT_THAT(error_of([] { subpopulation_gap({-1, 2, 0, 0}, {1, 1, 1, 1}); }), HasSubstr("-1"));
  EXPECT_THAT(error_of([] {
                subpopulation_gap({1, 0, 0, 0}, {1, 0, 0, 0});
              }),
              HasSubstr("one label"));
}

TEST(StrengthSweep, CurvatureGrowsWithTheLink) {
  SubpopulationTable table;
  table.source = "sweep.csv";
  table.tag_names = {"link", "configuration"};
  table.tags.resize(2);
  RandomStream random(6, "sweep");
  for (int c = 0; c < 40; ++c) {
    const double x = 0.5 + 0.45 * random.uniform();
    for (const double link : {0.5, 0.8, 0.95}) {
      table.models.push_back(fmt::format("{} at {}", c, link));
      table.majority.push_back(x);
      table.minority.push_back(0.5 + 0.5 * (1 - link) * (x - 0.5) +
                               4 * (link - 0.5) * (x - 0.7) * (x - 0.7) + 0.01 * random.normal());
      table.majority_size.push_back(800);
      table.minority_size.push_back(800);
      table.tags[0].push_back(fmt::to_string(link));
      table.tags[1].push_back(fmt::to_string(c));
    }
  }
  const StrengthSweep sweep = sweep_strengths(table, "link", "configuration", {.resamples = 300});
  EXPECT_THAT(sweep.strengths, ElementsAre(0.5, 0.8, 0.95));
  EXPECT_EQ(sweep.configurations, 40U);
  EXPECT_EQ(sweep.quadratic.tau, 1);
  EXPECT_EQ(sweep.moon_index.tau, 1);
  EXPECT_GT(sweep.quadratic.interval->low, 0.3);
  EXPECT_LT(sweep.fits[0].moon_index, 0.02);
  EXPECT_GT(sweep.fits[2].moon_index, 0.04);
  table.tags[0][7] = "strong";
  EXPECT_THAT(error_of([&] { sweep_strengths(table, "link", "", {}); }), HasSubstr("'strong'"));
}

TEST(SubpopulationStudy, SaysWhatIsWrong) {
  const auto refused = [](const SubpopulationTable& table,
                          const SubpopulationOptions& options = {}) {
    return error_of([&] { study_subpopulations(table, options); });
  };
  EXPECT_THAT(refused(table_of({0.5, 0.6, 0.7}, {0.5, 0.6, 0.7})),
              AllOf(HasSubstr("models.csv"), HasSubstr("3 models")));
  EXPECT_THAT(refused(table_of({0.5, 0.6, 0.7, 1.2}, {0.5, 0.6, 0.7, 0.8})), HasSubstr("'m3'"));
  EXPECT_THAT(refused(table_of({0.5, 0.5, 0.5, 0.5}, {0.5, 0.6, 0.7, 0.8})), HasSubstr("alike"));
  EXPECT_THAT(refused(table_of({0.5, std::nan(""), 0.5, 0.5}, {0.5, 0.6, 0.7, 0.8})),
              HasSubstr("nan"));
  EXPECT_THAT(refused(moon(20, 0.1, 1), {.low = 0.6, .high = 0.5}), HasSubstr("quantile 0.6"));
}

class SubpopulationFiles : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& text) const {
    std::ofstream(folder_ / "t.csv") << text;
    return folder_ / "t.csv";
  }
  TemporaryFolder folder_;
};

TEST_F(SubpopulationFiles, AccuraciesCountsAndConfusions) {
  const auto plain = read_subpopulation_table(
      write("model,lr,a,b\nx,0.1,0.9,0.5\ny,0.2,0.8,0.25\n"), {.majority = "a",
                                                               .minority = "b",
                                                               .majority_total = "100",
                                                               .minority_total = "40",
                                                               .tags = {"lr"}});
  EXPECT_THAT(plain.models, ElementsAre("x", "y"));
  EXPECT_THAT(plain.majority, ElementsAre(0.9, 0.8));
  EXPECT_THAT(plain.tag("lr"), ElementsAre("0.1", "0.2"));
  EXPECT_THAT(plain.minority_size, ElementsAre(40, 40));
  const auto counts =
      read_subpopulation_table(write("model,majority,minority,n\nx,90,5,100\n"),
                               {.counts = true, .majority_total = "n", .minority_total = "10"});
  EXPECT_THAT(counts.majority, ElementsAre(0.9));
  EXPECT_THAT(counts.minority, ElementsAre(0.5));
  const auto percent =
      read_subpopulation_table(write("m,majority,minority\nx,90,50\n"), {.percent = true});
  EXPECT_THAT(percent.majority, ElementsAre(0.9));
  const auto confusion = read_subpopulation_table(
      write("m,j_tp,j_fn,j_tn,j_fp,n_tp,n_fn,n_tn,n_fp\nx,3,1,4,2,1,0,0,1\n"),
      {.majority_confusion = "j", .minority_confusion = "n"});
  EXPECT_THAT(confusion.majority, ElementsAre(0.7));
  EXPECT_THAT(confusion.minority_size, ElementsAre(2));
}

TEST_F(SubpopulationFiles, NameThePlaceOfWhatIsWrong) {
  const auto refused = [&](const std::string& text, const SubpopulationColumns& columns = {}) {
    return error_of([&] { read_subpopulation_table(write(text), columns); });
  };
  EXPECT_THAT(refused("m,majority,minority\nx,90,50\n"),
              AllOf(HasSubstr("t.csv:2:3"), HasSubstr("--percent")));
  EXPECT_THAT(refused("m,majority,minority\nx,0.5,\n"), HasSubstr("expected a number"));
  EXPECT_THAT(refused("m,majority,minority\nx,0.5,nan\n"), HasSubstr("expected a number"));
  EXPECT_THAT(refused("m,majority,minority\nx,0.5,0.1\nx,0.6,0.2\n"),
              HasSubstr("'x' is there twice"));
  EXPECT_THAT(refused("m,majorty,minority\nx,0.5,0.1\n"), HasSubstr("majorty"));
  EXPECT_THAT(refused("m,majority,minority\n"), HasSubstr("no models"));
  EXPECT_THAT(refused("m,majority,minority\nx,5,1\n", {.counts = true}),
              HasSubstr("--majority-total"));
  EXPECT_THAT(refused("m,majority,minority\nx,5,1\n",
                      {.counts = true, .majority_total = "4", .minority_total = "4"}),
              HasSubstr("5 right answers of 4"));
  EXPECT_THAT(refused("m,a_tp,a_fn,a_tn,a_fp\nx,1,1,1,1\n", {.majority_confusion = "a"}),
              HasSubstr("of one subpopulation only"));
}

TEST_F(SubpopulationFiles, PredictionsAreCounted) {
  const PredictionColumns columns{.weight = "w", .majority = {"sea", "air"}};
  const auto path = write(
      "model,label,prediction,group,w\n"
      "a,1,1,sea,1\na,0,1,air,1\na,0,0,land,2\na,1,0,land,1\n"
      "b,1,0,sea,1\nb,0,0,air,3\nb,0,0,land,2\nb,1,1,land,1\n");
  const SubpopulationTable table = read_predictions(path, columns);
  EXPECT_THAT(table.models, ElementsAre("a", "b"));
  EXPECT_THAT(table.majority, ElementsAre(0.5, 0.75));
  EXPECT_THAT(table.minority, ElementsAre(2.0 / 3, 1));
  EXPECT_THAT(table.minority_size, ElementsAre(3, 3));
  ASSERT_EQ(table.majority_confusion.size(), 2U);
  EXPECT_EQ(table.majority_confusion[1].true_negatives, 3);
  EXPECT_EQ(table.majority_confusion[1].false_negatives, 1);
  EXPECT_EQ(table.minority_confusion[0].false_negatives, 1);
  EXPECT_THAT(error_of([&] { read_predictions(path, {.majority = {"lake"}}); }),
              AllOf(HasSubstr("no examples of the majority"), HasSubstr("lake")));
  const auto negative = write("model,label,prediction,group,w\na,1,1,sea,-1\n");
  EXPECT_THAT(error_of([&] { read_predictions(negative, columns); }), HasSubstr("'-1'"));
}

}  // namespace
}  // namespace amalgam::scores
