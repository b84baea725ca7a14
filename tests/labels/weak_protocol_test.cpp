#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/weak/protocol.hpp"
#include "tests/labels/weak_data.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

ProtocolData weak_protocol(std::uint64_t seed) {
  const WeakData data(3, 60, 300, seed);
  std::vector<std::size_t> first(200);
  std::iota(first.begin(), first.end(), std::size_t{0});
  std::vector<std::size_t> last(100);
  std::iota(last.begin(), last.end(), std::size_t{200});
  return {.labelled = data.labelled,
          .labels = data.labels,
          .unlabelled = select_rows(data.unlabelled, first),
          .test = select_rows(data.unlabelled, last),
          .classes = 3};
}

std::vector<Label> test_truth(std::uint64_t seed) {
  const WeakData data(3, 60, 300, seed);
  return {data.truth.begin() + 200, data.truth.end()};
}

TEST(DrawProtocolRows, HasEachRowOnceAndEachClassAmongTheLabelled) {
  std::vector<Label> truth(200, 0);
  truth[77] = 1;
  truth[150] = 2;
  const ProtocolRows rows = draw_protocol_rows(truth, 3, 10, 100, 5);
  EXPECT_EQ(rows.labelled.size(), 10U);
  EXPECT_EQ(rows.unlabelled.size(), 100U);
  EXPECT_EQ(rows.test.size(), 90U);
  EXPECT_THAT(rows.labelled, testing::IsSupersetOf({std::size_t{77}, std::size_t{150}}));
  std::vector<std::size_t> all = rows.labelled;
  all.insert(all.end(), rows.unlabelled.begin(), rows.unlabelled.end());
  all.insert(all.end(), rows.test.begin(), rows.test.end());
  std::ranges::sort(all);
  for (std::size_t i = 0; i < 200; ++i) EXPECT_EQ(all[i], i);
  EXPECT_NE(draw_protocol_rows(truth, 3, 10, 100, 6).labelled, rows.labelled);
}

TEST(DrawProtocolRows, RefusesTooFewRowsAndClassesWithoutOne) {
  const std::vector<Label> truth{0, 1, 0, 1};
  EXPECT_THROW(draw_protocol_rows(truth, 2, 2, 2, 1), InputError);
  EXPECT_THROW(draw_protocol_rows(truth, 2, 1, 1, 1), InputError);
  EXPECT_THAT([&] { draw_protocol_rows(std::vector<Label>(9, 0), 2, 3, 3, 1); },
              ThrowsMessage<InputError>(HasSubstr("class 1 has no row")));
}

TEST(LabelByVotes, GivesUncoveredRowsTheBalance) {
  VoteMatrix unlabelled(2, 3);
  VoteMatrix test(2, 3);
  unlabelled.at(0, 0) = 1;
  test.at(1, 0) = 0;
  test.at(1, 1) = 0;
  test.at(1, 2) = 1;
  const std::vector<double> balance{.3, .7};
  ProtocolResult result;
  label_by_votes("standard", unlabelled, test, balance, {}, result);
  EXPECT_THAT(result.test.covered, ElementsAre(false, true));
  EXPECT_THAT(result.test.soft.row(0), ElementsAre(.3, .7));
  EXPECT_NEAR(result.test.soft.row(1)[0], 2.0 / 3, 1e-12);
  EXPECT_THAT(result.unlabelled.covered, ElementsAre(true, false));
}

TEST(LabelByVotes, OfNoVotesIsTheBalanceWithAWarning) {
  ProtocolResult result;
  label_by_votes("majority-vote", VoteMatrix(2, 1), VoteMatrix(1, 1), std::vector<double>{.2, .8},
                 {}, result);
  EXPECT_THAT(result.test.soft.row(0), ElementsAre(.2, .8));
  EXPECT_THAT(result.warnings, ElementsAre(HasSubstr("no labelling function votes on any item")));
  const std::vector<Label> truth{1};
  EXPECT_EQ(weak_quality(result.test, truth).accuracy, 0);  // never right where nothing votes
}

TEST(WeakQuality, CountsUncoveredRowsAsWrongNeverAsRight) {
  WeakLabels labels{SoftLabels(4, 2), {true, true, true, false}};
  labels.soft.values = {.9, .1, .2, .8, .6, .4, .5, .5};
  const std::vector<Label> truth{0, 1, 1, 0};
  const WeakQuality quality = weak_quality(labels, truth);
  EXPECT_NEAR(quality.covered_accuracy, 2.0 / 3, 1e-12);
  EXPECT_NEAR(quality.coverage, .75, 1e-12);
  EXPECT_NEAR(quality.accuracy, .5, 1e-12);
  // Class 0: tp 1, voted 2, true 2; class 1: tp 1, voted 1, true 2.
  EXPECT_NEAR(quality.macro_f1, (2.0 / 4 + 2.0 / 3) / 2, 1e-12);
  EXPECT_NEAR(quality.nll, -(std::log(.9) + std::log(.8) + std::log(.4) + std::log(.5)) / 4, 1e-9);
}

TEST(ByFunctions, LabelsByEveryModelAskedFor) {
  const ProtocolData data = weak_protocol(1);
  const SnubaResult made = snuba(data.known(), data.unlabelled, {.rounds = 4});
  const std::vector<std::string> models{"majority-vote", "generative"};
  const auto results = by_functions("Snuba", data, made.functions, models, {});
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[1].method, "Snuba, generative");
  for (const ProtocolResult& one : results) {
    const WeakQuality quality = weak_quality(one.test, test_truth(1));
    EXPECT_GT(quality.covered_accuracy, .7) << one.method;
    EXPECT_LE(quality.accuracy, quality.coverage);
    EXPECT_EQ(one.unlabelled.soft.items, 200U);
  }
  EXPECT_THAT([&] { by_functions("Snuba", data, {}, models, {}); },
              ThrowsMessage<InputError>(HasSubstr("there is no labelling function")));
}

TEST(ByFunctions, DoesNotDependOnTheOrderOfFunctions) {
  const ProtocolData data = weak_protocol(2);
  SnubaResult made = snuba(data.known(), data.unlabelled, {.rounds = 4});
  const std::vector<std::string> models{"dawid-skene"};
  const auto one = by_functions("Snuba", data, made.functions, models, {});
  std::ranges::reverse(made.functions);
  const auto other = by_functions("Snuba", data, made.functions, models, {});
  for (std::size_t i = 0; i < one[0].test.soft.values.size(); ++i) {
    EXPECT_NEAR(one[0].test.soft.values[i], other[0].test.soft.values[i], 1e-6);
  }
}

TEST(Baselines, CoverEveryRow) {
  const ProtocolData data = weak_protocol(3);
  for (const ProtocolResult& one : {by_few_shot(data), by_propagation(data),
                                    by_goggles(data, {.models = {AffinityModelKind::k_means}})}) {
    const WeakQuality quality = weak_quality(one.test, test_truth(3));
    EXPECT_EQ(quality.coverage, 1) << one.method;
    EXPECT_GT(quality.accuracy, .75) << one.method;
  }
  EXPECT_THAT(by_propagation(data, {.most_rows = 100}).warnings,
              ElementsAre(HasSubstr("40 of the 200 unlabelled rows")));
}

}  // namespace
}  // namespace amalgam::labels
