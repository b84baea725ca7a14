#include "amalgam/labels/agreement.hpp"

#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "tests/labels/random_annotations.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Krippendorff's own example (Computing Krippendorff's Alpha-Reliability, 2011, part C): four
// observers, twelve units, 41 values, of which 40 can be paired.
AnnotationTable krippendorff() {
  constexpr int kMissing = -1;
  const std::vector<std::vector<int>> values = {
      {1, 2, 3, 3, 2, 1, 4, 1, 2, kMissing, kMissing, kMissing},
      {1, 2, 3, 3, 2, 2, 4, 1, 2, 5, kMissing, 3},
      {kMissing, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, kMissing},
      {1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, kMissing}};
  AnnotationBuilder builder;
  for (std::size_t observer = 0; observer < values.size(); ++observer) {
    for (std::size_t unit = 0; unit < values[observer].size(); ++unit) {
      if (values[observer][unit] == kMissing) continue;
      builder.add(builder.task(fmt::to_string(unit)), builder.worker(fmt::to_string(observer)),
                  builder.label(fmt::to_string(values[observer][unit])));
    }
  }
  return builder.finish("example");
}

TEST(Alpha, IsThatOfKrippendorffsExample) {
  const AnnotationTable table = krippendorff();
  EXPECT_NEAR(agreement(table).alpha, 0.743, 5e-4);
  EXPECT_NEAR(agreement(table, LabelMetric::ordinal).alpha, 0.815, 5e-4);
  EXPECT_NEAR(agreement(table, LabelMetric::interval).alpha, 0.849, 5e-4);
  EXPECT_EQ(agreement(table).annotations, 40U);
}

TEST(FleissKappa, IsThatOfTheTextbookExample) {
  // Ten subjects, fourteen raters, five categories: kappa = 0.210 (Fleiss 1971's kind of table).
  const std::vector<std::vector<int>> counts = {
      {0, 0, 0, 0, 14}, {0, 2, 6, 4, 2}, {0, 0, 3, 5, 6}, {0, 3, 9, 2, 0}, {2, 2, 8, 1, 1},
      {7, 7, 0, 0, 0},  {3, 2, 6, 3, 0}, {2, 5, 3, 2, 2}, {6, 5, 2, 1, 0}, {0, 2, 2, 3, 7}};
  AnnotationBuilder builder;
  for (std::size_t subject = 0; subject < counts.size(); ++subject) {
    int rater = 0;
    for (std::size_t category = 0; category < 5; ++category) {
      for (int i = 0; i < counts[subject][category]; ++i) {
        builder.add(builder.task(fmt::to_string(subject)), builder.worker(fmt::to_string(rater++)),
                    builder.label(fmt::to_string(category)));
      }
    }
  }
  const Agreement found = agreement(builder.finish("example"));
  EXPECT_NEAR(found.observed, 0.378, 5e-4);
  EXPECT_NEAR(found.fleiss_kappa, 0.210, 5e-4);
}

TEST(PairAgreement, IsCohensKappaByHand) {
  // Of 50 proposals both say yes to 20 and no to 15; A alone 5, B alone 10: kappa = 0.4.
  AnnotationBuilder builder;
  int task = 0;
  const auto add = [&](int count, const char* a, const char* b) {
    for (int i = 0; i < count; ++i, ++task) {
      const Task number = builder.task(fmt::to_string(task));
      builder.add(number, builder.worker("A"), builder.label(a));
      builder.add(number, builder.worker("B"), builder.label(b));
    }
  };
  add(20, "yes", "yes");
  add(5, "yes", "no");
  add(10, "no", "yes");
  add(15, "no", "no");
  const AnnotationTable table = builder.finish("proposals");
  const auto pairs = pair_agreement(table, 10);
  ASSERT_EQ(pairs.size(), 1U);
  EXPECT_EQ(pairs[0].tasks, 50U);
  EXPECT_NEAR(pairs[0].observed, 0.7, 1e-12);
  EXPECT_NEAR(pairs[0].kappa, 0.4, 1e-12);
  EXPECT_TRUE(pair_agreement(table, 51).empty());
  EXPECT_THROW(pair_agreement(table, 1, 0), InputError);
}

TEST(LabelAgreement, IsTheShareOfPartnersWithTheSameLabel) {
  const AnnotationTable table = make_table(std::vector<Triple>{
      {"t", "A", "x"}, {"t", "B", "x"}, {"t", "C", "y"}, {"u", "A", "y"}, {"u", "B", "y"}});
  const auto labels = label_agreement(table);
  EXPECT_NEAR(labels[0].specific, 0.5, 1e-12);      // each x of t meets one x and one y
  EXPECT_NEAR(labels[1].specific, 2.0 / 3, 1e-12);  // that of t meets none, those of u meet
  EXPECT_NEAR(labels[0].prevalence, 0.4, 1e-12);
}

TEST(VoteEntropy, IsInBits) {
  const AnnotationTable table = make_table(
      std::vector<Triple>{{"t", "A", "x"}, {"t", "B", "y"}, {"u", "A", "y"}, {"u", "B", "y"}});
  EXPECT_THAT(vote_entropy(table), ::testing::ElementsAre(::testing::DoubleNear(1, 1e-12), 0));
}

RC_GTEST_PROP(Alpha, IsOneForPerfectAndNearZeroForRandomAgreement, (std::uint16_t seed)) {
  AnnotationBuilder perfect;
  AnnotationBuilder random;
  RandomStream stream(seed, "agreement");
  for (int task = 0; task < 300; ++task) {
    for (int worker = 0; worker < 4; ++worker) {
      perfect.add(perfect.task(fmt::to_string(task)), perfect.worker(fmt::to_string(worker)),
                  perfect.label(fmt::to_string(task % 3)));
      random.add(random.task(fmt::to_string(task)), random.worker(fmt::to_string(worker)),
                 random.label(fmt::to_string(stream.below(3))));
    }
  }
  RC_ASSERT(std::abs(agreement(perfect.finish("p")).alpha - 1) < 1e-12);
  RC_ASSERT(std::abs(agreement(random.finish("r")).alpha) < 0.15);
}

TEST(Alpha, HasAnIntervalThatHoldsIt) {
  const Agreement found = agreement(RandomAnnotations{}.table(), LabelMetric::nominal, 200, 1);
  ASSERT_TRUE(found.alpha_interval.has_value());
  EXPECT_LT(found.alpha_interval->low, found.alpha);
  EXPECT_GT(found.alpha_interval->high, found.alpha);
}

TEST(Agreement, SaysWhatItCannotMeasure) {
  const AnnotationTable single = make_table(std::vector<Triple>{{"t", "A", "x"}, {"u", "A", "y"}});
  EXPECT_THAT([&] { agreement(single); },
              ThrowsMessage<InputError>(HasSubstr("no task has two annotations")));
  const AnnotationTable words = make_table(std::vector<Triple>{{"t", "A", "x"}, {"t", "B", "y"}});
  EXPECT_THAT([&] { agreement(words, LabelMetric::interval); },
              ThrowsMessage<InputError>(HasSubstr("'x' is no number")));
}

}  // namespace
}  // namespace amalgam::labels
