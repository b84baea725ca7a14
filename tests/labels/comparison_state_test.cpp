#include "amalgam/labels/pairwise/comparison_state.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <array>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/labels/column_bytes.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Judgements of `count` pairs of items from `first_item` on, by workers of whom every fourth always
// takes the left one.
ComparisonTable comparisons(std::size_t count, std::size_t items, std::size_t first_item,
                            std::uint64_t seed) {
  RandomStream random(seed, "comparisons");
  ComparisonBuilder builder;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t left = first_item + random.below(items);
    const std::uint64_t right =
        first_item + (left - first_item + 1 + random.below(items - 1)) % items;
    const std::uint64_t worker = random.below(8);
    const double p =
        1 / (1 + std::exp(0.3 * (static_cast<double>(left) - static_cast<double>(right))));
    builder.add(fmt::format("w{}", worker), fmt::format("i{}", left), fmt::format("i{}", right),
                worker % 4 == 0 || random.uniform() < p);
  }
  return builder.finish();
}

ComparisonTable joined(const ComparisonTable& a, const ComparisonTable& b) {
  ComparisonBuilder builder;
  builder.add(a);
  builder.add(b);
  return builder.finish();
}

ComparisonState reloaded(const ComparisonState& state) {
  const TemporaryFolder folder;
  state.save(folder / "state.safetensors");
  return ComparisonState{ColumnReader(folder / "state.safetensors")};
}

class Updates : public ::testing::TestWithParam<const char*> {};

TEST(ComparisonState, UpdatesReachTheScoresOfEverythingInFewerIterations) {
  const std::vector<std::string> precise{"tolerance=1e-13", "iterations=100000", "prior=0.1"};
  const ComparisonTable first = comparisons(2000, 10, 0, 1);
  const ComparisonTable more = comparisons(60, 6, 7, 2);  // three items are new
  const ComparisonTable last = comparisons(10, 10, 0, 3);
  const PairwiseFit whole =
      fit_comparisons("bradley-terry", joined(joined(first, more), last), precise);
  ComparisonState state("bradley-terry", precise);
  state.absorb(first);
  ComparisonState again = reloaded(state);
  again.absorb(more);
  const PairwiseFit updated = reloaded(again).absorb(last);
  ASSERT_TRUE(updated.converged);
  ASSERT_EQ(updated.scores.size(), 13U);
  for (std::size_t i = 0; i < whole.scores.size(); ++i) {
    EXPECT_NEAR(updated.scores[i], whole.scores[i], 1e-8);
  }
  EXPECT_LT(updated.iterations, whole.iterations);
}

TEST(ComparisonState, UpdatesOfTheNoisyModelAreTheFitOfEverythingToTheBit) {
  const ComparisonTable first = comparisons(500, 10, 0, 1);
  const ComparisonTable more = comparisons(60, 6, 7, 2);
  ComparisonState state("noisy-bradley-terry", {});
  state.absorb(first);
  const PairwiseFit updated = reloaded(state).absorb(more);
  const PairwiseFit whole = fit_comparisons("noisy-bradley-terry", joined(first, more), {});
  EXPECT_EQ(updated.scores, whole.scores);
  EXPECT_EQ(updated.skills, whole.skills);
  EXPECT_EQ(updated.bias, whole.bias);
}

TEST_P(Updates, BeginWithTheFitOfTheFirstToTheBit) {
  const std::string method = GetParam();
  const ComparisonTable table = comparisons(300, 5, 0, 4);
  ComparisonState state(method, {});
  EXPECT_EQ(state.absorb(table).scores, fit_comparisons(method, table, {}).scores);
}

TEST_P(Updates, AreTheSameFromAFile) {
  const std::string method = GetParam();
  ComparisonState state(method, {"iterations=7"});
  state.absorb(comparisons(300, 5, 0, 5));
  ComparisonState again = reloaded(state);
  EXPECT_EQ(again.method(), method);
  EXPECT_EQ(again.table().rows, state.table().rows);
  const ComparisonTable more = comparisons(20, 9, 0, 6);
  EXPECT_EQ(again.absorb(more).scores, state.absorb(more).scores);
}

INSTANTIATE_TEST_SUITE_P(Pairwise, Updates,
                         ::testing::Values("bradley-terry", "noisy-bradley-terry"),
                         [](const auto& of) {
                           return std::string(of.param[0] == 'n' ? "Noisy" : "Plain");
                         });

TEST(ComparisonState, ItemsThatNeverWonCanWinLater) {
  ComparisonBuilder builder;
  builder.add("w", "a", "b", true);
  builder.add("w", "a", "c", true);
  ComparisonState state("bradley-terry", {"iterations=10000"});
  state.absorb(builder.finish());  // b and c have the score 0
  builder.add("w", "b", "c", true);
  builder.add("w", "c", "a", true);
  builder.add("w", "c", "b", true);
  const PairwiseFit fit = state.absorb(builder.finish());
  EXPECT_TRUE(fit.converged);
  for (const double score : fit.scores) EXPECT_GT(score, 0.05);
}

TEST(ComparisonState, RefusesWhatIsNone) {
  EXPECT_THAT([] { ComparisonState("bradley-tery", {}); },
              ThrowsMessage<InputError>(HasSubstr("did you mean 'bradley-terry'?")));
  EXPECT_THAT([] { ComparisonState("bradley-terry", {"priori=1"}); },
              ThrowsMessage<InputError>(HasSubstr("did you mean 'prior'?")));
  EXPECT_THROW(ComparisonState("bradley-terry", {"prior=1e308"}), InputError);
  EXPECT_THROW(ComparisonState("bradley-terry", {}).absorb({}), InputError);
}

TEST(ComparisonState, FilesThatDoNotFitTogetherAreRefused) {
  const TemporaryFolder folder;
  const auto path = folder / "state.safetensors";
  ComparisonState state("bradley-terry", {});
  state.absorb(comparisons(50, 4, 0, 7));
  const auto refuses = [&](const Column& other) {
    write_column_file(path, with_column(state.columns(), other));
    EXPECT_THAT([&] { ComparisonState{ColumnReader(path)}; },
                ThrowsMessage<InputError>(HasSubstr("do not fit together")))
        << other.name;
  };
  const auto u32 = [](const char* name, std::uint32_t value, std::size_t count) {
    return make_column(name, DType::u32, std::vector<std::uint32_t>(count, value));
  };
  refuses(u32("rows.left", 4, 50));
  refuses(u32("rows.right", 0, 49));
  refuses(u32("rows.workers", 8, 50));
  refuses(make_column("rows.left_won", DType::u8, std::vector<std::uint8_t>(50, 2)));
  refuses(make_column("scores", DType::f64, std::vector<double>(4, NAN)));
  refuses(make_column("scores", DType::f64, std::vector<double>(1, 0)));
  refuses(make_column("scores", DType::f64, std::vector<double>(4, 1e300)));
}

}  // namespace
}  // namespace amalgam::labels
