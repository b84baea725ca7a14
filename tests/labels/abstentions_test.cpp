#include "amalgam/labels/abstentions.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/incremental.hpp"
#include "amalgam/labels/label_model.hpp"
#include "tests/labels/random_annotations.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

auto near(double value) { return ::testing::DoubleNear(value, 1e-9); }

std::vector<std::string> abstentions(const std::string& how) {
  return {"abstentions=" + how, "tolerance=-1", "iterations=30"};
}

// Random votes with -1 where the random annotations have no row, and one item without a vote.
std::vector<int> sparse_votes(std::size_t items, std::size_t functions) {
  std::vector<int> votes(items * functions, -1);
  RandomStream random(3, "abstentions");
  for (std::size_t i = 0; i + 1 < items; ++i) {
    for (std::size_t j = 0; j < functions; ++j) {
      const std::size_t truth = i % 3;
      // On class 2 functions abstain more often.
      if (random.uniform() < (truth == 2 ? 0.7 : 0.3)) continue;
      const bool right = random.uniform() < 0.5 + 0.05 * static_cast<double>(j);
      votes[i * functions + j] = static_cast<int>(right ? truth : random.below(3));
    }
  }
  return votes;
}

// The same votes with a row "abstains" where a function does.
AnnotationTable spelled_out(const std::vector<int>& votes, std::size_t items,
                            std::size_t functions) {
  AnnotationBuilder builder;
  for (std::size_t i = 0; i < items; ++i) {
    for (std::size_t j = 0; j < functions; ++j) {
      const int vote = votes[i * functions + j];
      const Task task = builder.task(fmt::to_string(i));
      const Worker worker = builder.worker(fmt::to_string(j));
      builder.add(task, worker, builder.label(vote < 0 ? "abstains" : fmt::format("c{}", vote)));
    }
  }
  return builder.finish("votes");
}

TEST(Abstentions, RowsGoOrStayWithoutWeightAndTheirLabelIsGone) {
  const std::vector<Triple> triples{{"t0", "A", "maybe"},
                                    {"t0", "A", "no"},
                                    {"t0", "B", "yes"},
                                    {"t1", "A", "maybe"},
                                    {"t2", "B", "no"}};
  std::uint64_t count = 0;
  const AnnotationTable dropped =
      with_abstentions(make_table(triples), "maybe", Abstained::dropped, &count);
  EXPECT_EQ(count, 2U);
  EXPECT_THAT(dropped.task_begins, ElementsAre(0, 2, 2, 3));
  EXPECT_THAT(dropped.labels, ElementsAre(0, 1, 0));
  EXPECT_THAT(dropped.workers, ElementsAre(0, 1, 1));
  EXPECT_THAT(dropped.tasks, ElementsAre(0, 0, 2));
  EXPECT_TRUE(dropped.weights.empty());
  EXPECT_EQ(dropped.label_count(), 2U);
  EXPECT_EQ(dropped.label_names[1], "yes");

  const AnnotationTable marked = with_abstentions(make_table(triples), "maybe", Abstained::marked);
  EXPECT_EQ(marked.label_names, dropped.label_names);
  EXPECT_THAT(marked.task_begins, ElementsAre(0, 3, 4, 5));
  EXPECT_THAT(marked.weights, ElementsAre(0, 1, 1, 0, 1));
  EXPECT_THAT(marked.labels, ElementsAre(0, 0, 1, 0, 0));
}

TEST(Abstentions, NoLabelOfThatNameChangesNothingAndNoOtherIsRefused) {
  std::uint64_t count = 7;
  const AnnotationTable table = RandomAnnotations{}.table();
  EXPECT_EQ(with_abstentions(table, "maybe", Abstained::marked, &count).labels, table.labels);
  EXPECT_EQ(count, 0U);
  EXPECT_THAT(
      [] {
        with_abstentions(make_table(std::vector<Triple>{{"t", "A", "x"}, {"t", "B", "x"}}), "x",
                         Abstained::dropped);
      },
      ThrowsMessage<InputError>(
          HasSubstr("no annotation is left beside those with the label 'x'")));
}

// Items (0, 0), (1, -), (1, 1), (-, -). The first posteriors are 0, 1, 1 and even, so that class 0
// has 1.5 of 4 items and class 1 has 2.5. Function 0 abstains on half an item of either class: 1/3
// and 1/5; function 1 on half an item of class 0 and 1.5 of class 1: 1/3 and 3/5.
TEST(AbstainingDawidSkene, CountsSilenceByHand) {
  const std::vector<int> votes{0, 0, 1, -1, 1, 1, -1, -1};
  const LabelFit fit = fit_labels("dawid-skene", table_of_votes(votes, 4, 2, 2),
                                  std::vector<std::string>{"abstentions=missing", "iterations=1"});
  EXPECT_THAT(fit.prior, ElementsAre(near(1.5 / 4), near(2.5 / 4)));
  EXPECT_THAT(fit.worker_columns.at("abstains:0"), ElementsAre(near(1.0 / 3), near(1.0 / 3)));
  EXPECT_THAT(fit.worker_columns.at("abstains:1"), ElementsAre(near(0.2), near(0.6)));
  // 0.375 / 9 against 0.625 * 0.2 * 0.6.
  EXPECT_NEAR(fit.posterior.row(3)[0], 5.0 / 14, 1e-9);
  EXPECT_NEAR(fit.posterior.row(1)[1], 1, 1e-9);
  // Who speaks is right.
  EXPECT_THAT(fit.skills, ElementsAre(near(1), near(1)));
}

TEST(AbstainingDawidSkene, MissingRowsAreWhatMarkedOnesAre) {
  constexpr std::size_t kItems = 400;
  constexpr std::size_t kFunctions = 6;
  const std::vector<int> votes = sparse_votes(kItems, kFunctions);
  const LabelFit missing = fit_labels("dawid-skene", table_of_votes(votes, kItems, kFunctions, 3),
                                      abstentions("missing"));
  const LabelFit marked = fit_labels(
      "dawid-skene",
      with_abstentions(spelled_out(votes, kItems, kFunctions), "abstains", Abstained::marked),
      abstentions("marked"));
  for (std::size_t i = 0; i < missing.posterior.values.size(); ++i) {
    ASSERT_NEAR(missing.posterior.values[i], marked.posterior.values[i], 1e-9) << i;
  }
  for (std::size_t i = 0; i < missing.confusion.size(); ++i) {
    ASSERT_NEAR(missing.confusion[i], marked.confusion[i], 1e-9) << i;
  }
  EXPECT_NEAR(missing.trace.back(), marked.trace.back(), 1e-6);
  // Functions are silent most often on class 2: so is the item on which all are.
  EXPECT_GT(missing.posterior.row(kItems - 1)[2], 0.9);
}

// The parameter "acceleration", which leaps with what abstaining counts too.
TEST(AbstainingDawidSkene, LeapsEndWhereSweepsEndInFewerAndNeverFall) {
  constexpr std::size_t kItems = 300;
  constexpr std::size_t kFunctions = 6;
  const std::vector<int> votes = sparse_votes(kItems, kFunctions);
  const AnnotationTable missing = table_of_votes(votes, kItems, kFunctions, 3);
  const AnnotationTable marked =
      with_abstentions(spelled_out(votes, kItems, kFunctions), "abstains", Abstained::marked);
  for (const bool is_marked : {false, true}) {
    const auto fitted = [&](const char* acceleration, const char* iterations) {
      const std::vector<std::string> parameters = {
          is_marked ? "abstentions=marked" : "abstentions=missing",
          fmt::format("acceleration={}", acceleration),
          fmt::format("iterations={}", iterations),
          "tolerance=-1",
          "diagonal=0.5",
          "off_diagonal=0.2"};
      return fit_labels("dawid-skene", is_marked ? marked : missing, parameters);
    };
    const LabelFit plain = fitted("none", "3000");
    const LabelFit leaping = fitted("anderson", "200");
    for (std::size_t i = 0; i < plain.posterior.values.size(); ++i) {
      ASSERT_NEAR(leaping.posterior.values[i], plain.posterior.values[i], 1e-7) << i;
    }
    const auto sweeps_below = [top = plain.trace.back() - 1e-8](const std::vector<double>& trace) {
      return std::ranges::count_if(trace, [top](double value) { return value < top; });
    };
    EXPECT_LT(2 * sweeps_below(leaping.trace), sweeps_below(plain.trace)) << is_marked;
    for (std::size_t t = 1; t < leaping.trace.size(); ++t) {
      EXPECT_GE(leaping.trace[t], leaping.trace[t - 1] - 1e-12 * std::abs(leaping.trace[t])) << t;
    }
  }
}

TEST(AbstainingDawidSkene, TheLikelihoodNeverFallsAndThreadsChangeNoBit) {
  constexpr std::size_t kItems = 20'000;
  const AnnotationTable table = table_of_votes(sparse_votes(kItems, 5), kItems, 5, 3);
  FitContext one;
  one.parallel.threads = 1;
  FitContext three;
  three.parallel.threads = 3;
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"diagonal=2", "off_diagonal=0.5"}}) {
    std::vector<std::string> parameters = abstentions("missing");
    parameters.insert(parameters.end(), more.begin(), more.end());
    const LabelFit fit = fit_labels("dawid-skene", table, parameters, one);
    for (std::size_t t = 1; t < fit.trace.size(); ++t) {
      EXPECT_GE(fit.trace[t], fit.trace[t - 1] - 1e-7) << t;
    }
    EXPECT_EQ(fit.posterior.values,
              fit_labels("dawid-skene", table, parameters, three).posterior.values);
  }
}

TEST(AbstainingDawidSkene, GoldIsTakenAsKnownAlsoWhereNobodySpeaks) {
  const std::vector<int> votes{0, 0, 1, -1, 1, 1, -1, -1};
  GoldLabels gold{{kNoLabel, kNoLabel, kNoLabel, 0}};
  FitContext context;
  context.gold = &gold;
  const LabelFit fit =
      fit_labels("dawid-skene", table_of_votes(votes, 4, 2, 2),
                 std::vector<std::string>{"abstentions=missing", "iterations=1"}, context);
  EXPECT_EQ(fit.posterior.row(3)[0], 1);
  EXPECT_THAT(fit.prior, ElementsAre(near(0.5), near(0.5)));
  // Function 0 is silent on the one of two items of class 0, and speaks on both of class 1.
  EXPECT_NEAR(fit.worker_columns.at("abstains:0")[0], 0.5, 1e-9);
  EXPECT_NEAR(fit.worker_columns.at("abstains:1")[0], 0, 1e-9);
}

TEST(AbstainingDawidSkene, RefusesWhatItCannotDo) {
  const AnnotationTable table = RandomAnnotations{}.table();
  EXPECT_THAT([&] { fit_labels("dawid-skene", table, abstentions("marked")); },
              ThrowsMessage<InputError>(HasSubstr("no annotation is an abstention")));
  FitContext context;
  context.keep_evidence = true;
  EXPECT_THAT([&] { fit_labels("dawid-skene", table, abstentions("missing"), context); },
              ThrowsMessage<InputError>(HasSubstr("cannot hold that abstentions say something")));
  InitialConfusion initial{std::vector<double>(20 * 9, 1), true};
  context = {};
  context.initial_confusion = &initial;
  EXPECT_THAT([&] { fit_labels("dawid-skene", table, abstentions("missing"), context); },
              ThrowsMessage<InputError>(HasSubstr("do not say how often workers abstain")));
  EXPECT_THAT([&] { IncrementalFit(table, "dawid-skene", abstentions("missing"), {}); },
              ThrowsMessage<InputError>(HasSubstr("cannot be looked at again task by task")));
}

}  // namespace
}  // namespace amalgam::labels
