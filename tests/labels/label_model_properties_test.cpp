#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/label_model.hpp"
#include "tests/labels/made_tables.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Parameters that keep a method's work small.
std::vector<std::string> few_iterations(const LabelModel& model) {
  const std::string& name = model.info().name;
  if (name == "mace") return {"restarts=2", "iterations=4"};
  if (name == "bcc") return {"burn_in=2", "samples=3"};
  if (name == "glad") return {"iterations=3"};
  if (name == "average") return {"methods=standard,softmax,dawid-skene,wawa", "aggregation=hybrid"};
  if (name == "flying-squid") return {"triplets=20"};
  for (const ParameterInfo& parameter : model.info().parameters) {
    if (parameter.name == "iterations") return {"iterations=4"};
  }
  return {};
}

LabelFit fit_with(const LabelModel& model, const Made& made, std::size_t threads) {
  FitContext context;
  context.seed = 3;
  context.gold = model.info().needs_gold ? &made.gold : nullptr;
  context.parallel = {.threads = threads, .runner = Runner::std_thread};
  return fit_labels(model.info().name, made.table, few_iterations(model), context);
}

class EveryMethod : public ::testing::TestWithParam<const LabelModel*> {};

TEST_P(EveryMethod, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const std::size_t classes : {2, 3}) {
    if (classes > GetParam()->info().most_classes) continue;
    // Of several leaves.
    const Made made = make_crowd(
        {.tasks = 33'000, .workers = 15, .per_task = 3, .classes = classes, .lowest_skill = 0.5});
    const LabelFit one = fit_with(*GetParam(), made, 1);
    for (const std::size_t threads : {2, 5}) {
      const LabelFit many = fit_with(*GetParam(), made, threads);
      EXPECT_EQ(one.posterior.values, many.posterior.values);
      EXPECT_EQ(one.skills, many.skills);
      EXPECT_EQ(one.confusion, many.confusion);
      EXPECT_EQ(one.trace, many.trace);
      EXPECT_EQ(one.task_columns, many.task_columns);
      EXPECT_EQ(one.worker_columns, many.worker_columns);
    }
  }
}

TEST_P(EveryMethod, FindsMostOfTheTruthOfAGoodCrowd) {
  for (const std::size_t classes : {2, 4}) {
    if (classes > GetParam()->info().most_classes) continue;
    const Made made = make_crowd(
        {.tasks = 400, .workers = 12, .per_task = 5, .classes = classes, .lowest_skill = 0.75});
    FitContext context;
    context.gold = GetParam()->info().needs_gold ? &made.gold : nullptr;
    const LabelFit fit = fit_labels(GetParam()->info().name, made.table, {}, context);
    EXPECT_GT(accuracy(fit, made.gold), 0.93);
    ASSERT_EQ(fit.posterior.items, made.table.task_count());
    for (std::size_t task = 0; task < fit.posterior.items; ++task) {
      double sum = 0;
      for (const double p : fit.posterior.row(task)) {
        EXPECT_GE(p, 0);
        sum += p;
      }
      EXPECT_NEAR(sum, 1, 1e-12);
    }
  }
}

TEST_P(EveryMethod, TakesATaskThatNobodyAnnotated) {
  AnnotationBuilder builder;
  builder.task("nobody's");
  for (int i = 0; i < 30; ++i) {
    for (int w = 0; w < 4; ++w) {
      builder.add(builder.task(fmt::to_string(i)), builder.worker(fmt::to_string(w)),
                  builder.label((i + (i % 5 == w ? 1 : 0)) % 2 == 0 ? "a" : "b"));
    }
  }
  const Made made{builder.finish("t"), GoldLabels{std::vector<Label>(31, 0)}, {}};
  const LabelFit fit = fit_with(*GetParam(), made, 1);
  const std::uint32_t nobodys = made.table.task_names.find("nobody's");
  double sum = 0;
  for (const double p : fit.posterior.row(nobodys)) {
    EXPECT_TRUE(std::isfinite(p));
    sum += p;
  }
  EXPECT_NEAR(sum, 1, 1e-12);
}

INSTANTIATE_TEST_SUITE_P(All, EveryMethod,
                         ::testing::ValuesIn(label_models().begin(), label_models().end()),
                         [](const auto& one) {
                           std::string name = one.param->info().name;
                           std::erase(name, '-');
                           return name;
                         });

struct Variant {
  std::string method;
  std::vector<std::string> parameters = {};
  double tolerance = 1e-12;
};

void PrintTo(const Variant& variant, std::ostream* out) {
  *out << variant.method;
  for (const std::string& parameter : variant.parameters) *out << ' ' << parameter;
}

class Symmetric : public ::testing::TestWithParam<Variant> {
 protected:
  static SoftLabels posterior(const Made& made) {
    FitContext context;
    context.gold = GetParam().method == "gold-majority" ? &made.gold : nullptr;
    return fit_labels(GetParam().method, made.table, GetParam().parameters, context).posterior;
  }
};

TEST_P(Symmetric, WorkersAndTasksMayBeNamedInAnyOrder) {
  const MadeCrowd crowd{.tasks = 151, .workers = 11, .per_task = 5, .classes = 2};
  const SoftLabels before = posterior(make_crowd(crowd));
  const Naming naming{turned_order(crowd.tasks), turned_order(crowd.workers), {}};
  const SoftLabels after = posterior(make_crowd(crowd, naming));
  for (std::size_t i = 0; i < crowd.tasks; ++i) {
    for (std::size_t k = 0; k < crowd.classes; ++k) {
      EXPECT_NEAR(before.row(i)[k], after.row(naming.tasks[i])[k], GetParam().tolerance);
    }
  }
}

TEST_P(Symmetric, ClassesMayBeNamedInAnyOrder) {
  const MadeCrowd crowd{.tasks = 151, .workers = 11, .per_task = 5, .classes = 2};
  const SoftLabels before = posterior(make_crowd(crowd));
  const SoftLabels after = posterior(make_crowd(crowd, {{}, {}, {1, 0}}));
  for (std::size_t i = 0; i < crowd.tasks; ++i) {
    EXPECT_NEAR(before.row(i)[0], after.row(i)[1], GetParam().tolerance);
    EXPECT_NEAR(before.row(i)[1], after.row(i)[0], GetParam().tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Symmetric,
    ::testing::Values(Variant{"majority-vote"}, Variant{"weighted-majority"},
                      Variant{"gold-majority"}, Variant{"standard"}, Variant{"softmax"},
                      Variant{"wawa"}, Variant{"zero-based-skill"}, Variant{"dawid-skene"},
                      Variant{"dawid-skene", {"diagonal=2", "off_diagonal=1"}},
                      Variant{"fast-dawid-skene"}, Variant{"one-coin-dawid-skene"},
                      Variant{"zencrowd"}, Variant{"glad", {}, 1e-7}, Variant{"m-msr", {}, 1e-8},
                      Variant{"bcc", {"inference=variational"}, 1e-11}, Variant{"generative"},
                      Variant{"generative", {"fit=likelihood"}}, Variant{"flying-squid"},
                      Variant{"weaver", {}, 1e-10},
                      Variant{"weaver", {"solver=triplet-median", "polish=5"}, 1e-9}));

class Ascending : public ::testing::TestWithParam<Variant> {};

TEST_P(Ascending, TheObjectiveNeverFalls) {
  for (const std::size_t classes : {2, 4}) {
    for (const std::uint64_t seed : {1, 2, 3}) {
      if (classes > find_label_model(GetParam().method).info().most_classes) continue;
      const Made made = make_crowd({.tasks = 120,
                                    .workers = 15,
                                    .per_task = 4,
                                    .classes = classes,
                                    .seed = seed,
                                    .lowest_skill = 0.3});
      const LabelFit fit = fit_labels(GetParam().method, made.table, GetParam().parameters);
      ASSERT_GT(fit.trace.size(), 3U);
      for (std::size_t t = 1; t < fit.trace.size(); ++t) {
        EXPECT_GE(fit.trace[t], fit.trace[t - 1] - 1e-9 * std::abs(fit.trace[t])) << "sweep " << t;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Ascending,
    ::testing::Values(Variant{"dawid-skene", {"tolerance=-1"}},
                      Variant{"dawid-skene", {"diagonal=3", "off_diagonal=1", "tolerance=-1"}},
                      Variant{"one-coin-dawid-skene", {"tolerance=-1"}},
                      Variant{"zencrowd", {"tolerance=-1"}},
                      Variant{"glad", {"tolerance=-1", "iterations=12"}},
                      Variant{"glad", {"tolerance=-1", "iterations=12", "inner_iterations=2"}},
                      Variant{"mace", {"inference=em", "restarts=2"}},
                      Variant{"bcc", {"inference=variational", "tolerance=-1"}},
                      Variant{"weaver", {"polish=10"}}));

TEST(FitWarnings, SayWhereEvidenceIsThin) {
  const AnnotationTable table = make_table(std::vector<Triple>{{"t", "A", "x"},
                                                               {"t", "B", "x"},
                                                               {"u", "A", "y"},
                                                               {"u", "B", "x"},
                                                               {"v", "A", "x"},
                                                               {"v", "C", "x"}});
  const LabelFit fit = fit_labels("dawid-skene", table);
  EXPECT_THAT(fit.warnings, ::testing::Contains(HasSubstr("2 of 3 workers have fewer than 3")));
  EXPECT_THAT(fit.warnings, ::testing::Contains(HasSubstr("label 'y' has only 1 annotations")));
  ASSERT_TRUE(fit.mean_diagonal.has_value());
}

// One worker who always says "yes" on tasks where the others split evenly.
TEST(FitWarnings, SayThatAMethodCollapsed) {
  AnnotationBuilder builder;
  for (int i = 0; i < 40; ++i) {
    const std::string task = fmt::to_string(i);
    const bool minority = i % 20 == 0;
    for (int w = 0; w < 3; ++w) {
      builder.add(builder.task(task), builder.worker(fmt::to_string(w)),
                  builder.label(minority && w < 2 ? "no" : "yes"));
    }
  }
  const AnnotationTable table = builder.finish("t");
  const LabelFit fit =
      fit_labels("weighted-majority", table, std::vector<std::string>{"balance=0.001,0.999"});
  EXPECT_THAT(fit.warnings, ::testing::Contains(HasSubstr("collapsed to one class")));
  EXPECT_THAT(fit_labels("weighted-majority", table).warnings,
              ::testing::Not(::testing::Contains(HasSubstr("collapsed"))));
}

TEST(Refusals, SayWhatIsMissing) {
  const Made three = make_crowd({.classes = 3});
  const auto message = [](std::string_view method, const AnnotationTable& table,
                          std::vector<std::string> parameters, std::string_view text) {
    EXPECT_THAT([&] { fit_labels(method, table, parameters); },
                ThrowsMessage<InputError>(HasSubstr(std::string(text))));
  };
  message("kos", three.table, {}, "at most 2 labels, but the annotations have 3");
  message("weaver", three.table, {}, "at most 2 labels");
  message("gold-majority", three.table, {}, "needs gold labels");
  message("average", three.table, {"aggregation=weighted"}, "needs gold labels");
  message("average", three.table, {"methods=standard,average"}, "cannot be its own member");
  message("average", three.table, {"methods=standard,standard"}, "there twice");
  message("average", three.table, {"methods=wawo"}, "did you mean 'wawa'?");
  message("weighted-majority", three.table, {"balance=0.5,0.5"}, "2 numbers, but the annotations");
  message("weighted-majority", three.table, {"balance=1,0,1"}, "'0' is not a positive number");
  message("weighted-majority", three.table, {"balance=gold"}, "needs gold labels");
  message("generative", three.table, {"learning_rate=1e6"}, "diverged");
  const Made two = make_crowd({.workers = 2, .per_task = 2});
  message("flying-squid", two.table, {}, "needs at least 3 workers");
  message("generative", two.table, {}, "needs at least 3 workers");
  message("m-msr", two.table, {}, "needs at least 3 workers");
  message("weaver", two.table, {}, "2 workers: their votes do not tell the class balance");
  const AnnotationTable apart =
      make_table(std::vector<Triple>{{"t", "A", "x"}, {"u", "B", "y"}, {"v", "C", "x"}});
  message("m-msr", apart, {}, "no two workers annotated the same task");
}

TEST(Refusals, SayWhereGoldDoesNotFit) {
  const Made made = make_crowd({.tasks = 20});
  const auto message = [&](std::vector<Label> labels, std::string_view text) {
    const GoldLabels gold{std::move(labels)};
    FitContext context;
    context.gold = &gold;
    EXPECT_THAT([&] { fit_labels("dawid-skene", made.table, {}, context); },
                ThrowsMessage<InputError>(HasSubstr(std::string(text))));
  };
  message(std::vector<Label>(19, 0), "gold labels are of 19 tasks, but the annotations of 20");
  std::vector<Label> labels(20, kNoLabel);
  labels[3] = 2;
  message(labels, "task '3' has gold label number 2, but the annotations have 2 labels");
}

TEST(GoldLabels, AreTakenAsKnownByEveryMethodOfEm) {
  const Made made = make_crowd({.tasks = 60, .lowest_skill = 0.2});
  FitContext context;
  context.gold = &made.gold;
  for (const std::string method : {"dawid-skene", "fast-dawid-skene", "one-coin-dawid-skene",
                                   "zencrowd", "glad", "mace", "bcc"}) {
    const LabelFit fit = fit_labels(method, made.table, {}, context);
    EXPECT_EQ(accuracy(fit, made.gold), 1) << method;
  }
}

TEST(Weaver, TakesTwoWorkersOfAGivenBalance) {
  const Made two = make_crowd({.tasks = 500, .workers = 2, .per_task = 2, .lowest_skill = 0.8});
  const LabelFit fit = fit_labels("weaver", two.table, std::vector<std::string>{"balance=uniform"});
  EXPECT_THAT(fit.warnings, ::testing::Contains(HasSubstr("equally good")));
  EXPECT_GT(accuracy(fit, two.gold), 0.75);
}

}  // namespace
}  // namespace amalgam::labels
