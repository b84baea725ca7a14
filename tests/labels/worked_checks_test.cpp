#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/label_model.hpp"
#include "amalgam/labels/label_predictor.hpp"
#include "amalgam/labels/models/glad_solver.hpp"
#include "amalgam/labels/models/triplets.hpp"
#include "tests/labels/made_tables.hpp"
#include "tests/labels/tiny_crowd.hpp"

/// Numbers worked out by hand, or exact moments of known models.
namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(Glad, FirstExpectationIsTheOneWorkedByHand) {
  const LabelFit fit = fit_tiny("glad", {"iterations=1"});
  EXPECT_NEAR(fit.posterior.row(0)[0], 0.938097, 1e-6);
  EXPECT_NEAR(fit.posterior.row(1)[1], 0.999713, 1e-6);
}

// Votes 0, 0, 1 of right workers of odds e^e: odds 15.154262 of class 0, times 1 / 3.
TEST(Glad, TakesTheBalanceOfClasses) {
  const LabelFit fit = fit_tiny("glad", {"iterations=1", "balance=1,3"});
  EXPECT_NEAR(fit.posterior.row(0)[0], 0.834750, 1e-6);
  EXPECT_THAT(fit.prior, ElementsAre(near(0.25), near(0.75)));
}

// The curvature of one annotation is then beyond what can be told from 0 beside the others.
TEST(Glad, EndsWithWeightsThatNewtonsMethodCannotTake) {
  AnnotationBuilder builder;
  for (const auto& [task, worker, label] : std::vector<Triple>{{"a", "u", "1"},
                                                               {"a", "v", "0"},
                                                               {"a", "w", "0"},
                                                               {"b", "u", "0"},
                                                               {"b", "v", "1"},
                                                               {"b", "w", "1"},
                                                               {"c", "u", "0"},
                                                               {"c", "v", "0"},
                                                               {"c", "w", "0"},
                                                               {"d", "w", "0"},
                                                               {"d", "x", "1"}}) {
    builder.add(builder.task(task), builder.worker(worker), builder.label(label));
    const bool of_c = task == "c";
    builder.add_weight(of_c && worker == "u"   ? 0x1p-6F
                       : of_c && worker == "v" ? 1.1482605288882546e27F
                                               : 1.0F);
  }
  const AnnotationTable table = builder.finish("weights");
  const GoldLabels gold{{1, kNoLabel, 0, kNoLabel}};
  FitContext context;
  context.gold = &gold;
  const LabelFit fit = fit_labels("glad", table, {}, context);
  for (const double p : fit.posterior.values) EXPECT_TRUE(p >= 0 && p <= 1);
}

// The derivatives, written out once more.
TEST(Glad, MaximisationEndsWhereTheGradientVanishes) {
  const Made made =
      make_crowd({.tasks = 60, .workers = 9, .per_task = 4, .classes = 3, .lowest_skill = 0.2});
  const LabelFit shares = fit_labels("standard", made.table);
  models::GladParameters at{std::vector<double>(9, 1), std::vector<double>(60, 1)};
  const models::GladMaximum maximum =
      models::maximise_glad(made.table, shares.posterior, 100, 1e-8, {}, at);
  EXPECT_TRUE(maximum.solved);
  EXPECT_LE(maximum.gradient_norm, 1e-8);
  EXPECT_LT(maximum.steps, 30U);
  std::vector<double> by_worker(9);
  std::vector<double> by_task(60);
  for (std::size_t w = 0; w < 9; ++w) by_worker[w] = 1 - at.ability[w];
  for (std::size_t i = 0; i < 60; ++i) by_task[i] = 1 - at.log_easiness[i];
  for (std::size_t row = 0; row < made.table.rows(); ++row) {
    const Task task = made.table.tasks[row];
    const Worker worker = made.table.workers[row];
    const double ease = std::exp(at.log_easiness[task]);
    const double s = 1 / (1 + std::exp(-at.ability[worker] * ease));
    const double residual = shares.posterior.row(task)[made.table.labels[row]] - s;
    by_worker[worker] += residual * ease;
    by_task[task] += residual * at.ability[worker] * ease;
  }
  for (const double slope : by_worker) EXPECT_NEAR(slope, 0, 1e-8);
  for (const double slope : by_task) EXPECT_NEAR(slope, 0, 1e-8);
}

TEST(Mace, FirstExpectationIsTheOneWorkedByHand) {
  const LabelFit fit = fit_tiny("mace", {"start_spread=0", "restarts=1", "iterations=1"});
  EXPECT_NEAR(fit.posterior.row(0)[0], 0.75, 1e-6);
  EXPECT_NEAR(fit.posterior.row(1)[1], 27.0 / 28, 1e-6);
  EXPECT_THAT(fit.trace, ElementsAre(near(-6.254073)));
}

// With equal workers, worker A knows t0 with probability .75 * .5 / .75, t1 with 27/28 * 2/3, and
// t2 (vote 0, probability .25) with .25 * 2/3.
TEST(Mace, VariationalMaximisationTakesGeometricMeans) {
  const LabelFit fit = fit_tiny("mace", {"start_spread=0", "restarts=1", "iterations=2"});
  const double knows = 0.5 + 27.0 / 28 * 2 / 3 + 0.25 * 2 / 3;
  const auto digamma = [](double x) {
    const double h = 1e-5;
    return (std::lgamma(x + h) - std::lgamma(x - h)) / (2 * h);
  };
  const double rho_knows = std::exp(digamma(knows + 0.5));
  const double rho_spams = std::exp(digamma(3 - knows + 0.5));
  EXPECT_NEAR(fit.skills[0], rho_knows / (rho_knows + rho_spams), 1e-6);
}

TEST(FastDawidSkene, SettlesOnTheTinyTableAtOnce) {
  const LabelFit fit = fit_tiny("fast-dawid-skene");
  EXPECT_EQ(fit.iterations, 1U);
  EXPECT_TRUE(fit.converged);
  EXPECT_THAT(fit.prior, ElementsAre(near(1.0 / 3), near(2.0 / 3)));
  EXPECT_THAT(hard_labels(fit.posterior).labels, ElementsAre(0, 1, 1));
  EXPECT_NEAR(fit.posterior.row(0)[0], 1, 1e-9);
  // B is right on all three; C always says 1.
  EXPECT_NEAR(fit.skills[1], 1, 1e-9);
  EXPECT_NEAR(fit.skills[2], 2.0 / 3, 1e-9);
}

TEST(DawidSkene, InitialCountsAreAddedOrTakenInPlaceOfTheFirst) {
  InitialConfusion initial{std::vector<double>(12, 0), true};
  FitContext context;
  context.initial_confusion = &initial;
  const LabelFit nothing_added = fit_tiny("dawid-skene", {"iterations=3"}, context);
  EXPECT_EQ(nothing_added.posterior.values,
            fit_tiny("dawid-skene", {"iterations=3"}).posterior.values);
  // All right nine times of ten: the posterior of t0 after one sweep is
  // 1/3 .9 .9 .1 against 2/3 .1 .1 .9 = .081 : .018.
  initial = {{9, 1, 1, 9, 9, 1, 1, 9, 9, 1, 1, 9}, false};
  const LabelFit assigned = fit_tiny("dawid-skene", {"iterations=1"}, context);
  EXPECT_NEAR(assigned.posterior.row(0)[0], 9.0 / 11, 1e-9);
  // A's row of a true 0: its own count of 1 and the initial (9, 1).
  initial.adds = true;
  const LabelFit added = fit_tiny("dawid-skene", {"iterations=1"}, context);
  EXPECT_NEAR(added.confusion[0], 10.0 / 11, 1e-9);
  initial.counts.pop_back();
  EXPECT_THAT([&] { fit_tiny("dawid-skene", {}, context); },
              ThrowsMessage<InputError>(HasSubstr("11 numbers; expected 12")));
  initial.counts.push_back(-1);
  EXPECT_THAT([&] { fit_tiny("dawid-skene", {}, context); },
              ThrowsMessage<InputError>(HasSubstr("worker 2, true label 1, observed label 1: -1")));
}

TEST(WeightedMajority, TakesTheBalanceOfClasses) {
  const LabelFit fit = fit_tiny("weighted-majority", {"balance=3,1"});
  EXPECT_NEAR(fit.posterior.row(0)[0], 6.0 / 7, 1e-12);
  EXPECT_NEAR(fit.posterior.row(2)[0], 3.0 / 5, 1e-12);
}

TEST(GoldMajority, WeighsByAccuracyOnGold) {
  // A and B are right on both gold tasks, C on one; t2's votes are 0, 1, 1.
  const GoldLabels gold{{0, 1, kNoLabel}};
  FitContext context;
  context.gold = &gold;
  const LabelFit fit = fit_tiny("gold-majority", {}, context);
  EXPECT_THAT(fit.skills, ElementsAre(near(1), near(1), near(0.5)));
  EXPECT_NEAR(fit.posterior.row(2)[0], 1 / 2.5, 1e-12);
}

// With uniform classes and workers equally good, the log-odds count votes.
TEST(ZenCrowd, LogOddsOfEqualWorkersCountVotes) {
  std::vector<int> votes;
  for (int pattern = 0; pattern < 8; ++pattern) {
    const int yes = pattern / 4 + pattern / 2 % 2 + pattern % 2;
    // Patterns that agree are more frequent, so that workers are better than chance.
    for (int copy = 0; copy < (yes == 0 || yes == 3 ? 5 : 1); ++copy) {
      votes.insert(votes.end(), {pattern / 4, pattern / 2 % 2, pattern % 2});
    }
  }
  const std::size_t items = votes.size() / 3;
  const LabelFit fit = fit_labels("zencrowd", table_of_votes(votes, items, 3, 2));
  const double odds = std::log(fit.skills[0] / (1 - fit.skills[0]));
  EXPECT_NEAR(fit.skills[0], fit.skills[2], 1e-12);
  for (std::size_t i = 0; i < items; ++i) {
    const int yes = votes[3 * i] + votes[3 * i + 1] + votes[3 * i + 2];
    EXPECT_NEAR(std::log(fit.posterior.row(i)[1] / fit.posterior.row(i)[0]), (2 * yes - 3) * odds,
                1e-9);
  }
}

// Every pattern of three votes as often as a model says, 000 first.
AnnotationTable exact_votes(const std::array<int, 8>& counts) {
  std::vector<int> votes;
  std::size_t items = 0;
  for (int pattern = 0; pattern < 8; ++pattern) {
    for (int copy = 0; copy < counts[static_cast<std::size_t>(pattern)]; ++copy) {
      votes.insert(votes.end(), {pattern / 4, pattern / 2 % 2, pattern % 2});
      ++items;
    }
  }
  return table_of_votes(votes, items, 3, 2);
}

// p = .3, true yes .9, .8, .7, false yes .2, .1, .4.
constexpr std::array<int, 8> kVerifiers{3042, 2058, 408, 392, 918, 882, 732, 1568};

void expect_verifiers(const LabelFit& fit, const AnnotationTable& table) {
  EXPECT_NEAR(fit.prior[1], 0.3, 1e-9);
  EXPECT_THAT(fit.worker_columns.at("true_yes_rate"), ElementsAre(near(.9), near(.8), near(.7)));
  EXPECT_THAT(fit.worker_columns.at("false_yes_rate"), ElementsAre(near(.2), near(.1), near(.4)));
  const std::array<double, 8> expected{.005917, -1, .176471, -1, .176471, -1, .885246, .964286};
  for (Task task = 0; task < table.task_count(); ++task) {
    const std::size_t row = table.rows_of(task).begin;
    const int pattern = 4 * table.labels[row] + 2 * table.labels[row + 1] + table.labels[row + 2];
    const double posterior = expected[static_cast<std::size_t>(pattern)];
    if (posterior >= 0) EXPECT_NEAR(fit.posterior.row(task)[1], posterior, 1e-6);
  }
}

TEST(Weaver, RecoversAKnownModelFromItsMomentsWithoutALabel) {
  const AnnotationTable table = exact_votes(kVerifiers);
  expect_verifiers(fit_labels("weaver", table), table);
  expect_verifiers(fit_labels("weaver", table, std::vector<std::string>{"solver=triplet-mean"}),
                   table);
  expect_verifiers(fit_labels("weaver", table, std::vector<std::string>{"polish=3"}), table);
}

TEST(Weaver, BalancedClassesHaveNoSkew) {
  // Votes of symmetric workers .9, .8, .7 on balanced classes.
  const LabelFit fit = fit_labels("weaver", exact_votes({510, 230, 150, 110, 110, 150, 230, 510}));
  EXPECT_NEAR(fit.prior[1], 0.5, 1e-9);
}

// Nothing tells how good a worker alone is.
TEST(Weaver, TakesTheVotesOfOneWorkerAsTheyAre) {
  const std::vector<int> votes{1, 0, 1, -1, 1};
  const AnnotationTable table = table_of_votes(votes, 5, 1, 2);
  FitContext keeps;
  keeps.keep_evidence = true;
  const LabelFit fit = fit_labels("weaver", table, {}, keeps);
  EXPECT_THAT(fit.posterior.values, ElementsAre(0, 1, 1, 0, 0, 1, 0.25, 0.75, 0, 1));
  EXPECT_THAT(fit.warnings, ::testing::Contains(HasSubstr("one worker")));
  EXPECT_EQ(LabelPredictor("weaver", table, fit).predict(table).soft.values, fit.posterior.values);
  const LabelFit told = fit_labels("weaver", table, std::vector<std::string>{"balance=9,1"});
  EXPECT_THAT(told.prior, ElementsAre(near(0.9), near(0.1)));
  EXPECT_THAT(told.posterior.row(3), ElementsAre(near(0.9), near(0.1)));
  EXPECT_THAT(told.posterior.row(4), ElementsAre(0, 1));
}

TEST(Weaver, ACoinWeighsNothingAndAContrarianNegatively) {
  // Workers .9, .9, a coin, and a contrarian who is right with .2; p = .5.
  std::vector<int> votes;
  std::size_t items = 0;
  for (int truth = 0; truth < 2; ++truth) {
    for (int pattern = 0; pattern < 16; ++pattern) {
      int count = 1000;
      const std::array<int, 4> tenths{9, 9, 5, 2};
      std::array<int, 4> said{};
      for (std::size_t w = 0; w < 4; ++w) {
        const bool right = (pattern >> w) % 2 == 1;
        count = count * (right ? tenths[w] : 10 - tenths[w]) / (w == 0 ? 1 : 10);
        said[w] = right ? truth : 1 - truth;
      }
      for (int copy = 0; copy < count; ++copy, ++items) {
        votes.insert(votes.end(), said.begin(), said.end());
      }
    }
  }
  const LabelFit fit = fit_labels("weaver", table_of_votes(votes, items, 4, 2));
  const std::vector<double>& weights = fit.worker_columns.at("weight");
  EXPECT_NEAR(weights[2], 0, 1e-6);
  EXPECT_LT(weights[3], -1);
  EXPECT_NEAR(weights[0], weights[1], 1e-9);
  EXPECT_THAT(fit.warnings, ::testing::Contains(HasSubstr("1 of 4 workers are worse than chance")));
}

TEST(Triplets, ThreeProductsGiveThreeSizes) {
  models::WorkerPairs moments{.begins = {0, 2, 4, 6},
                              .others = {1, 2, 0, 2, 0, 1},
                              .common = {1, 1, 1, 1, 1, 1},
                              .values = {.48, .36, .48, .27, .36, .27}};
  EXPECT_THAT(models::triplet_sizes(moments, {}, {}), ElementsAre(near(.8), near(.6), near(.45)));
  // A product that is 0 is skipped: no triplet of worker 0 is left.
  moments.values[3] = moments.values[5] = 0;
  EXPECT_EQ(models::triplet_sizes(moments, {}, {})[0], 0);
}

TEST(Triplets, DrawnTripletsGiveTheSizesOfAll) {
  // Workers i and j have met unless i + j is a multiple of 5; the moments are exactly products.
  constexpr std::size_t kWorkers = 40;
  std::vector<double> sizes;
  models::WorkerPairs moments{.begins = {0}, .columns = 2};
  for (std::size_t i = 0; i < kWorkers; ++i) {
    sizes.push_back(.3 + .015 * static_cast<double>(i));
  }
  for (std::size_t i = 0; i < kWorkers; ++i) {
    for (std::size_t j = 0; j < kWorkers; ++j) {
      if (i == j || (i + j) % 5 == 0) continue;
      moments.others.push_back(static_cast<Worker>(j));
      moments.common.push_back(1);
      moments.values.push_back(sizes[i] * sizes[j]);
      moments.values.push_back(-sizes[i] * sizes[j] / 4);
    }
    moments.begins.push_back(moments.others.size());
  }
  for (const std::size_t most : {std::size_t{1}, std::size_t{50}, std::size_t{10'000}}) {
    const std::vector<double> found = models::triplet_sizes(moments, {.most = most}, {});
    EXPECT_EQ(found, models::triplet_sizes(moments, {.most = most}, {.threads = 3}));
    for (std::size_t w = 0; w < kWorkers; ++w) {
      EXPECT_NEAR(found[2 * w], sizes[w], 1e-12) << most;
      EXPECT_NEAR(found[2 * w + 1], sizes[w] / 2, 1e-12) << most;
    }
  }
}

// Symmetric workers of accuracies .9, .8, .725 on balanced classes.
constexpr std::array<int, 8> kSymmetric{1044 + 11, 396 + 29, 261 + 44, 99 + 116,
                                        116 + 99,  44 + 261, 29 + 396, 11 + 1044};

TEST(FlyingSquid, RecoversSymmetricWorkers) {
  const LabelFit fit = fit_labels("flying-squid", exact_votes(kSymmetric));
  EXPECT_THAT(fit.skills, ElementsAre(near(.9), near(.8), near(.725)));
  const double odds = 9.0 * 4 * (.725 / .275);
  EXPECT_NEAR(fit.posterior.row(0)[0], odds / (1 + odds), 1e-9);
}

TEST(MMsr, RecoversSymmetricWorkers) {
  const LabelFit fit = fit_labels("m-msr", exact_votes(kSymmetric));
  EXPECT_TRUE(fit.converged);
  EXPECT_THAT(fit.skills, ElementsAre(near(.9), near(.8), near(.725)));
}

TEST(Generative, DescendsToTheModelThatMadeTheVotes) {
  const LabelFit fit = fit_labels(
      "generative", exact_votes(kVerifiers),
      std::vector<std::string>{"balance=0.7,0.3", "iterations=20000", "learning_rate=0.02"});
  EXPECT_LT(fit.trace.back(), 1e-9);
  // p_0 Pr(no | no) + p_1 Pr(yes | yes)
  EXPECT_NEAR(fit.skills[0], .7 * .8 + .3 * .9, 1e-3);
  EXPECT_NEAR(fit.skills[1], .7 * .9 + .3 * .8, 1e-3);
  EXPECT_NEAR(fit.skills[2], .7 * .6 + .3 * .7, 1e-3);
}

// At the model's own probabilities, which sum to 1, the penalty changes nothing; it takes the way
// there through probabilities that sum to 1.
TEST(Generative, ColumnSumsAreDrawnToOne) {
  const auto fit_with = [](const char* weight) {
    return fit_labels("generative", exact_votes(kVerifiers),
                      std::vector<std::string>{"balance=0.7,0.3", "iterations=20000",
                                               "learning_rate=0.01", weight});
  };
  const LabelFit fit = fit_with("column_sums=10");
  EXPECT_LT(fit.trace.back(), 1e-9);
  EXPECT_NEAR(fit.skills[0], .7 * .8 + .3 * .9, 1e-3);
  EXPECT_NEAR(fit.skills[2], .7 * .6 + .3 * .7, 1e-3);
  // The first value differs by the penalty at the start: 10 times the sum over workers and classes
  // of (1 - s min(1, .7 share / balance))^2 with the random number s, at least 0.
  EXPECT_GT(fit.trace.front(), fit_with("column_sums=0").trace.front());
}

// Per worker and class an accuracy: for two classes that is Dawid-Skene's model with a known prior,
// whose likelihood the exact model maximises.
TEST(Generative, AscendsTheLikelihoodOfTheModelThatMadeTheVotes) {
  const LabelFit fit = fit_labels("generative", exact_votes(kVerifiers),
                                  std::vector<std::string>{"balance=0.7,0.3", "fit=likelihood",
                                                           "iterations=3000", "learning_rate=0.3"});
  for (std::size_t t = 1; t < 10; ++t) EXPECT_GT(fit.trace[t], fit.trace[t - 1]);
  EXPECT_NEAR(fit.skills[0], .7 * .8 + .3 * .9, 1e-3);
  EXPECT_NEAR(fit.skills[1], .7 * .9 + .3 * .8, 1e-3);
  EXPECT_NEAR(fit.skills[2], .7 * .6 + .3 * .7, 1e-3);
}

TEST(Bcc, SamplesAreOfTheSeedAndNearTheVariationalForm) {
  const Made made = make_crowd({.tasks = 300, .classes = 3, .lowest_skill = 0.6});
  FitContext context;
  context.seed = 5;
  const LabelFit one = fit_labels("bcc", made.table, {}, context);
  EXPECT_EQ(one.posterior.values, fit_labels("bcc", made.table, {}, context).posterior.values);
  context.seed = 6;
  EXPECT_NE(one.posterior.values, fit_labels("bcc", made.table, {}, context).posterior.values);
  const LabelFit variational =
      fit_labels("bcc", made.table, std::vector<std::string>{"inference=variational"});
  double difference = 0;
  for (std::size_t i = 0; i < one.posterior.values.size(); ++i) {
    difference += std::abs(one.posterior.values[i] - variational.posterior.values[i]);
  }
  EXPECT_LT(difference / 300, 0.1);
}

TEST(Kos, FollowsTheWorkersWhoAgreeWithTheOthers) {
  // Two workers disagree with the three others on every task.
  std::vector<int> votes;
  for (int item = 0; item < 20; ++item) {
    const int truth = item % 2;
    votes.insert(votes.end(), {truth, truth, truth, 1 - truth, 1 - truth});
  }
  const LabelFit fit = fit_labels("kos", table_of_votes(votes, 20, 5, 2));
  for (std::size_t item = 0; item < 20; ++item) EXPECT_EQ(fit.posterior.row(item)[item % 2], 1);
  EXPECT_THAT(fit.skills, ElementsAre(1, 1, 1, 0, 0));
}

}  // namespace
}  // namespace amalgam::labels
