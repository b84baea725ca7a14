#include "amalgam/labels/learned/bag_network.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/bags/linear_model.hpp"
#include "tests/error_of.hpp"

namespace amalgam::labels::learned {
namespace {

using ::testing::HasSubstr;

// Rows with responses 100 + 20 (x0 - 2 x1), features about 5 and 50, in bags of 1 to 5 rows.
BagData linear_data(std::size_t bags) {
  RandomStream random(1, "network rows");
  BagData data{.features = 2, .x = {}, .bags = {}, .responses = {}};
  for (std::size_t bag = 0; bag < bags; ++bag) {
    const std::size_t size = 1 + bag % 5;
    double sum = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const double a = random.normal();
      const double b = random.normal();
      data.x.insert(data.x.end(), {5 + a, 50 + 10 * b});
      data.bags.rows.push_back(data.bags.rows.size());
      sum += 100 + 20 * (a - 2 * b) + 5 * random.normal();
    }
    data.bags.begins.push_back(data.bags.rows.size());
    data.responses.push_back(sum / static_cast<double>(size));
  }
  return data;
}

// A network without hidden layers is a linear model, whose best weights are known.
TEST(BagNetwork, WithoutHiddenLayersFindsTheClosedForm) {
  const BagData data = linear_data(60);
  const LinearBagState state = state_of_bags(data);
  for (const double rho : {0.0, 0.3, 1.0}) {
    const auto network = train_bag_network(
        data, {.hidden = {}, .rho = rho, .epochs = 400, .batch = 20, .learning_rate = 0.02});
    const LinearBagModel best = fit_linear(state, {.rho = rho});
    const auto predicted = predict_responses(*network, data.x);
    const auto expected = predict_rows(best, data);
    double distance = 0;
    double spread = 0;
    for (std::size_t row = 0; row < predicted.size(); ++row) {
      distance += std::pow(predicted[row] - expected[row], 2);
      spread += std::pow(expected[row] - 100, 2);
    }
    EXPECT_LT(distance / spread, 1e-3) << "rho " << rho;
  }
}

TEST(BagNetwork, LearnsWhatIsNotLinear) {
  // Responses |x|, of which bags of 4 rows show the mean only.
  RandomStream random(2, "network rows");
  BagData data{.features = 1, .x = {}, .bags = random_bags(400, 4, 1), .responses = {}};
  std::vector<double> responses;
  for (int row = 0; row < 400; ++row) {
    data.x.push_back(random.normal());
    responses.push_back(std::abs(data.x.back()));
  }
  data.responses = bag_means(data.bags, responses);
  const auto network =
      train_bag_network(data, {.hidden = {16}, .rho = 0.05, .epochs = 100, .learning_rate = 0.02});
  const auto predicted = predict_responses(*network, data.x);
  double squares = 0;
  for (std::size_t row = 0; row < 400; ++row) {
    squares += std::pow(predicted[row] - responses[row], 2) / 400;
  }
  EXPECT_LT(squares, 0.05);  // the variance of |x| is 0.36
}

TEST(BagNetwork, IsAFunctionOfItsSeed) {
  const BagData data = linear_data(20);
  const BagTraining once{.hidden = {4}, .epochs = 3};
  BagTraining other = once;
  other.seed = 1;
  const auto predictions = [&](const BagTraining& training) {
    return predict_responses(*train_bag_network(data, training), data.x);
  };
  EXPECT_EQ(predictions(once), predictions(once));
  EXPECT_NE(predictions(once), predictions(other));
}

// Two classes on either side of 0; bags of 5 rows show how many of each there are.
TEST(ShareNetwork, ClassifiesRowsFromSharesOfBags) {
  RandomStream random(3, "network rows");
  BagData data{.features = 1, .x = {}, .bags = random_bags(300, 5, 2), .responses = {}};
  std::vector<double> positive;
  for (int row = 0; row < 300; ++row) {
    data.x.push_back(random.normal());
    positive.push_back(data.x.back() > 0 ? 1 : 0);
  }
  data.responses.assign(data.bags.count(), 0);
  ClassShares shares{.class_names = {"low", "high"}, .values = {}};
  for (const double share : bag_means(data.bags, positive)) {
    shares.values.insert(shares.values.end(), {1 - share, share});
  }
  const auto network = train_share_network(
      data, shares, {.hidden = {}, .rho = 0, .epochs = 100, .learning_rate = 0.05});
  const auto probabilities = predict_probabilities(*network, data.x);
  int right = 0;
  for (std::size_t row = 0; row < 300; ++row) {
    EXPECT_NEAR(probabilities[2 * row] + probabilities[2 * row + 1], 1, 1e-5);
    right += (probabilities[2 * row + 1] > 0.5) == (positive[row] == 1) ? 1 : 0;
  }
  EXPECT_GT(right, 285);
  EXPECT_EQ(network->description().class_names, shares.class_names);
}

TEST(ShareLosses, ByHand) {
  // One bag of two rows: shares (1/2, 1/2), mean probabilities (0.6, 0.4).
  const Bags bags = bags_of(std::vector<std::uint32_t>{0, 0}, 1);
  const ClassShares shares{.class_names = {"a", "b"}, .values = {0.5, 0.5}};
  const BagLosses losses = share_losses(bags, shares, std::vector<double>{0.8, 0.2, 0.4, 0.6});
  EXPECT_NEAR(losses.bag, -0.5 * std::log(0.6) - 0.5 * std::log(0.4), 1e-12);
  EXPECT_NEAR(losses.instance, -0.25 * std::log(0.8 * 0.2 * 0.4 * 0.6), 1e-12);
}

TEST(CrossValidateRho, ScoresOnBagsHeldOut) {
  const BagData data = linear_data(40);
  const std::vector<double> rhos{0.1, 1000};
  const auto scores = cross_validate_rho(
      data, nullptr, {.hidden = {}, .rho = 0, .epochs = 60, .learning_rate = 0.05}, rhos, 4);
  ASSERT_EQ(scores.size(), 2U);
  EXPECT_LT(scores[0], scores[1]);  // nothing is left of the slopes at rho = 1000
  EXPECT_GT(scores[0], 0);
}

TEST(BagNetwork, RefusesWhatIsNotSensible) {
  const BagData data = linear_data(10);
  EXPECT_THAT(error_of([&] { train_bag_network(data, {.rho = -1}); }), HasSubstr("rho is -1"));
  EXPECT_THAT(error_of([&] { train_bag_network(data, {.epochs = 0}); }), HasSubstr("0 epochs"));
  EXPECT_THAT(error_of([&] { train_bag_network(data, {.learning_rate = 0}); }),
              HasSubstr("learning rate is 0"));
  BagData bad = data;
  bad.x[3] = std::nan("");
  EXPECT_THAT(error_of([&] { train_bag_network(bad, {}); }), HasSubstr("row 1, feature 1 is nan"));
  const ClassShares one{.class_names = {"a"}, .values = std::vector<double>(10, 1.0)};
  EXPECT_THAT(error_of([&] { train_share_network(data, one, {.rho = 0}); }),
              HasSubstr("at least 2"));
  ClassShares shares{.class_names = {"a", "b"}, .values = std::vector<double>(20, 0.5)};
  EXPECT_THAT(error_of([&] { train_share_network(data, shares, {.rho = 2}); }),
              HasSubstr("from 0 to 1"));
  shares.values[3] = 1.5;
  EXPECT_THAT(error_of([&] { train_share_network(data, shares, {.rho = 0}); }),
              HasSubstr("class 'b' in bag 1 is 1.5"));
}

}  // namespace
}  // namespace amalgam::labels::learned
