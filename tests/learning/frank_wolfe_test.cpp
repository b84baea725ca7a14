#include "amalgam/weights/learned/frank_wolfe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;

TEST(Simplex, ProjectionsOfTheCard) {
  const torch::Tensor rows =
      torch::tensor({{.5, .5, .5}, {1.2, .3, -.4}, {.2, .1, 0.}}, torch::kDouble);
  const torch::Tensor expected =
      torch::tensor({{1 / 3., 1 / 3., 1 / 3.}, {.95, .05, 0.}, {.2, .1, 0.}}, torch::kDouble);
  EXPECT_TRUE(torch::allclose(project_to_simplex(rows), expected, 1e-12, 1e-12));
}

std::shared_ptr<learning::Network> small(std::uint64_t seed) {
  return learning::toy_network("mlp", {{"hidden", {5}}}, seed);
}

struct Toy {
  Dataset data = learning::toy_data(60, 4);
  std::shared_ptr<learning::Network> network = small(1);
  NamedTensors start = learning::copied_state(*network);
  std::vector<NamedTensors> pool{learning::copied_state(*small(2)),
                                 learning::copied_state(*small(3)),
                                 learning::copied_state(*small(4))};
};

TEST(FrankWolfe, SharesStayOnTheSimplexAndGiveTheResult) {
  const Toy toy;
  const FrankWolfe merged = frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data},
                                        {.granularity = Granularity::whole, .iterations = 6});
  ASSERT_EQ(merged.shares.sizes(), (std::vector<std::int64_t>{1, 4}));
  EXPECT_NEAR(merged.shares.sum().item<double>(), 1, 1e-12);
  EXPECT_GE(merged.shares.min().item<double>(), 0);
  for (std::size_t l = 0; l < merged.state.size(); ++l) {
    torch::Tensor sum = merged.shares[0][3].item<double>() * toy.start[l].second;
    for (std::size_t i = 0; i < toy.pool.size(); ++i) {
      sum = sum +
            merged.shares[0][static_cast<std::int64_t>(i)].item<double>() * toy.pool[i][l].second;
    }
    EXPECT_TRUE(torch::allclose(sum, merged.state[l].second, 1e-4, 1e-5));
  }
}

TEST(FrankWolfe, TheFirstFullStepLandsOnTheVertex) {
  const Toy toy;
  const FrankWolfe merged = frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data},
                                        {.granularity = Granularity::whole, .iterations = 1});
  EXPECT_EQ(merged.trajectory.front().step, 1);
  const std::size_t pick = merged.trajectory.front().picks.front();
  const NamedTensors& vertex = pick < 3 ? toy.pool[pick] : toy.start;
  for (std::size_t l = 0; l < vertex.size(); ++l) {
    EXPECT_TRUE(torch::allclose(vertex[l].second, merged.state[l].second, 1e-6, 1e-7));
  }
}

TEST(FrankWolfe, ScheduleIsTwoOverTPlusTwo) {
  const Toy toy;
  const FrankWolfe merged = frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data},
                                        {.iterations = 5, .step_size = .1, .scaling = .3});
  const std::vector<double> expected{.03, .02, .015, .012, .01};
  ASSERT_EQ(merged.trajectory.size(), expected.size());
  for (std::size_t t = 0; t < expected.size(); ++t) {
    EXPECT_NEAR(merged.trajectory[t].step, expected[t], 1e-12);
    EXPECT_GE(merged.trajectory[t].gap, -1e-9);
  }
}

TEST(FrankWolfe, LineSearchNeverRaisesTheObjective) {
  const Toy toy;
  for (const Granularity granularity : {Granularity::whole, Granularity::tensor}) {
    const FrankWolfe merged =
        frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data},
                    {.granularity = granularity, .iterations = 8, .line_search = 8});
    double last = merged.trajectory.front().objective;
    for (const FrankWolfeStep& step : merged.trajectory) {
      EXPECT_LE(step.objective, last + 1e-9);
      last = step.objective;
    }
    EXPECT_LE(merged.objective, last + 1e-9);
  }
}

TEST(FrankWolfe, TheObjectiveIsTheMeanOfTheTasks) {
  const Toy toy;
  const std::vector<Dataset> tasks{toy.data, learning::toy_data(40, 9), learning::toy_data(20, 8)};
  const auto expect_mean = [](const std::vector<double>& by_task, double objective) {
    ASSERT_EQ(by_task.size(), 3U);
    EXPECT_NEAR((by_task[0] + by_task[1] + by_task[2]) / 3, objective, 1e-6);
    EXPECT_NE(by_task[0], by_task[1]);
  };
  for (const FrankWolfe& merged :
       {frank_wolfe(*toy.network, toy.start, toy.pool, tasks,
                    {.iterations = 3, .batch = 5, .line_search = 4, .keep_best = true}),
        soft_frank_wolfe(*toy.network, toy.start, toy.pool, tasks,
                         {.iterations = 2, .steps = 3})}) {
    expect_mean(merged.task_objectives, merged.objective);
    for (const FrankWolfeStep& step : merged.trajectory) {
      expect_mean(step.task_objectives, step.objective);
    }
  }
}

TEST(FrankWolfe, APoolOfTheStartAloneStaysThere) {
  const Toy toy;
  const FrankWolfe merged = frank_wolfe(
      *toy.network, toy.start, std::vector<NamedTensors>{toy.start}, {toy.data}, {.iterations = 4});
  for (std::size_t l = 0; l < toy.start.size(); ++l) {
    EXPECT_TRUE(merged.state[l].second.equal(toy.start[l].second));
  }
  for (const FrankWolfeStep& step : merged.trajectory) EXPECT_NEAR(step.gap, 0, 1e-12);
}

TEST(FrankWolfe, SoftLowersTheObjectiveAndPicksNoneTwice) {
  const Toy toy;
  const FrankWolfe merged = soft_frank_wolfe(
      *toy.network, toy.start, toy.pool, {toy.data, toy.data},
      {.granularity = Granularity::whole, .iterations = 2, .steps = 30, .learning_rate = .02});
  EXPECT_LT(merged.objective, merged.trajectory.front().objective);
  for (const FrankWolfeStep& step : merged.trajectory) {
    ASSERT_EQ(step.picks.size(), 2U);
    EXPECT_NE(step.picks[0], step.picks[1]);
  }
}

// By the cosine of whole checkpoints the direction may lead uphill; that is no convergence.
TEST(FrankWolfe, TheCosineRulesTakeAllTheirSteps) {
  const Toy toy;
  for (const VertexRule rule : {VertexRule::cosine, VertexRule::cosine_delta}) {
    const FrankWolfe merged = frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data},
                                          {.rule = rule, .iterations = 7, .step_size = .1});
    EXPECT_EQ(merged.trajectory.size(), 7U);
  }
}

TEST(FrankWolfe, AnObjectiveThatIsNotFiniteEndsAtTheStart) {
  Toy toy;
  toy.data.inputs = torch::full_like(toy.data.inputs, std::numeric_limits<float>::infinity());
  const FrankWolfe merged = frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data});
  EXPECT_TRUE(merged.trajectory.empty());
  for (std::size_t l = 0; l < toy.start.size(); ++l) {
    EXPECT_TRUE(merged.state[l].second.equal(toy.start[l].second));
  }
  EXPECT_EQ(merged.shares.select(1, 3).min().item<double>(), 1);
}

TEST(FrankWolfe, RefusesAnEmptyPoolAndTasksWithoutExamples) {
  const Toy toy;
  EXPECT_THROW(frank_wolfe(*toy.network, toy.start, std::vector<NamedTensors>{}, {toy.data}),
               InputError);
  EXPECT_THROW(frank_wolfe(*toy.network, toy.start, toy.pool, {}), InputError);
}

// TIES with all entries kept adds the one task vector there is: task arithmetic.
TEST(FrankWolfe, TiesOfDensityOneIsTaskArithmetic) {
  const Toy toy;
  FrankWolfeOptions options{.granularity = Granularity::whole, .iterations = 3, .step_size = .5};
  const FrankWolfe plain = frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data}, options);
  options.merge = InnerMerge::ties;
  options.density = 1;
  const FrankWolfe ties = frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data}, options);
  for (std::size_t l = 0; l < plain.state.size(); ++l) {
    EXPECT_TRUE(torch::allclose(plain.state[l].second, ties.state[l].second, 1e-5, 1e-6));
  }
  EXPECT_FALSE(ties.shares.defined());
}

std::int64_t moved_entries(const NamedTensors& from, const NamedTensors& to) {
  std::int64_t moved = 0;
  for (std::size_t l = 0; l < from.size(); ++l) {
    moved += (from[l].second != to[l].second).sum().item<std::int64_t>();
  }
  return moved;
}

TEST(FrankWolfe, TiesMovesTheLargestEntriesOfTheStepOverAllTensors) {
  const Toy toy;
  std::int64_t entries = 0;
  for (const auto& [name, value] : toy.start) entries += value.numel();
  const FrankWolfe merged = frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data},
                                        {.granularity = Granularity::whole,
                                         .iterations = 1,
                                         .step_size = .5,
                                         .merge = InnerMerge::ties,
                                         .density = .25});
  const std::int64_t moved = moved_entries(toy.start, merged.state);
  EXPECT_NEAR(static_cast<double>(moved), .25 * static_cast<double>(entries), 2);
  // No entry that stays would have moved further than one that does.
  const NamedTensors& vertex = toy.pool[merged.trajectory.front().picks.front()];
  double least = 1e9;
  double most = 0;
  for (std::size_t l = 0; l < vertex.size(); ++l) {
    const torch::Tensor step = (vertex[l].second - toy.start[l].second).abs();
    const torch::Tensor goes = merged.state[l].second != toy.start[l].second;
    if (goes.any().item<bool>()) least = std::min(least, step.index({goes}).min().item<double>());
    if ((~goes).any().item<bool>()) most = std::max(most, step.index({~goes}).max().item<double>());
  }
  EXPECT_GE(least, most);
}

TEST(FrankWolfe, DareDropsByTheSeed) {
  const Toy toy;
  FrankWolfeOptions options{.granularity = Granularity::whole,
                            .iterations = 1,
                            .step_size = .5,
                            .merge = InnerMerge::dare_ties,
                            .density = .5,
                            .seed = 3};
  const NamedTensors first =
      frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data}, options).state;
  EXPECT_EQ(moved_entries(
                first, frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data}, options).state),
            0);
  options.seed = 4;
  EXPECT_GT(moved_entries(
                first, frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data}, options).state),
            0);
  options.density = 0;
  EXPECT_THROW(frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data}, options), InputError);
}

// theta + .3 sum_j (s_j - theta), then .3 * 2 / (1 + 2) * .5 = .1 of the next picks.
TEST(FrankWolfe, FixedCoefficientsAreNotLearned) {
  const Toy toy;
  const std::vector<Dataset> tasks{toy.data, learning::toy_data(60, 9)};
  const FrankWolfe merged =
      soft_frank_wolfe(*toy.network, toy.start, toy.pool, tasks,
                       {.granularity = Granularity::whole, .iterations = 2, .fixed_step = .5});
  ASSERT_EQ(merged.trajectory.size(), 2U);
  EXPECT_NEAR(merged.trajectory[0].step, .3, 1e-12);
  EXPECT_NEAR(merged.trajectory[1].step, .1, 1e-12);
  const auto vertex = [&](std::size_t pick) -> const NamedTensors& {
    return pick < toy.pool.size() ? toy.pool[pick] : toy.start;
  };
  for (std::size_t l = 0; l < toy.start.size(); ++l) {
    torch::Tensor theta = toy.start[l].second.to(torch::kDouble);
    for (const FrankWolfeStep& step : merged.trajectory) {
      const torch::Tensor origin = theta;
      for (const std::size_t pick : step.picks) {
        theta = theta + step.step * (vertex(pick)[l].second - origin);
      }
    }
    EXPECT_TRUE(torch::allclose(theta, merged.state[l].second.to(torch::kDouble), 1e-4, 1e-5));
  }
}

// Checkpoints that stay in their files give the same bits as those in memory, in pieces or not.
TEST(FrankWolfe, APoolInFilesGivesTheSameBits) {
  const Toy toy;
  const TemporaryFolder folder;
  std::vector<SourcePointer> files;
  for (const NamedTensors& member : toy.pool) {
    const auto path = folder / (std::to_string(files.size()) + ".safetensors");
    learning::save_tensors(path, member, {}, false);
    files.emplace_back(open_checkpoint(path));
  }
  const std::vector<Dataset> tasks{toy.data, learning::toy_data(60, 9)};
  const auto expect_equal = [](const FrankWolfe& a, const FrankWolfe& b) {
    EXPECT_EQ(a.objective, b.objective);
    EXPECT_TRUE(a.shares.equal(b.shares));
    ASSERT_EQ(a.trajectory.size(), b.trajectory.size());
    for (std::size_t t = 0; t < a.trajectory.size(); ++t) {
      EXPECT_EQ(a.trajectory[t].picks, b.trajectory[t].picks);
      EXPECT_EQ(a.trajectory[t].scores, b.trajectory[t].scores);
    }
    for (std::size_t l = 0; l < a.state.size(); ++l) {
      EXPECT_TRUE(a.state[l].second.equal(b.state[l].second));
    }
  };
  for (const StepDirection direction : {StepDirection::towards, StepDirection::pairwise}) {
    const FrankWolfeOptions options{.direction = direction, .iterations = 5, .line_search = 3};
    expect_equal(frank_wolfe(*toy.network, toy.start, toy.pool, tasks, options),
                 frank_wolfe(*toy.network, toy.start, files, tasks, options));
  }
  const SoftFrankWolfeOptions soft{.iterations = 2, .steps = 5};
  expect_equal(soft_frank_wolfe(*toy.network, toy.start, toy.pool, tasks, soft),
               soft_frank_wolfe(*toy.network, toy.start, files, tasks, soft));
}

// A source that counts how often its tensors are read.
class CountedSource final : public TensorSource {
 public:
  CountedSource(SourcePointer inner, std::uint64_t& reads)
      : inner_(std::move(inner)), reads_(reads) {
    set_tensors(inner_->label(), inner_->tensors());
  }
  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override {
    ++reads_;
    inner_->read_bytes(tensor, offset, out);
  }

 private:
  SourcePointer inner_;
  std::uint64_t& reads_;
};

// Per iteration every tensor for the scores, and what was picked for the gap and the step.
TEST(FrankWolfe, ReadsThePoolOncePerIterationAndThePicksTwiceMore) {
  const Toy toy;
  std::uint64_t reads = 0;
  std::vector<SourcePointer> pool;
  for (const NamedTensors& member : toy.pool) {
    pool.push_back(std::make_shared<CountedSource>(as_source(member, "member"), reads));
  }
  const std::size_t tensors = toy.start.size();
  const FrankWolfe found =
      frank_wolfe(*toy.network, toy.start, pool, {toy.data}, {.iterations = 4, .line_search = 6});
  std::uint64_t picked = 0;
  for (const FrankWolfeStep& step : found.trajectory) {
    picked += static_cast<std::uint64_t>(
        std::ranges::count_if(step.picks, [&](std::size_t pick) { return pick < pool.size(); }));
  }
  EXPECT_EQ(reads, found.trajectory.size() * pool.size() * tensors + 2 * picked);
}

TEST(FrankWolfe, NamesTheCheckpointThatDoesNotFit) {
  const Toy toy;
  NamedTensors other = toy.pool.front();
  other[0].second = torch::zeros({2, 2});
  EXPECT_THAT(
      error_of([&] {
        frank_wolfe(*toy.network, toy.start, {as_source(other, "odd.safetensors")}, {toy.data});
      }),
      ::testing::HasSubstr("odd.safetensors: tensor 'layers.0.weight' is of another shape"));
}

// Networks of one output and numbers to predict: the objective is their mean squared error.
TEST(FrankWolfe, LowersTheSquaredErrorOfNumbers) {
  learning::NetworkDescription kind = learning::toy_description("mlp", {{"hidden", {5}}});
  kind.class_names = {"y"};
  const auto made = [&](std::uint64_t seed) {
    auto network = learning::make_network(kind, "toy");
    learning::initialise(*network, seed);
    return network;
  };
  Dataset data = learning::toy_data(60, 4);
  data.class_names = {"y"};
  data.targets = data.labels.to(torch::kFloat) / 2;
  data.labels = torch::zeros_like(data.labels);
  const auto network = made(1);
  const NamedTensors start = learning::copied_state(*network);
  const std::vector<NamedTensors> pool{learning::copied_state(*made(2)),
                                       learning::copied_state(*made(3))};
  const FrankWolfeOptions options{
      .loss = CoefficientLoss::squared_error, .iterations = 6, .line_search = 6};
  const FrankWolfe merged = frank_wolfe(*network, start, pool, {data}, options);
  const torch::Tensor outputs = network->forward(data.inputs).detach().flatten();
  EXPECT_NEAR(merged.trajectory.front().objective,
              (outputs - data.targets).square().mean().item<double>(), 1e-6);
  EXPECT_LT(merged.objective, merged.trajectory.front().objective);
  EXPECT_LT(soft_frank_wolfe(*network, start, pool, {data},
                             {.loss = CoefficientLoss::squared_error,
                              .iterations = 1,
                              .steps = 40,
                              .learning_rate = .02,
                              .initial = 0})
                .objective,
            merged.trajectory.front().objective);
  // Neither do numbers have an entropy, nor classes a squared error.
  EXPECT_THAT(error_of([&] { frank_wolfe(*network, start, pool, {data}); }),
              ::testing::HasSubstr("needs classes"));
  const Toy toy;
  EXPECT_THAT(
      error_of([&] { frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data}, options); }),
      ::testing::HasSubstr("no numbers to predict"));
}

// Reordering the pool renames the picks and changes nothing else.
TEST(FrankWolfe, TheOrderOfThePoolDoesNotMatter) {
  Toy toy;
  const FrankWolfeOptions options{.granularity = Granularity::tensor, .iterations = 5};
  const FrankWolfe first = frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data}, options);
  std::rotate(toy.pool.begin(), toy.pool.begin() + 1, toy.pool.end());
  const FrankWolfe second = frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data}, options);
  for (std::size_t t = 0; t < first.trajectory.size(); ++t) {
    for (std::size_t row = 0; row < first.trajectory[t].picks.size(); ++row) {
      const std::size_t pick = first.trajectory[t].picks[row];
      // New networks' biases are all alike: a tie, which goes to the lowest index.
      if (first.trajectory[t].margins[row] == 0) continue;
      EXPECT_EQ(second.trajectory[t].picks[row], pick == 3 ? 3 : (pick + 2) % 3);
    }
  }
  for (std::size_t l = 0; l < first.state.size(); ++l) {
    EXPECT_TRUE(first.state[l].second.equal(second.state[l].second));
  }
}

TEST(FrankWolfe, CopiesOfTheStartInThePoolDoNotRaiseTheObjective) {
  Toy toy;
  const FrankWolfeOptions options{.iterations = 6, .line_search = 8};
  const double alone =
      frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data}, options).objective;
  toy.pool.push_back(toy.start);
  toy.pool.push_back(toy.start);
  EXPECT_LE(frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data}, options).objective,
            alone + 1e-9);
}

TEST(FrankWolfe, BatchesAreAFunctionOfTheSeed) {
  const Toy toy;
  const auto run = [&](std::uint64_t seed) {
    return frank_wolfe(*toy.network, toy.start, toy.pool, {toy.data},
                       {.granularity = Granularity::whole,
                        .iterations = 4,
                        .batch = 5,
                        .step_size = .3,
                        .seed = seed});
  };
  EXPECT_EQ(moved_entries(run(1).state, run(1).state), 0);
  std::vector<double> gaps;
  for (const std::uint64_t seed : {1U, 2U}) gaps.push_back(run(seed).trajectory.front().gap);
  EXPECT_NE(gaps[0], gaps[1]);
  // What is reported is of all examples, whatever the gradient saw.
  EXPECT_EQ(run(1).trajectory.front().objective, run(2).trajectory.front().objective);
}

TEST(FrankWolfe, SharesOfTheSoftVariantGiveTheResult) {
  const Toy toy;
  const FrankWolfe merged = soft_frank_wolfe(
      *toy.network, toy.start, toy.pool, {toy.data, toy.data},
      {.granularity = Granularity::tensor, .iterations = 2, .steps = 10, .learning_rate = .02});
  ASSERT_EQ(merged.row_names.size(), toy.start.size());
  for (std::size_t l = 0; l < merged.state.size(); ++l) {
    const torch::Tensor shares = merged.shares[static_cast<std::int64_t>(l)];
    EXPECT_EQ(merged.row_names[l], merged.state[l].first);
    EXPECT_NEAR(shares.sum().item<double>(), 1, 1e-9);
    torch::Tensor sum = shares[3].item<double>() * toy.start[l].second;
    for (std::size_t i = 0; i < toy.pool.size(); ++i) {
      sum = sum + shares[static_cast<std::int64_t>(i)].item<double>() * toy.pool[i][l].second;
    }
    EXPECT_TRUE(torch::allclose(sum, merged.state[l].second, 1e-4, 1e-5));
  }
}

}  // namespace
}  // namespace amalgam::learned
