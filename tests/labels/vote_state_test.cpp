#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/label_predictor.hpp"
#include "amalgam/labels/weak/fit_votes.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/labels/joined_tables.hpp"
#include "tests/labels/soft_difference.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// Votes of functions from `first_function` on, on items from `first` on: right with probability
/// .8, and one in four abstains. Every tenth item has no vote.
AnnotationTable votes(std::size_t first, std::size_t items, std::size_t first_function = 0,
                      std::size_t functions = 6) {
  RandomStream random(first + 1000 * first_function, "votes");
  AnnotationBuilder builder;
  for (const char* label : {"0", "1", "2"}) builder.label(label);
  for (std::size_t i = first; i < first + items; ++i) {
    const Task task = builder.task(fmt::to_string(i));
    for (std::size_t j = first_function; j < first_function + functions; ++j) {
      const Worker worker = builder.worker(fmt::format("f{}", j));
      const std::uint64_t wrong = 1 + random.below(2);
      const bool right = random.uniform() < 0.8;
      if (random.uniform() < 0.25 || i % 10 == 9) continue;
      builder.add(task, worker, static_cast<Label>((i + (right ? 0 : wrong)) % 3));
    }
  }
  return builder.finish("votes");
}

VoteState reloaded(const VoteState& state) {
  const TemporaryFolder folder;
  state.save(folder / "state.safetensors");
  return VoteState{ColumnReader(folder / "state.safetensors")};
}

class VoteStates : public ::testing::TestWithParam<const char*> {};

// Of more items, and of more functions on items that were there.
TEST_P(VoteStates, UpdatesAreTheFitOfEverything) {
  const AnnotationTable first = votes(0, 2000);
  const AnnotationTable more = joined(votes(2000, 50), votes(100, 1000, 6, 2));
  AbsorbOptions close;
  close.tolerance = 1e-9;
  close.spread = 0;
  VoteState state(GetParam(), first, {}, {}, {});
  state = reloaded(state);
  const AbsorbReport report = state.absorb(more, close);
  EXPECT_EQ(report.new_tasks, 50U);
  EXPECT_EQ(report.new_workers, 2U);
  const VoteState whole(GetParam(), joined(first, more), {}, {}, {});
  EXPECT_LT(
      largest_difference(reloaded(state).result().fit.posterior, whole.result().fit.posterior),
      1e-4);
}

INSTANTIATE_TEST_SUITE_P(Methods, VoteStates,
                         ::testing::Values("generative", "majority-vote", "dawid-skene", "zencrowd",
                                           "flying-squid"),
                         [](const auto& of) {
                           std::string name = of.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(VoteState, ItemsWithoutAVoteHaveTheBalance) {
  const std::vector<double> balance{6, 3, 1};
  for (const std::string method : {"generative", "majority-vote"}) {
    VoteState state(method, votes(0, 200), balance, {}, {});
    const auto check = [&](const VoteState& of, const char* item) {
      const LabelState::Result result = of.result();
      EXPECT_THAT(result.fit.posterior.row(result.table.task_names.find(item)),
                  ElementsAre(0.6, 0.3, 0.1));
    };
    check(state, "9");
    state = reloaded(state);
    check(state, "19");
    state.absorb(votes(200, 20));
    check(state, "209");
  }
}

TEST(VoteState, IsTheFitOfVotesWhereMethodsDoNotIterate) {
  const AnnotationTable table = votes(0, 300);
  const std::vector<double> balance{0.5, 0.3, 0.2};
  EXPECT_EQ(VoteState("generative", table, balance, {}, {}).result().fit.posterior.values,
            fit_votes("generative", table, balance).posterior.values);
}

TEST(VoteState, LabelsNewItemsAsThePredictorOfTheFit) {
  const TemporaryFolder folder;
  const AnnotationTable table = votes(0, 300);
  const VoteState state("generative", table, {}, {}, {});
  state.save(folder / "state.safetensors");
  const AnnotationTable fresh = votes(300, 30);
  const LabelState::Result result = state.result(true);
  EXPECT_EQ(LabelPredictor::load(folder / "state.safetensors").predict(fresh).soft.values,
            LabelPredictor("generative", result.table, result.fit).predict(fresh).soft.values);
}

TEST(VoteState, RefinedIsTheFitOfEverything) {
  const AnnotationTable first = votes(0, 500);
  const AnnotationTable more = votes(500, 100);
  VoteState state("dawid-skene", first, {}, {}, {});
  EXPECT_TRUE(state.settled().converged);
  EXPECT_GT(state.settled().sweeps, 0U);
  state.absorb(more);
  EXPECT_TRUE(state.refine({}).converged);
  const VoteState whole("dawid-skene", joined(first, more), {}, {}, {});
  EXPECT_LT(largest_difference(state.result().fit.posterior, whole.result().fit.posterior), 1e-4);
}

TEST(VoteState, WarnsOfWhatAFitWarnsOf) {
  const VoteState state("dawid-skene", votes(0, 2), {}, {}, {});
  EXPECT_FALSE(state.result().fit.warnings.empty());
}

TEST(VoteState, RefusesVotesThatWereThere) {
  VoteState state("majority-vote", votes(0, 20), {}, {}, {});
  EXPECT_THAT([&] { state.absorb(votes(15, 10)); },
              ThrowsMessage<InputError>(HasSubstr("has answered it before")));
  EXPECT_EQ(state.votes().task_count(), 20U);
}

TEST(VoteState, FilesThatDoNotFitTogetherAreRefused) {
  const TemporaryFolder folder;
  const auto path = folder / "state.safetensors";
  const VoteState state("generative", votes(0, 50), std::vector<double>{1, 1, 2}, {}, {});
  const auto refuses = [&](const std::vector<double>& balance) {
    ColumnSet set = state.columns();
    set.columns.front() = make_column("balance", DType::f64, balance);
    write_column_file(path, set);
    EXPECT_THAT([&] { VoteState{ColumnReader(path)}; },
                ThrowsMessage<InputError>(HasSubstr("its balance do not fit together")));
  };
  refuses({0.5, 0.5});
  refuses({0.5, 0.6, -0.1});
  refuses({0.5, 0.5, 0.5});
  refuses({NAN, 0.5, 0.5});
}

}  // namespace
}  // namespace amalgam::labels
