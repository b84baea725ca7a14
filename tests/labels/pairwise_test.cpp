#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/pairwise/bradley_terry.hpp"

namespace amalgam::labels {
namespace {

using ::testing::Contains;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

TEST(BradleyTerry, TwoItemsScoreTheirShareOfWins) {
  ComparisonBuilder builder;
  for (int i = 0; i < 3; ++i) builder.add("w", "a", "b", true);
  builder.add("w", "a", "b", false);
  const PairwiseFit fit = bradley_terry(builder.finish());
  EXPECT_THAT(fit.scores, ElementsAre(DoubleNear(.75, 1e-6), DoubleNear(.25, 1e-6)));
  EXPECT_TRUE(fit.converged);
  EXPECT_THAT(fit.warnings, IsEmpty());
  EXPECT_NEAR(fit.log_likelihood, 3 * std::log(.75) + std::log(.25), 1e-6);
}

// At the maximum each item wins as often as its scores expect.
TEST(BradleyTerry, ExpectedWinsAreTheWins) {
  RandomStream random(2, "comparisons");
  ComparisonBuilder builder;
  const char* const names[] = {"a", "b", "c", "d", "e"};
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t left = random.below(5);
    const std::uint64_t right = (left + 1 + random.below(4)) % 5;
    builder.add("w", names[left], names[right],
                random.uniform() < (left + 1.0) / (left + right + 2.0));
  }
  const ComparisonTable table = builder.finish();
  const PairwiseFit fit = bradley_terry(table, {.iterations = 10'000, .tolerance = 1e-12});
  std::vector<double> wins(5, 0);
  std::vector<double> expected(5, 0);
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    const auto [worker, left, right, left_won] = table.rows[row];
    wins[table.winner(row)] += 1;
    const double p = fit.scores[left] / (fit.scores[left] + fit.scores[right]);
    expected[left] += p;
    expected[right] += 1 - p;
  }
  for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(wins[i], expected[i], 1e-6);
}

TEST(BradleyTerry, SaysWhenScoresAreNotDetermined) {
  ComparisonBuilder builder;
  builder.add("w", "a", "b", true);
  builder.add("w", "b", "c", true);
  const ComparisonTable table = builder.finish();
  EXPECT_THAT(bradley_terry(table).warnings, Contains(HasSubstr("not determined")));
  const PairwiseFit determined = bradley_terry(table, {.iterations = 1000, .prior = 0.5});
  EXPECT_THAT(determined.warnings, IsEmpty());
  EXPECT_GT(determined.scores[0], determined.scores[1]);
  EXPECT_GT(determined.scores[1], determined.scores[2]);
  EXPECT_GT(determined.scores[2], 0.05);
}

TEST(NoisyBradleyTerry, LearnsWhoOnlyTakesTheLeft) {
  // Six careful workers; four who always say left, where the worse item is.
  RandomStream random(3, "noisy comparisons");
  ComparisonBuilder builder;
  const char* const names[] = {"a", "b", "c", "d"};
  const char* const careful[] = {"c1", "c2", "c3", "c4", "c5", "c6"};
  const char* const lazy[] = {"l1", "l2", "l3", "l4"};
  for (int i = 0; i < 400; ++i) {
    const std::uint64_t better = random.below(3);
    const std::uint64_t worse = better + 1 + random.below(3 - better);
    if (i % 2 == 0) {
      const bool left_is_better = random.uniform() < 0.5;
      const bool right_judgement = random.uniform() < 0.9;
      builder.add(careful[random.below(6)], names[left_is_better ? better : worse],
                  names[left_is_better ? worse : better], left_is_better == right_judgement);
    } else {
      builder.add(lazy[random.below(4)], names[worse], names[better], true);
    }
  }
  const ComparisonTable table = builder.finish();
  const PairwiseFit plain = bradley_terry(table);
  EXPECT_LT(plain.scores[0], plain.scores[3]);  // the lazy win
  const PairwiseFit fit = noisy_bradley_terry(table);
  EXPECT_TRUE(fit.converged);
  EXPECT_GT(fit.scores[0], fit.scores[1]);
  EXPECT_GT(fit.scores[1], fit.scores[2]);
  EXPECT_GT(fit.scores[2], fit.scores[3]);
  for (std::size_t w = 0; w < 6; ++w) EXPECT_GT(fit.skills[w], 0.6);
  for (std::size_t w = 6; w < 10; ++w) {
    EXPECT_LT(fit.skills[w], 0.4);
    EXPECT_GT(fit.bias[w], 0.8);
  }
}

// The sum of so many log-likelihoods is rounded by more than the last steps change it.
TEST(NoisyBradleyTerry, ConvergesOnManyComparisons) {
  RandomStream random(5, "many comparisons");
  ComparisonBuilder builder;
  std::vector<std::string> names;
  for (int i = 0; i < 300; ++i) names.push_back("i" + std::to_string(i));
  for (int i = 0; i < 60'000; ++i) {
    const std::uint64_t left = random.below(300);
    const std::uint64_t right = (left + 1 + random.below(299)) % 300;
    const double gap = (static_cast<double>(left) - static_cast<double>(right)) / 60;
    const bool judged = random.uniform() < 1 / (1 + std::exp(gap));
    const std::uint64_t worker = random.below(50);
    builder.add("w" + std::to_string(worker), names[left], names[right],
                worker % 5 == 0 ? random.uniform() < .8 : judged);
  }
  const PairwiseFit fit = noisy_bradley_terry(builder.finish());
  EXPECT_TRUE(fit.converged);
  EXPECT_LT(fit.iterations, 1000U);
}

TEST(ReadComparisons, SaysWhatIsWrongAndWhere) {
  const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / "pairs.csv";
  const auto message = [&](std::string_view text, const std::string& expected) {
    std::ofstream(path) << text;
    EXPECT_THAT([&] { read_comparisons(path); }, ThrowsMessage<InputError>(HasSubstr(expected)));
  };
  message("worker,left,right,label\nw,a,b,c\n", "the winner is 'c'; expected 'a' or 'b'");
  message("worker,left,right,label\nw,a,a,a\n", "item 'a' is compared with itself");
  message("worker,left,right,label\n,a,b,a\n", "the worker is empty");
  message("worker,left,right,label\n", "no comparison");
  message("worker,left,right\nw,a,b\n", "label");
  std::ofstream(path) << "label,worker,right,left\n10,v,10,9\n9,w,9,10\n";
  const ComparisonTable table = read_comparisons(path);
  EXPECT_EQ(table.item_names[0], "9");
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.winner(0), 1U);
  EXPECT_EQ(table.winner(1), 0U);
}

}  // namespace
}  // namespace amalgam::labels
