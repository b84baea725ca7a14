#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "amalgam/weights/rules/registry.hpp"
#include "tests/weights/rule_checks.hpp"

namespace amalgam {
namespace {

using namespace amalgam::testing;

double norm(const Values& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return std::sqrt(sum);
}

Values scaled(Values x, double factor) {
  for (double& value : x) value *= factor;
  return x;
}

std::vector<Assignments> weights(const Values& values) {
  std::vector<Assignments> all;
  for (const double value : values) all.push_back({{"weight", value}});
  return all;
}

Values slerp_of(const Values& a, const Values& b, double t, const std::string& form = "raw") {
  return run_rule(rules::slerp(), vector_tensor({b}, {{"t", t}, {"form", form}}, a));
}

TEST(SlerpRule, PaperFormMeetsAtTheGeometricMeanOfTheNorms) {
  // [2, 0] and [0, 8]: norm sqrt(16) = 4 at 45 degrees; 2^.75 8^.25 = 2.828427 at 22.5 degrees.
  expect_near(slerp_of({2, 0}, {0, 8}, 0.5, "paper"), {2.828427, 2.828427}, 1e-6);
  expect_near(slerp_of({2, 0}, {0, 8}, 0.25, "paper"), {2.613126, 1.082392}, 1e-6);
}

TEST(SlerpRule, RawFormWeighsTheTensorsAsTheyAre) {
  expect_near(slerp_of({2, 0}, {0, 8}, 0.5), {1.414214, 5.656854}, 1e-6);
  expect_near(slerp_of({2, 0}, {0, 8}, 0.25), {1.847759, 3.061467}, 1e-6);
}

TEST(SlerpRule, EndsAreTheParentsBitForBitInRawForm) {
  const Values a = random_values(500, 1);
  const Values b = random_values(500, 2);
  for (const std::string form : {"raw", "paper"}) {
    expect_near(slerp_of(a, b, 0, form), a, 1e-14);
    expect_near(slerp_of(a, b, 1, form), b, 1e-14);
  }
  EXPECT_EQ(slerp_of(a, b, 0), a);
  EXPECT_EQ(slerp_of(a, b, 1), b);
}

TEST(SlerpRule, EqualParentsAreUnchanged) {
  const Values a = random_values(100, 1);
  for (const std::string form : {"raw", "paper"}) expect_near(slerp_of(a, a, 0.3, form), a, 1e-15);
}

TEST(SlerpRule, UnitVectorsStayOnTheUnitCircle) {
  // 60 degrees apart, half way: 30 degrees. Their mean would have norm 0.866.
  expect_near(slerp_of({1, 0}, {0.5, std::sqrt(0.75)}, 0.5), {0.866025, 0.5}, 1e-6);
}

TEST(SlerpRule, ScalingAParentScalesThePaperFormByItsShare) {
  const Values a = random_values(64, 1);
  const Values b = random_values(64, 2);
  const Values merged = slerp_of(a, b, 0.25, "paper");
  expect_near(slerp_of(a, scaled(b, 16), 0.25, "paper"), scaled(merged, 2), 1e-6);
  expect_near(slerp_of(scaled(a, 16), b, 0.25, "paper"), scaled(merged, 8), 1e-6);
  EXPECT_NEAR(norm(merged), std::pow(norm(a), 0.75) * std::pow(norm(b), 0.25), 1e-12);
}

TEST(SlerpRule, ThresholdDecidesWhatIsNearlyParallel) {
  // The cosine is 0.8; at t = 0.5 the arc's weights are 1 / (2 cos(angle / 2)), not 1/2.
  const Values a{1, 0};
  const Values b{0.8, 0.6};
  const double arc = 1 / (2 * std::cos(std::acos(0.8) / 2));
  expect_near(slerp_of(a, b, 0.5), {arc * 1.8, arc * 0.6}, 1e-7);
  const auto tensor = vector_tensor({b}, {{"t", 0.5}, {"threshold", 0.79}}, a);
  expect_near(run_rule(rules::slerp(), tensor), {0.9, 0.3}, 1e-7);
}

TEST(SlerpRule, VectorsWithoutADirectionAreInterpolated) {
  const Values zero{0, 0};
  const Values b{3, 4};
  expect_near(slerp_of(zero, b, 0.25, "paper"), {0.75, 1}, 1e-15);
  // Raw: an angle of 90 degrees, as in mergekit.
  expect_near(slerp_of(zero, b, 0.25), scaled(b, std::sin(std::acos(0.0) / 4)), 1e-14);
  expect_near(slerp_of(zero, zero, 0.25), zero, 0);
  expect_near(slerp_of({1, 2}, {-1, -2}, 0.25), {0.5, 1}, 1e-15);  // antiparallel
  expect_near(slerp_of({4}, {8}, 0.25), {5}, 0);                   // one element
  EXPECT_TRUE(slerp_of({}, {}, 0.5).empty());
  DriverTensor scalar = vector_tensor({{8}}, {{"t", 0.5}}, Values{4});
  scalar.shape = {};
  expect_near(run_rule(rules::slerp(), scalar), {6}, 0);
}

TEST(SlerpRule, AngleIsThatOfTheWholeTensorWhateverTheBlocks) {
  // Three leaves and a bit; the angle as computed at once in long double.
  const std::size_t count = 3 * kBlockElements * kLeafBlocks + 77;
  const Values a = random_values(count, 1);
  const Values b = random_values(count, 2);
  long double aa = 0;
  long double ab = 0;
  long double bb = 0;
  for (std::size_t i = 0; i < count; ++i) {
    aa += static_cast<long double>(a[i]) * a[i];
    ab += static_cast<long double>(a[i]) * b[i];
    bb += static_cast<long double>(b[i]) * b[i];
  }
  const double angle = static_cast<double>(std::acos(ab / std::sqrt(aa * bb)));
  const double of_a = std::sin(0.7 * angle) / std::sin(angle);
  const double of_b = std::sin(0.3 * angle) / std::sin(angle);
  const Values merged = slerp_of(a, b, 0.3);
  for (std::size_t i = 0; i < count; i += 1009) {
    ASSERT_NEAR(merged[i], of_a * a[i] + of_b * b[i], 1e-13);
  }
  expect_thread_invariance(rules::slerp(), vector_tensor({b}, {{"t", 0.3}}, a));
}

RC_GTEST_PROP(SlerpRule, FloatAndDoubleAgree, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1 << 30);
  const auto count = *rc::gen::inRange<std::size_t>(1, 300);
  const double t = *rc::gen::inRange(0, 101) / 100.0;
  const auto tensor =
      vector_tensor({random_values(count, seed)}, {{"t", t}}, random_values(count, seed + 1));
  DriverOptions wide;
  wide.as_double = true;
  RC_ASSERT(run_rule(rules::slerp(), tensor) == run_rule(rules::slerp(), tensor, wide));
}

DriverTensor nuslerp_tensor(std::vector<Values> members, Shape shape, const Values& shares,
                            bool flatten = true, bool row_wise = false) {
  DriverTensor tensor = vector_tensor(
      std::move(members), {{"nuslerp_flatten", flatten}, {"nuslerp_row_wise", row_wise}});
  tensor.shape = std::move(shape);
  tensor.member_parameters = weights(shares);
  return tensor;
}

TEST(NuslerpRule, ShareIsTheSecondWeightOfTheSum) {
  const std::vector<Values> members{{2, 0}, {0, 8}};
  expect_near(run_rule(rules::nuslerp(), nuslerp_tensor(members, {2}, {3, 1})),
              {1.847759, 3.061467}, 1e-6);
  // Weights that cancel: half way.
  expect_near(run_rule(rules::nuslerp(), nuslerp_tensor(members, {2}, {1, -1})),
              {1.414214, 5.656854}, 1e-6);
}

TEST(NuslerpRule, WithABaseTaskVectorsAreMetAndAddedBack) {
  DriverTensor tensor = nuslerp_tensor({{12, 10}, {10, 18}}, {2}, {1, 1});
  tensor.base = Values{10, 10};
  expect_near(run_rule(rules::nuslerp(), tensor), {11.414214, 15.656854}, 1e-6);
}

TEST(NuslerpRule, RowsAndColumnsAreVectorsOfTheirOwn) {
  // First row orthogonal, second colinear.
  const std::vector<Values> members{{2, 0, 1, 1}, {0, 8, 3, 3}};
  expect_near(run_rule(rules::nuslerp(), nuslerp_tensor(members, {2, 2}, {1, 1}, false)),
              {1.414214, 5.656854, 2, 2}, 1e-6);
  // The same numbers in columns.
  const std::vector<Values> turned{{2, 1, 0, 1}, {0, 3, 8, 3}};
  expect_near(run_rule(rules::nuslerp(), nuslerp_tensor(turned, {2, 2}, {1, 1}, false, true)),
              {1.414214, 2, 5.656854, 2}, 1e-6);
}

TEST(NuslerpRule, OppositeRowsOfOneElementMeetOnTheStraightLine) {
  // Their cosine is -1; missed by one rounding, the arc would blow them up by 1e8.
  Values a;
  Values b;
  Values expected;
  for (int i = 1; i <= 1000; ++i) {
    a.push_back(0.1 * i);
    b.push_back(-0.3 / i);
    expected.push_back((a.back() + b.back()) / 2);
  }
  const DriverTensor tensor = nuslerp_tensor({a, b}, {1000, 1}, {1, 1}, false);
  expect_near(run_rule(rules::nuslerp(), tensor, {.as_double = true}), expected, 1e-12);
}

TEST(NuslerpRule, ColumnsOfALargeMatrixAreTheRowsOfItsTranspose) {
  // 700 columns: blocks begin and end in the middle of rows; three leaves.
  constexpr std::size_t kRows = 450;
  constexpr std::size_t kColumns = 700;
  std::vector<Values> members = random_members(2, kRows * kColumns, 5);
  std::vector<Values> transposed = members;
  const Values base = random_values(kRows * kColumns, 17);
  Values transposed_base = base;
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t c = 0; c < kColumns; ++c) {
      for (int m = 0; m < 2; ++m) {
        transposed[m][c * kRows + r] = members[m][r * kColumns + c];
      }
      transposed_base[c * kRows + r] = base[r * kColumns + c];
    }
  }
  DriverTensor columns = nuslerp_tensor(members, {kRows, kColumns}, {2, 1}, false, true);
  DriverTensor rows = nuslerp_tensor(transposed, {kColumns, kRows}, {2, 1}, false);
  columns.base = base;
  rows.base = transposed_base;
  const Values by_columns = run_rule(rules::nuslerp(), columns);
  const Values by_rows = run_rule(rules::nuslerp(), rows);
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t c = 0; c < kColumns; ++c) {
      ASSERT_NEAR(by_columns[r * kColumns + c], by_rows[c * kRows + r], 1e-13);
    }
  }
  expect_thread_invariance(rules::nuslerp(), columns);
}

TEST(NuslerpRule, ManyColumnsTakeSeveralPassesWithTheSameResult) {
  // 100,003 columns of three elements; with the default memory they take three passes.
  constexpr std::size_t kColumns = 100003;
  const std::vector<Values> members = random_members(2, 3 * kColumns, 9);
  DriverOptions options;
  std::size_t passes = 0;
  options.passes = &passes;
  const Values merged = run_rule(
      rules::nuslerp(), nuslerp_tensor(members, {3, kColumns}, {1, 1}, false, true), options);
  EXPECT_EQ(passes, 3U);
  for (std::size_t c = 0; c < kColumns; c += 501) {
    std::vector<Values> column(2);
    for (std::size_t r = 0; r < 3; ++r) {
      for (int m = 0; m < 2; ++m) column[m].push_back(members[m][r * kColumns + c]);
    }
    const Values expected = run_rule(rules::nuslerp(), nuslerp_tensor(column, {3}, {1, 1}));
    for (std::size_t r = 0; r < 3; ++r) ASSERT_NEAR(merged[r * kColumns + c], expected[r], 1e-13);
  }
}

TEST(NuslerpRule, EmptyScalarAndOneElementTensors) {
  for (const bool flatten : {true, false}) {
    for (const bool row_wise : {true, false}) {
      EXPECT_TRUE(
          run_rule(rules::nuslerp(), nuslerp_tensor({{}, {}}, {0, 3}, {1, 1}, flatten, row_wise))
              .empty());
      expect_near(
          run_rule(rules::nuslerp(), nuslerp_tensor({{4}, {8}}, {}, {3, 1}, flatten, row_wise)),
          {5}, 0);
      expect_near(
          run_rule(rules::nuslerp(), nuslerp_tensor({{4}, {8}}, {1, 1}, {3, 1}, flatten, row_wise)),
          {5}, 0);
    }
  }
}

DriverTensor weighted(std::vector<Values> members, const Values& shares) {
  DriverTensor tensor = vector_tensor(std::move(members));
  tensor.member_parameters = weights(shares);
  return tensor;
}

TEST(MultislerpRule, MeanDirectionAtTheMeanNorm) {
  // Directions (1, 0) and (0, 1), weights 1:3: (1, 3)/sqrt(10); norms 2 and 4: 2/4 + 3*4/4 = 3.5.
  const double factor = 3.5 / std::sqrt(10.0);
  expect_near(run_rule(rules::multislerp(), weighted({{2, 0}, {0, 4}}, {1, 3})),
              {factor, 3 * factor}, 1e-7);
  DriverTensor based = weighted({{3, 1}, {1, 5}}, {1, 3});
  based.base = Values{1, 1};
  expect_near(run_rule(rules::multislerp(), based), {1 + factor, 1 + 3 * factor}, 1e-7);
}

TEST(MultislerpRule, OpposedDirectionsAreAnErrorForMoreThanTwo) {
  expect_near(run_rule(rules::multislerp(), weighted({{2, 0}, {-4, 0}}, {1, 1})), {-1, 0}, 1e-15);
  const double s = std::sqrt(0.75);
  DriverTensor three = weighted({{1, 0}, {-0.5, s}, {-0.5, -s}}, {1, 1, 1});
  three.parameters = {{"eps", 1e-6}};  // the members are rounded to float
  EXPECT_NE(merge_error(rules::multislerp(), three).find("cancel out"), std::string::npos);
  EXPECT_NE(merge_error(rules::multislerp(), weighted({{1, 0}, {0, 1}}, {1, -1}))
                .find("cannot be normalised"),
            std::string::npos);
}

// From products of pairs the length of the mean would come out as noise.
TEST(MultislerpRule, DirectionsThatNearlyCancelKeepTheirMean) {
  constexpr double kTiny = 0x1p-20;
  const double mean = 0.5 * (std::sqrt(1 + kTiny * kTiny) + 1);
  expect_near(run_rule(rules::multislerp(), weighted({{1, kTiny}, {-1, 0}}, {1, 1})), {0, mean},
              1e-6);
}

TEST(MultislerpRule, WhereNoMemberMovedTheBaseStays) {
  DriverTensor tensor = weighted({{1, 2}, {1, 2}, {1, 2}}, {1, 1, 1});
  tensor.base = Values{1, 2};
  EXPECT_EQ(run_rule(rules::multislerp(), tensor), (Values{1, 2}));
}

TEST(KarcherRule, MeanOfTheOctantIsItsDiagonal) {
  // By symmetry the mean of the three axes is the diagonal; norms 1, 2, 3: mean 2.
  const double each = 2 / std::sqrt(3.0);
  expect_near(run_rule(rules::karcher(), vector_tensor({{1, 0, 0}, {0, 2, 0}, {0, 0, 3}})),
              {each, each, each}, 1e-6);
}

TEST(KarcherRule, MinimisesTheSumOfSquaredAnglesWhereTheMeanDoesNot) {
  // On a circle the Karcher mean has the mean angle: 0, 10 and 80 degrees give 30.
  const auto at = [](double degrees) {
    const double angle = degrees * std::acos(-1.0) / 180;
    return Values{std::cos(angle), std::sin(angle)};
  };
  expect_near(run_rule(rules::karcher(), vector_tensor({at(0), at(10), at(80)}, {{"tol", 1e-10}})),
              at(30), 1e-7);
}

TEST(KarcherRule, ZeroMembersCountOnlyInTheNorm) {
  expect_near(run_rule(rules::karcher(), vector_tensor({{0, 0}, {0, 2}})), {0, 1}, 1e-12);
  expect_near(run_rule(rules::karcher(), vector_tensor({{0, 0}, {0, 0}})), {0, 0}, 0);
  // Opposite members: the first one's direction at the mean norm.
  expect_near(run_rule(rules::karcher(), vector_tensor({{2, 0}, {-4, 0}})), {3, 0}, 1e-12);
  EXPECT_TRUE(run_rule(rules::karcher(), vector_tensor({{}, {}})).empty());
}

TEST(ModelStockRule, RatioFollowsTheMeanCosine) {
  // Two task vectors at 60 degrees: t = 2 (1/2) / (1 + 1/2) = 2/3.
  const double s = std::sqrt(0.75);
  const DriverTensor tensor = vector_tensor({{3, 1}, {2, 1 + 2 * s}}, {}, Values{1, 1});
  expect_near(run_rule(rules::model_stock(), tensor), {1 + (2.0 / 3) * 1.5, 1 + (2.0 / 3) * s},
              1e-6);
}

TEST(ModelStockRule, OrthogonalTaskVectorsGiveTheBaseAndEqualOnesTheMember) {
  expect_near(run_rule(rules::model_stock(),
                       vector_tensor({{2, 1, 1}, {1, 2, 1}, {1, 1, 2}}, {}, Values{1, 1, 1})),
              {1, 1, 1}, 1e-12);
  const Values x = random_values(50, 3);
  expect_near(run_rule(rules::model_stock(), vector_tensor({x, x}, {}, random_values(50, 4))), x,
              1e-12);
}

TEST(ModelStockRule, FilterWiseEveryRowHasItsOwnRatio) {
  // First row orthogonal: base. Second row equal: the members.
  DriverTensor tensor =
      vector_tensor({{1, 0, 2, 2}, {0, 1, 2, 2}}, {{"filter_wise", true}}, Values{0, 0, 1, 1});
  tensor.shape = {2, 2};
  expect_near(run_rule(rules::model_stock(), tensor), {0, 0, 2, 2}, 1e-12);
}

TEST(ModelStockRule, OpposedTaskVectorsAreAnErrorThatNamesThePlace) {
  EXPECT_NE(merge_error(rules::model_stock(), vector_tensor({{1, 0}, {-1, 0}}, {}, Values{0, 0}))
                .find("tensor 'w'"),
            std::string::npos);
  DriverTensor rows =
      vector_tensor({{1, 2, 1, 0}, {1, 2, -1, 0}}, {{"filter_wise", true}}, Values{0, 0, 0, 0});
  rows.shape = {2, 2};
  EXPECT_NE(merge_error(rules::model_stock(), rows).find("row 1 of tensor 'w'"), std::string::npos);
}

RC_GTEST_PROP(SphericalRules, DoNotDependOnTheOrderOfMembers, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1 << 30);
  const auto count = *rc::gen::inRange<std::size_t>(2, 200);
  const std::vector<Values> members = random_members(4, count, seed);
  const std::vector<Values> turned{members[2], members[0], members[3], members[1]};
  const Values base = random_values(count, seed + 17);
  for (const MergeRule* rule : {&rules::karcher(), &rules::multislerp(), &rules::model_stock()}) {
    DriverTensor first = vector_tensor(members, {}, base);
    DriverTensor second = vector_tensor(turned, {}, base);
    if (rule == &rules::multislerp()) {
      first.member_parameters = weights({0.1, 0.2, 0.3, 0.4});
      second.member_parameters = weights({0.3, 0.1, 0.4, 0.2});
    }
    if (rule == &rules::karcher()) first.base = second.base = std::nullopt;
    const Values a = run_rule(*rule, first);
    const Values b = run_rule(*rule, second);
    for (std::size_t i = 0; i < count; ++i) RC_ASSERT(std::abs(a[i] - b[i]) < 1e-9);
  }
}

TEST(SphericalRules, GiveTheSameBitsForAnyThreads) {
  const std::size_t count = 2 * kBlockElements * kLeafBlocks + 5;
  const std::vector<Values> members = random_members(3, count, 8);
  const Values base = random_values(count, 99);
  expect_thread_invariance(rules::karcher(), vector_tensor(members));
  expect_thread_invariance(rules::model_stock(), vector_tensor(members, {}, base));
  DriverTensor tensor = vector_tensor(members, {}, base);
  tensor.member_parameters = weights({1, 2, 3});
  expect_thread_invariance(rules::multislerp(), tensor);
}

}  // namespace
}  // namespace amalgam
