#include <gmock/gmock.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/k_means.hpp"
#include "amalgam/labels/weak/goggles.hpp"
#include "tests/labels/weak_data.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

double share_right(const SoftLabels& soft, const std::vector<Label>& truth) {
  const HardLabels hard = hard_labels(soft);
  double right = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) right += hard.labels[i] == truth[i] ? 1 : 0;
  return right / static_cast<double>(truth.size());
}

TEST(KMeans, FindsSeparateGroups) {
  Features x(6, 1);
  x.values = {0, 10, 0.5, 20, 10.5, 20.5};
  const KMeans found = k_means(x, 3, 1);
  EXPECT_EQ(found.clusters[0], found.clusters[2]);
  EXPECT_EQ(found.clusters[1], found.clusters[4]);
  EXPECT_EQ(found.clusters[3], found.clusters[5]);
  EXPECT_NEAR(found.inertia, 6 * .25 * .25, 1e-12);
}

TEST(KMeans, TakesEqualRowsAndRefusesMoreClustersThanRows) {
  Features same(4, 2);
  EXPECT_NEAR(k_means(same, 3, 1).inertia, 0, 1e-12);
  EXPECT_THROW(k_means(same, 5, 1), InputError);
}

TEST(CosineAffinity, IsOfDirectionsAlone) {
  Features x(2, 2);
  x.values = {3, 0, 0, 0};
  Features anchors(2, 2);
  anchors.values = {1, 1, -2, 0};
  const Features s = cosine_affinity(x, anchors);
  EXPECT_NEAR(s.at(0, 0), std::sqrt(.5), 1e-12);
  EXPECT_NEAR(s.at(0, 1), -1, 1e-12);
  EXPECT_EQ(s.at(1, 0), 0);  // a row of zeros
}

TEST(MatchComponents, MaximisesAgreementWithTheLabels) {
  // Class x component: {{1, 9}, {8, 2}}.
  SoftLabels posterior(20, 2);
  std::vector<Label> labels(20);
  std::size_t item = 0;
  const auto add = [&](Label label, std::size_t component, std::size_t times) {
    for (std::size_t t = 0; t < times; ++t, ++item) {
      labels[item] = label;
      posterior.row(item)[component] = 1;
    }
  };
  add(0, 0, 1);
  add(0, 1, 9);
  add(1, 0, 8);
  add(1, 1, 2);
  EXPECT_THAT(match_components(posterior, labels), ElementsAre(1, 0));
}

TEST(BernoulliMixture, PosteriorIsProportionalToTheWeightTimesTheProduct) {
  const BernoulliMixture mixture{
      .classes = 2, .inputs = 2, .weights = {.25, .75}, .means = {.9, .2, .4, .5}};
  Features row(1, 2);
  row.values = {1, 0};
  // .25 * .9 * .8 = .18 and .75 * .4 * .5 = .15.
  EXPECT_NEAR(mixture.posterior(row).row(0)[0], .18 / .33, 1e-4);
}

TEST(GaussianMixture, FindsGroupsOfDifferentWidth) {
  RandomStream random(1, "mixture");
  Features x(400, 2);
  std::vector<Label> truth(400);
  for (std::size_t i = 0; i < 400; ++i) {
    truth[i] = i % 2;
    const double width = truth[i] == 0 ? .2 : 2;
    for (double& value : x.row(i)) value = (truth[i] == 0 ? 0 : 6) + width * random.normal();
  }
  SoftLabels soft = fit_gaussian_mixture(x, 2, 1)->posteriors(x);
  const auto order = match_components(soft, truth);
  double right = 0;
  for (std::size_t i = 0; i < 400; ++i) right += soft.row(i)[order[truth[i]]] > .5 ? 1 : 0;
  EXPECT_GT(right, 385);
  EXPECT_NEAR(soft.row(3)[0] + soft.row(3)[1], 1, 1e-12);
}

class GogglesBy : public testing::TestWithParam<AffinityModelKind> {};

TEST_P(GogglesBy, NamesClustersByFewLabels) {
  const WeakData data(3, 60, 300, 1);
  const Goggles goggles(std::span(&data.labelled, 1), data.labels, 3,
                        {.models = {GetParam()}, .seed = 2});
  const SoftLabels soft = goggles.label(std::span(&data.unlabelled, 1));
  EXPECT_GT(share_right(soft, data.truth), .8);
  for (std::size_t i = 0; i < soft.items; ++i) {
    double sum = 0;
    for (const double p : soft.row(i)) sum += p;
    EXPECT_NEAR(sum, 1, 1e-9);
  }
}

INSTANTIATE_TEST_SUITE_P(AllModels, GogglesBy,
                         testing::Values(AffinityModelKind::gaussian_mixture,
                                         AffinityModelKind::k_means, AffinityModelKind::spectral));

TEST(Goggles, JoinsSeveralViewsAndModels) {
  const WeakData data(3, 60, 200, 2);
  const std::vector<Features> known{data.labelled, data.labelled};
  const std::vector<Features> others{data.unlabelled, data.unlabelled};
  const Goggles goggles(
      known, data.labels, 3,
      {.models = {AffinityModelKind::k_means, AffinityModelKind::gaussian_mixture}, .seed = 1});
  EXPECT_GT(share_right(goggles.label(others), data.truth), .8);
  EXPECT_THAT([&] { goggles.label(std::span(others).first(1)); },
              ThrowsMessage<InputError>(HasSubstr("1 representations of the rows; expected 2")));
}

TEST(Goggles, RefusesAClassWithoutALabelledRow) {
  WeakData data(3, 30, 50, 3);
  for (Label& label : data.labels) label = label == 2 ? 1 : label;
  EXPECT_THAT([&] { Goggles(std::span(&data.labelled, 1), data.labels, 3); },
              ThrowsMessage<InputError>(HasSubstr("class 2 has no labelled row")));
}

}  // namespace
}  // namespace amalgam::labels
