#include <gmock/gmock.h>

#include <Eigen/Dense>
#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/bags/linear_model.hpp"
#include "tests/error_of.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Bags {x = 1, 3; y = 2, 4} and {x = 2, 2; y = 1, 3}.
BagData two_bags() {
  return {.features = 1,
          .x = {1, 3, 2, 2},
          .bags = bags_of(std::vector<std::uint32_t>{0, 0, 1, 1}, 2),
          .responses = {3, 2}};
}

// Rows whose features have means of their own, in random bags of 1 to about 2 `size` rows.
BagData random_data(std::size_t rows, std::size_t features, std::size_t bags, std::uint64_t seed) {
  RandomStream random(seed, "rows");
  BagData data{.features = features, .x = {}, .bags = {}, .responses = {}};
  std::vector<double> responses;
  for (std::size_t row = 0; row < rows; ++row) {
    double response = 2 + random.normal();
    for (std::size_t j = 0; j < features; ++j) {
      data.x.push_back(static_cast<double>(j) + random.normal());
      response += data.x.back() * (j % 2 == 0 ? 0.5 : -1.0);
    }
    responses.push_back(response);
  }
  std::vector<std::uint32_t> bag_of_row;
  for (std::size_t row = 0; row < rows; ++row) {
    bag_of_row.push_back(static_cast<std::uint32_t>(row < bags ? row : random.below(bags)));
  }
  data.bags = bags_of(bag_of_row, bags);
  data.responses = bag_means(data.bags, responses);
  return data;
}

struct Design {
  Eigen::MatrixXd x;
  Eigen::VectorXd y;
};

// Rows with their bag's mean response, and a column of ones if asked for.
Design rows_on_bag_means(const BagData& data, bool ones) {
  const auto d = static_cast<Eigen::Index>(data.features);
  Design design{Eigen::MatrixXd::Ones(static_cast<Eigen::Index>(data.rows()), d + (ones ? 1 : 0)),
                Eigen::VectorXd(static_cast<Eigen::Index>(data.rows()))};
  const auto bag_of = data.bags.bag_of_row();
  for (std::size_t row = 0; row < data.rows(); ++row) {
    const auto i = static_cast<Eigen::Index>(row);
    for (std::size_t j = 0; j < data.features; ++j) {
      design.x(i, static_cast<Eigen::Index>(j)) = data.row(row)[j];
    }
    design.y(i) = data.responses[bag_of[row]];
  }
  return design;
}

// Mean features and responses of bags, times the root of their rows.
Design weighted_means(const BagData& data, bool ones) {
  const Design rows = rows_on_bag_means(data, ones);
  Design means{Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(data.bags.count()), rows.x.cols()),
               Eigen::VectorXd(static_cast<Eigen::Index>(data.bags.count()))};
  for (std::size_t bag = 0; bag < data.bags.count(); ++bag) {
    const auto a = static_cast<Eigen::Index>(bag);
    const double root = std::sqrt(static_cast<double>(data.bags.size(bag)));
    for (const std::size_t row : data.bags.rows_of(bag)) {
      means.x.row(a) += rows.x.row(static_cast<Eigen::Index>(row)) / root;
    }
    means.y(a) = root * data.responses[bag];
  }
  return means;
}

void expect_model(const LinearBagModel& model, const Eigen::VectorXd& theta, double tolerance) {
  const std::size_t d = model.coefficients.size();
  for (std::size_t j = 0; j < d; ++j) {
    EXPECT_NEAR(model.coefficients[j], theta(static_cast<Eigen::Index>(j)), tolerance);
  }
  if (model.options.intercept) {
    EXPECT_NEAR(model.intercept, theta(static_cast<Eigen::Index>(d)), tolerance);
  }
}

void expect_close(const std::vector<double>& left, const std::vector<double>& right) {
  ASSERT_EQ(left.size(), right.size());
  double most = 0;
  for (const double value : right) most = std::max(most, std::abs(value));
  for (std::size_t i = 0; i < left.size(); ++i) EXPECT_NEAR(left[i], right[i], 1e-12 * most);
}

TEST(LinearBags, OfTwoBagsByHand) {
  const LinearBagState state = state_of_bags(two_bags());
  EXPECT_THAT(state.between(), ElementsAre(16));
  EXPECT_THAT(state.within(), ElementsAre(2));
  EXPECT_THAT(state.cross(), ElementsAre(20));
  const auto theta = [&](double rho) {
    return fit_linear(state, {.rho = rho, .ridge = 0, .intercept = false}).coefficients[0];
  };
  EXPECT_DOUBLE_EQ(theta(0), 1.25);
  EXPECT_NEAR(theta(0.5), 20.0 / 17, 1e-14);
  EXPECT_NEAR(theta(1), 20.0 / 18, 1e-14);
}

TEST(LinearBags, AtTheEndsAreLeastSquaresOfRowsAndOfBags) {
  const BagData data = random_data(120, 4, 40, 1);
  const LinearBagState state = state_of_bags(data);
  for (const bool intercept : {false, true}) {
    const Design rows = rows_on_bag_means(data, intercept);
    const Design bags = weighted_means(data, intercept);
    expect_model(fit_linear(state, {.rho = 1, .ridge = 0, .intercept = intercept}),
                 rows.x.colPivHouseholderQr().solve(rows.y), 1e-10);
    expect_model(fit_linear(state, {.rho = 0, .ridge = 0, .intercept = intercept}),
                 bags.x.colPivHouseholderQr().solve(bags.y), 1e-10);
  }
}

TEST(LinearBags, WithARidgeShrinkTheCoefficientsAlone) {
  const BagData data = random_data(60, 3, 20, 2);
  const Design bags = weighted_means(data, true);
  Eigen::MatrixXd matrix = bags.x.transpose() * bags.x;
  matrix.diagonal().head(3).array() += 5;
  expect_model(fit_linear(state_of_bags(data), {.rho = 0, .ridge = 5, .intercept = true}),
               matrix.ldlt().solve(bags.x.transpose() * bags.y), 1e-10);
}

TEST(LinearBags, OfSingleRowsAreTheSameForEveryRho) {
  BagData data = random_data(50, 3, 50, 3);
  const LinearBagState state = state_of_bags(data);
  const LinearBagModel one = fit_linear(state, {.rho = 1});
  const LinearRhoPath path(state);
  for (const double rho : {0.0, 0.01, 0.3, 2.0, 50.0}) {
    EXPECT_EQ(fit_linear(state, {.rho = rho}).coefficients, one.coefficients);
    expect_close(path.at(rho).coefficients, one.coefficients);
  }
}

TEST(LinearBags, WithEqualRowsInEachBagAreTheSameForEveryRho) {
  const BagData data{.features = 1,
                     .x = {1, 1, 4, 4, 2},
                     .bags = bags_of(std::vector<std::uint32_t>{0, 0, 1, 1, 2}, 3),
                     .responses = {2, 3, 1}};
  const LinearBagState state = state_of_bags(data);
  EXPECT_EQ(state.within()[0], 0);
  EXPECT_EQ(fit_linear(state, {.rho = 0}).coefficients, fit_linear(state, {.rho = 3}).coefficients);
}

TEST(LinearBags, VanishAsRhoGrows) {
  const LinearBagState state = state_of_bags(random_data(120, 4, 30, 4));
  const LinearBagOptions options{.rho = 1e9, .ridge = 0, .intercept = false};
  const LinearBagModel model = fit_linear(state, options);
  // theta -> (rho B)^-1 c.
  const Eigen::MatrixXd within =
      Eigen::Map<const Eigen::MatrixXd>(state.within().data(), 4, 4) * 1e9;
  const std::vector<double> cross = state.cross();
  const Eigen::VectorXd limit =
      within.ldlt().solve(Eigen::Map<const Eigen::VectorXd>(cross.data(), 4));
  for (int j = 0; j < 4; ++j) {
    EXPECT_NEAR(model.coefficients[static_cast<std::size_t>(j)] / limit(j), 1, 1e-6);
    EXPECT_LT(std::abs(limit(j)), 1e-6);
  }
}

TEST(LinearBags, OfOneBagAreTheSolutionOfMinimumNorm) {
  // One mean (1.5, 2.5): theta = 3 xbar / |xbar|^2.
  const BagData data{.features = 2,
                     .x = {1, 2, 2, 3},
                     .bags = bags_of(std::vector<std::uint32_t>{0, 0}, 1),
                     .responses = {3}};
  const LinearBagState state = state_of_bags(data);
  const LinearBagModel model = fit_linear(state, {.rho = 0, .ridge = 0, .intercept = false});
  EXPECT_TRUE(model.minimum_norm());
  EXPECT_EQ(model.rank, 1U);
  EXPECT_THAT(identification_warning(state, model), HasSubstr("by the means of 1 bags"));
  EXPECT_EQ(identification_warning(state, fit_linear(state, {.rho = 0, .ridge = 1})), "");
  EXPECT_NEAR(model.coefficients[0], 3 * 1.5 / 8.5, 1e-12);
  EXPECT_NEAR(model.coefficients[1], 3 * 2.5 / 8.5, 1e-12);
}

TEST(LinearBags, WithFewerBagsThanFeaturesAreThoseOfThePseudoinverse) {
  BagData data = random_data(40, 9, 5, 5);
  // Features in units that differ by many orders of magnitude.
  for (std::size_t i = 0; i < data.x.size(); ++i) data.x[i] *= i % 9 == 3 ? 1e-5 : 1.0;
  const Design bags = weighted_means(data, false);
  const LinearBagModel model =
      fit_linear(state_of_bags(data), {.rho = 0, .ridge = 0, .intercept = false});
  EXPECT_EQ(model.rank, 5U);
  expect_model(model, bags.x.completeOrthogonalDecomposition().solve(bags.y), 1e-8);
}

TEST(LinearBags, OfFeaturesThatDependOnEachOtherAreOfMinimumNorm) {
  // Two equal features share their coefficient.
  BagData data = random_data(40, 2, 12, 15);
  for (std::size_t i = 1; i < data.x.size(); i += 2) data.x[i] = data.x[i - 1];
  const LinearBagState state = state_of_bags(data);
  for (const double rho : {0.0, 0.4}) {
    const LinearBagModel model = fit_linear(state, {.rho = rho});
    EXPECT_EQ(model.rank, 1U);
    EXPECT_NEAR(model.coefficients[0], model.coefficients[1], 1e-10);
    EXPECT_EQ(LinearRhoPath(state).at(rho).coefficients, model.coefficients);
  }
  EXPECT_THAT(identification_warning(state, fit_linear(state, {.rho = 0.4})),
              HasSubstr("depend on each other linearly"));
}

TEST(LinearBags, KeepASmallScatterAboutALargeMean) {
  BagData data = random_data(80, 2, 20, 6);
  const LinearBagModel model = fit_linear(state_of_bags(data), {.rho = 0.3});
  for (std::size_t i = 0; i < data.x.size(); ++i) data.x[i] += i % 2 == 0 ? 1e6 : 0;
  const LinearBagModel moved = fit_linear(state_of_bags(data), {.rho = 0.3});
  EXPECT_NEAR(moved.coefficients[0], model.coefficients[0], 1e-8);
  EXPECT_NEAR(moved.coefficients[1], model.coefficients[1], 1e-8);
}

TEST(LinearBags, RefuseWhatIsNotSensible) {
  const LinearBagState state = state_of_bags(two_bags());
  EXPECT_THAT(error_of([&] { fit_linear(state, {.rho = -0.1}); }), HasSubstr("rho is -0.1"));
  EXPECT_THAT(error_of([&] { fit_linear(state, {.rho = std::nan("")}); }), HasSubstr("rho is nan"));
  EXPECT_THAT(error_of([&] { fit_linear(state, {.rho = 1, .ridge = -1}); }),
              HasSubstr("the ridge is -1"));
  EXPECT_THAT(error_of([] { fit_linear(LinearBagState(2), {}); }), HasSubstr("no bags"));
  EXPECT_THAT(error_of([&] {
                fit_linear(state, {}).predict(std::vector<double>{1, 2});
              }),
              HasSubstr("a row has 2 features"));
}

TEST(LinearBagState, OfTwoPartsIsThatOfTheUnion) {
  const BagData data = random_data(300, 5, 60, 7);
  const LinearBagState whole = state_of_range(data, 0, 60);
  for (const std::size_t cut : {1, 13, 59}) {
    LinearBagState left = state_of_range(data, 0, cut);
    left.combine(state_of_range(data, cut, 60));
    EXPECT_EQ(left.rows(), 300U);
    EXPECT_EQ(left.bags(), 60U);
    expect_close(left.between(), whole.between());
    expect_close(left.within(), whole.within());
    expect_close(left.cross(), whole.cross());
    EXPECT_NEAR(left.response_square(), whole.response_square(), 1e-12 * whole.response_square());
    expect_close(fit_linear(left, {.rho = 0.2}).coefficients,
                 fit_linear(whole, {.rho = 0.2}).coefficients);
  }
}

TEST(LinearBagState, OfPartsOfBagsIsThatOfWholeOnes) {
  const BagData data = random_data(90, 3, 20, 8);
  LinearBagState state(3);
  for (std::size_t bag = 0; bag < 20; ++bag) {
    PartialBag here(3);
    PartialBag there(3);
    for (const std::size_t row : data.bags.rows_of(bag)) {
      (row % 2 == 0 ? here : there).absorb(data.row(row));
    }
    here.combine(std::move(there));
    state.absorb(here, data.responses[bag]);
  }
  const LinearBagState whole = state_of_bags(data);
  expect_close(state.between(), whole.between());
  expect_close(state.within(), whole.within());
  expect_close(state.cross(), whole.cross());
}

TEST(LinearBagState, DoesNotDependOnThreads) {
  const BagData data = random_data(20'000, 4, 3000, 9);
  const LinearBagState one = state_of_bags(data, {1, Runner::sequential});
  const LinearBagState many = state_of_bags(data, {4, Runner::tbb});
  EXPECT_EQ(one.between(), many.between());
  EXPECT_EQ(one.within(), many.within());
  EXPECT_EQ(one.cross(), many.cross());
}

TEST(LinearBagState, RefusesBagsThatDoNotFit) {
  LinearBagState state(2);
  EXPECT_THAT(error_of([&] { state.absorb(PartialBag(2), 1); }), HasSubstr("has no rows"));
  PartialBag bag(2);
  EXPECT_THAT(error_of([&] { bag.absorb(std::vector<double>{1}); }), HasSubstr("1 features"));
  bag.absorb(std::vector<double>{1, 2});
  EXPECT_THAT(error_of([&] { state.absorb(bag, std::nan("")); }), HasSubstr("is nan"));
  EXPECT_THAT(error_of([&] { state.combine(LinearBagState(3)); }), HasSubstr("3 features"));
}

TEST(LinearLosses, AreThoseOfThePredictions) {
  const BagData data = random_data(100, 3, 25, 10);
  const LinearBagState state = state_of_bags(data);
  for (const double rho : {0.0, 0.4, 1.0}) {
    const LinearBagModel model = fit_linear(state, {.rho = rho});
    const BagLosses expected = bag_losses(data.bags, data.responses, predict_rows(model, data));
    const BagLosses losses = linear_losses(state, model);
    EXPECT_NEAR(losses.bag, expected.bag, 1e-10);
    EXPECT_NEAR(losses.instance, expected.instance, 1e-10);
    EXPECT_NEAR(losses.spread, expected.spread, 1e-10);
  }
}

TEST(LinearBags, MinimiseTheInterpolatedLoss) {
  const BagData data = random_data(100, 3, 25, 11);
  const LinearBagState state = state_of_bags(data);
  for (const double rho : {0.0, 0.3, 1.0, 2.5}) {
    const LinearBagModel best = fit_linear(state, {.rho = rho});
    const double least = linear_losses(state, best).interpolated(rho);
    for (std::size_t j = 0; j < 4; ++j) {
      for (const double step : {-1e-3, 1e-3}) {
        LinearBagModel other = best;
        (j < 3 ? other.coefficients[j] : other.intercept) += step;
        EXPECT_GT(linear_losses(state, other).interpolated(rho), least);
      }
    }
  }
}

TEST(LinearRhoPath, HasTheModelsOfEveryRho) {
  const LinearBagState state = state_of_bags(random_data(150, 6, 40, 12));
  for (const double ridge : {0.0, 2.0}) {
    for (const bool intercept : {false, true}) {
      const LinearRhoPath path(state, ridge, intercept);
      for (const double rho : {0.0, 1e-3, 0.1, 0.7, 1.0, 4.0}) {
        const LinearBagModel model =
            fit_linear(state, {.rho = rho, .ridge = ridge, .intercept = intercept});
        const LinearBagModel on_path = path.at(rho);
        for (std::size_t j = 0; j < 6; ++j) {
          EXPECT_NEAR(on_path.coefficients[j], model.coefficients[j], 1e-10);
        }
        EXPECT_NEAR(on_path.intercept, model.intercept, 1e-9);
      }
    }
  }
}

TEST(LinearRhoPath, IsOfMinimumNormWhereBagsAreTooFew) {
  const LinearBagState state = state_of_bags(random_data(60, 9, 5, 13));
  const LinearRhoPath path(state);
  const LinearBagModel model = path.at(0);
  EXPECT_EQ(model.rank, 4U);  // the intercept takes one of five bags
  EXPECT_EQ(model.coefficients, fit_linear(state, {.rho = 0}).coefficients);
  EXPECT_EQ(path.at(0.5).rank, 9U);
}

TEST(ChooseLinear, ScoresOnBagsThatWereHeldOut) {
  const BagData data = random_data(200, 4, 50, 14);
  const auto folds = bag_folds(50, 5, 3);
  const std::vector<LinearBagState> states = fold_states(data, 5, 3);
  std::vector<LinearBagOptions> candidates;
  for (const double rho : {0.0, 0.2, 1.0}) candidates.push_back({.rho = rho});
  candidates.push_back({.rho = 0, .ridge = 30});
  const LinearBagChoice choice = choose_linear(states, candidates);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    double squares = 0;
    for (const auto& held_out : folds) {
      std::vector<std::size_t> others;
      for (std::size_t bag = 0; bag < 50; ++bag) {
        if (std::ranges::find(held_out, bag) == held_out.end()) others.push_back(bag);
      }
      const LinearBagModel model =
          fit_linear(state_of_bags(select_bags(data, others)), candidates[i]);
      const BagData judged = select_bags(data, held_out);
      squares += static_cast<double>(judged.rows()) *
                 bag_losses(judged.bags, judged.responses, predict_rows(model, judged)).bag;
    }
    EXPECT_NEAR(choice.scores[i], squares / 200, 1e-9);
    EXPECT_GE(choice.scores[i], choice.scores[choice.best]);
  }
  expect_close(choice.model.coefficients,
               fit_linear(state_of_bags(data), candidates[choice.best]).coefficients);
}

TEST(ChooseLinear, NeedsTwoParts) {
  const std::vector<LinearBagState> one{state_of_bags(two_bags())};
  EXPECT_THAT(error_of([&] { choose_linear(one, {LinearBagOptions{}}); }),
              HasSubstr("at least 2 parts"));
  const std::vector<LinearBagState> two(2, one[0]);
  EXPECT_THAT(error_of([&] { choose_linear(two, {}); }), HasSubstr("at least one candidate"));
}

}  // namespace
}  // namespace amalgam::labels
