#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/soft/aggregate.hpp"
#include "amalgam/labels/soft/centroid.hpp"
#include "amalgam/labels/soft/temperature.hpp"
#include "tests/labels/made_tables.hpp"

namespace amalgam::labels::soft {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

SoftLabels one_item(std::vector<double> row) {
  SoftLabels soft(1, row.size());
  soft.values = std::move(row);
  return soft;
}

void expect_values(const SoftLabels& soft, const std::vector<double>& expected,
                   double tolerance = 1e-6) {
  ASSERT_EQ(soft.values.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(soft.values[i], expected[i], tolerance);
  }
}

SoftLabels centroid(const std::vector<SoftLabels>& members) { return centroid_labels(members, {}); }

TEST(Centroid, IsTheOneWorkedOut) {
  expect_values(centroid({one_item({.9, .1}), one_item({.5, .5})}), {.721833, .278167});
  expect_values(centroid({one_item({.9, .1}), one_item({.1, .9})}), {.5, .5});
  expect_values(centroid({one_item({.7, .2, .1}), one_item({.1, .2, .7})}),
                {.386502, .226996, .386502});
}

TEST(Centroid, OfEqualMembersIsThem) {
  const SoftLabels same = one_item({.2, .3, .5});
  expect_values(centroid({same, same, same}), same.values, 1e-9);
}

TEST(Centroid, TakesZeros) {
  const SoftLabels centre = centroid({one_item({1, 0}), one_item({0.6, 0.4})});
  EXPECT_GT(centre.values[0], 0.75);
  EXPECT_NEAR(centre.values[0] + centre.values[1], 1, 1e-12);
}

TEST(Conflation, MultipliesAndNormalises) {
  expect_values(conflated_labels(std::vector{one_item({.9, .1}), one_item({.5, .5})}), {.9, .1});
  expect_values(conflated_labels(std::vector{one_item({1, 0}), one_item({0, 1})}), {.5, .5});
}

TEST(Temperature, TwoTakesTheRoot) {
  expect_values(tempered_labels(one_item({.8, .2}), 2), {2.0 / 3, 1.0 / 3});
  expect_values(tempered_labels(one_item({.8, .2}), 1), {.8, .2}, 1e-12);
  EXPECT_THAT(
      [] {
        tempered_labels(one_item({.8, .2}), 0);
      },
      ThrowsMessage<InputError>(HasSubstr("above 0")));
}

double jensen_shannon(const double* p, const double* q, std::size_t classes) {
  double sum = 0;
  for (std::size_t k = 0; k < classes; ++k) {
    const double middle = (p[k] + q[k]) / 2;
    sum += (p[k] * std::log(p[k] / middle) + q[k] * std::log(q[k] / middle)) / 2;
  }
  return sum;
}

double objective(const std::vector<SoftLabels>& members, const std::vector<double>& temperatures) {
  std::vector<SoftLabels> tempered;
  double penalty = 0;
  for (std::size_t m = 0; m < members.size(); ++m) {
    tempered.push_back(tempered_labels(members[m], temperatures[m]));
    penalty += 1e-3 * temperatures[m] * temperatures[m];
  }
  double sum = 0;
  double pairs = 0;
  for (std::size_t a = 0; a < members.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      for (std::size_t i = 0; i < members[a].items; ++i) {
        sum += jensen_shannon(tempered[a].row(i).data(), tempered[b].row(i).data(),
                              members[a].classes);
        ++pairs;
      }
    }
  }
  return sum / pairs + penalty;
}

TEST(Temperature, NoOtherTemperaturesNearbyAgreeMore) {
  RandomStream random(1, "soft labels");
  std::vector<SoftLabels> members(3, SoftLabels(50, 3));
  for (std::size_t i = 0; i < 50; ++i) {
    double base[3];
    for (double& b : base) b = 2 * random.normal();
    for (std::size_t m = 0; m < 3; ++m) {
      double sum = 0;
      for (std::size_t k = 0; k < 3; ++k) {
        members[m].row(i)[k] =
            std::exp(static_cast<double>(m + 1) * (base[k] + 0.5 * random.normal()));
        sum += members[m].row(i)[k];
      }
      for (double& p : members[m].row(i)) p /= sum;
    }
  }
  const std::vector<double> best = ensemble_temperatures(members, {});
  const double least = objective(members, best);
  for (std::size_t m = 0; m < 3; ++m) {
    for (const double factor : {.97, 1.03}) {
      std::vector<double> other = best;
      other[m] *= factor;
      EXPECT_GT(objective(members, other), least);
    }
  }
  // The surer a member, the more it is tempered.
  EXPECT_LT(best[0], best[2]);
}

TEST(Mean, WeighsMembers) {
  const std::vector<SoftLabels> members{one_item({1, 0}), one_item({.5, .5})};
  expect_values(mean_labels(members), {.75, .25}, 1e-15);
  expect_values(mean_labels(members, std::array{.2, .8}), {.6, .4}, 1e-15);
  EXPECT_THAT([] { mean_labels({}); },
              ThrowsMessage<InputError>(HasSubstr("nothing to aggregate")));
  EXPECT_THAT(
      [] {
        mean_labels(std::vector{one_item({1, 0}), one_item({1, 0, 0})});
      },
      ThrowsMessage<InputError>(HasSubstr("member 1 has 1 items and 3 classes")));
}

TEST(Weights, AreInverseToTheLossOnGold) {
  const GoldLabels gold{{0}};
  // Losses ln 2 and 2 ln 2: weights 2/3 and 1/3.
  const std::vector<double> weights =
      weights_by_likelihood(std::vector{one_item({.5, .5}), one_item({.25, .75})}, gold);
  EXPECT_NEAR(weights[0], 2.0 / 3, 1e-12);
  EXPECT_NEAR(weights[1], 1.0 / 3, 1e-12);
}

TEST(Average, IsTheMeanOfItsMethodsAndNeverWorseThanTheirMeanLoss) {
  const std::array<std::string_view, 7> methods{"standard", "softmax", "dawid-skene",     "glad",
                                                "mace",     "wawa",    "zero-based-skill"};
  for (const std::uint64_t seed : {1, 2, 3}) {
    const Made made = make_crowd({.tasks = 80, .classes = 3, .seed = seed, .lowest_skill = 0.3});
    std::vector<SoftLabels> members;
    double mean_loss = 0;
    for (const std::string_view method : methods) {
      members.push_back(fit_labels(method, made.table).posterior);
      mean_loss += negative_log_likelihood(members.back(), made.gold) / 7;
    }
    const SoftLabels average = fit_labels("average", made.table).posterior;
    EXPECT_EQ(average.values, mean_labels(members).values);
    EXPECT_LE(negative_log_likelihood(average, made.gold), mean_loss);
  }
}

TEST(Average, OffersTheOtherAggregations) {
  const Made made = make_crowd({.tasks = 60, .classes = 2});
  const std::string methods = "methods=standard,dawid-skene,wawa";
  const auto fit = [&](const std::string& aggregation) {
    FitContext context;
    context.gold = &made.gold;
    return fit_labels("average", made.table,
                      std::vector<std::string>{methods, "aggregation=" + aggregation}, context)
        .posterior;
  };
  FitContext no_gold;
  std::vector<SoftLabels> members;
  for (const char* name : {"standard", "dawid-skene", "wawa"}) {
    members.push_back(fit_labels(name, made.table, {}, no_gold).posterior);
  }
  // The members of a weighted mean do not see the gold labels that weigh them.
  const std::vector<double> weights = weights_by_likelihood(members, made.gold);
  EXPECT_EQ(fit("weighted").values, mean_labels(members, weights).values);
  for (const char* aggregation : {"conflation", "temperature", "centroid", "hybrid"}) {
    const SoftLabels soft = fit(aggregation);
    for (std::size_t i = 0; i < soft.items; ++i) {
      EXPECT_NEAR(soft.row(i)[0] + soft.row(i)[1], 1, 1e-12) << aggregation;
    }
  }
}

}  // namespace
}  // namespace amalgam::labels::soft
