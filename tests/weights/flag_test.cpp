#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <limits>
#include <numeric>

#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/flag_subspace.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "tests/weights/rule_checks.hpp"

namespace amalgam {
namespace {

using namespace amalgam::testing;

SmallMatrix gram_of(const std::vector<Values>& g) {
  SmallMatrix gram(g.size());
  for (std::size_t i = 0; i < g.size(); ++i) {
    for (std::size_t j = 0; j < g.size(); ++j) gram(i, j) = inner_product(g[i], g[j]);
  }
  return gram;
}

Values combine(const FlagResult& result, const std::vector<Values>& g) {
  Values sum(g.front().size());
  for (std::size_t i = 0; i < g.size(); ++i) {
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += result.weights[i] * g[i][k];
  }
  return sum;
}

Values aggregate(const std::vector<Values>& g, const FlagOptions& options) {
  return combine(flag_aggregate(gram_of(g), options), g);
}

TEST(FlagAggregator, TwoDirectionsMeetAtTheirBisector) {
  // 60 degrees apart: v = cos^2 30 = 3/4 for both. Projecting their sum (3/2, sqrt(3)/2) on the
  // bisector leaves it as it is; norm 1, half of it.
  const std::vector<Values> g{{1, 0}, {0.5, std::sqrt(0.75)}};
  const FlagResult result = flag_aggregate(gram_of(g), {.subspace = 1});
  expect_near(result.explained, {0.75, 0.75}, 1e-12);
  expect_near(result.singular_values, {std::sqrt(1.5), std::sqrt(0.5)}, 1e-12);
  expect_near(combine(result, g), {0.75, std::sqrt(0.75) / 2}, 1e-12);
  // A fixed point: both members get the same weight again.
  expect_near(result.objective, Values(2, 2 * std::sqrt(0.25 + 1e-7)), 1e-12);
}

TEST(FlagAggregator, LeavesOutWhatMostDoNotShare) {
  const std::vector<Values> g{{1, 0}, {1, 0}, {0, 5}};
  expect_near(flag_aggregate(gram_of(g), {.subspace = 1}).explained, {1, 1, 0}, 1e-12);
  expect_near(aggregate(g, {.subspace = 1, .scaling = FlagScaling::raw}), {2.0 / 3, 0}, 1e-12);
  expect_near(aggregate(g, {.subspace = 1}), {2.0 / 3, 0}, 1e-12);
  expect_near(aggregate(g, {.subspace = 1, .scaling = FlagScaling::unit_m}), {2, 0}, 1e-12);
}

RC_GTEST_PROP(FlagAggregator, DoesNotSeeNormsNorSigns, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1 << 30);
  const auto m = *rc::gen::inRange<std::size_t>(1, 6);
  const double lambda = *rc::gen::inRange(0, 2);
  const std::vector<Values> g = random_members(5, 30, seed);
  std::vector<Values> larger = g;
  for (double& value : larger[1]) value *= 1000;
  std::vector<Values> flipped = g;
  for (double& value : flipped[3]) value = -value;
  const FlagOptions unit{.subspace = m, .lambda = lambda, .scaling = FlagScaling::unit_m};
  const FlagResult a = flag_aggregate(gram_of(g), unit);
  const FlagResult b = flag_aggregate(gram_of(larger), unit);
  const Values merged = combine(a, g);
  const Values merged_larger = combine(b, larger);
  for (std::size_t k = 0; k < merged.size(); ++k) {
    RC_ASSERT(std::abs(merged[k] - merged_larger[k]) < 1e-6);
  }
  for (std::size_t i = 0; i < 5; ++i) RC_ASSERT(std::abs(a.explained[i] - b.explained[i]) < 1e-6);
  if (lambda == 0) {  // differences of members do see signs
    const FlagResult c = flag_aggregate(gram_of(flipped), unit);
    for (std::size_t i = 0; i < 5; ++i) {
      RC_ASSERT(std::abs(a.explained[i] - c.explained[i]) < 1e-6);
    }
  }
  if (m < 5) {
    const FlagOptions raw{.subspace = m, .scaling = FlagScaling::raw};
    const Values small = aggregate(g, raw);
    const Values large = aggregate(larger, raw);
    double change = 0;
    for (std::size_t k = 0; k < small.size(); ++k) change += std::abs(small[k] - large[k]);
    RC_ASSERT(change > 0.01);
  }
}

TEST(FlagAggregator, SpanningEverythingIsTheMean) {
  for (const std::size_t m : {3, 4}) {
    const std::vector<Values> g = random_members(m, 3, 11);
    const FlagResult result =
        flag_aggregate(gram_of(g), {.subspace = m, .scaling = FlagScaling::raw});
    const Values merged = combine(result, g);
    for (std::size_t i = 0; i < m; ++i) EXPECT_NEAR(result.explained[i], 1, 1e-10);
    for (std::size_t k = 0; k < 3; ++k) {
      double mean = 0;
      for (const Values& member : g) mean += member[k] / static_cast<double>(m);
      EXPECT_NEAR(merged[k], mean, 1e-6);
    }
  }
}

// The subspace by thin singular value decompositions of the d x columns matrix itself.
Eigen::MatrixXd dense_projector(const std::vector<Values>& g, std::size_t m, double lambda,
                                bool raw_pairs, std::size_t iterations) {
  const auto p = static_cast<long>(g.size());
  const auto d = static_cast<long>(g.front().size());
  Eigen::MatrixXd all(d, p);
  for (long i = 0; i < p; ++i) {
    for (long k = 0; k < d; ++k) {
      all(k, i) = g[static_cast<std::size_t>(i)][static_cast<std::size_t>(k)];
    }
  }
  const Eigen::MatrixXd unit = all.colwise().normalized();
  const Eigen::MatrixXd& paired = raw_pairs ? all : unit;
  std::vector<Eigen::VectorXd> columns;
  std::vector<double> importance;
  for (long i = 0; i < p; ++i) {
    columns.emplace_back(unit.col(i));
    importance.push_back(1);
  }
  for (long i = 0; i < p && lambda > 0; ++i) {
    for (long j = i + 1; j < p; ++j) {
      columns.emplace_back((paired.col(i) - paired.col(j)).normalized());
      importance.push_back(2 * lambda / static_cast<double>(p * (p - 1)));
    }
  }
  std::vector<double> weights = importance;
  Eigen::MatrixXd best;
  double best_objective = std::numeric_limits<double>::infinity();
  for (std::size_t iteration = 0; iteration < iterations; ++iteration) {
    Eigen::MatrixXd weighted(d, static_cast<long>(columns.size()));
    for (std::size_t c = 0; c < columns.size(); ++c) {
      weighted.col(static_cast<long>(c)) = std::sqrt(weights[c]) * columns[c];
    }
    const Eigen::JacobiSVD<Eigen::MatrixXd> svd(weighted, Eigen::ComputeThinU);
    const Eigen::MatrixXd y = svd.matrixU().leftCols(static_cast<long>(m));
    double objective = 0;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const double v = std::min(1.0, (y.transpose() * columns[c]).squaredNorm());
      weights[c] = importance[c] / std::sqrt(1 - v + 1e-7);
      objective += importance[c] * std::sqrt(1 - v + 1e-7);
    }
    if (objective < best_objective) best = y * y.transpose();
    if (best_objective - objective < 1e-10) break;
    best_objective = objective;
  }
  return best;
}

TEST(FlagAggregator, GramPathEqualsADenseSingularValueDecomposition) {
  constexpr long kDimension = 50;
  constexpr long kMembers = 7;
  const std::vector<Values> g = random_members(kMembers, kDimension, 21);
  Eigen::MatrixXd unit(kDimension, kMembers);
  for (long i = 0; i < kMembers; ++i) {
    for (long k = 0; k < kDimension; ++k) {
      unit(k, i) = g[static_cast<std::size_t>(i)][static_cast<std::size_t>(k)];
    }
  }
  unit.colwise().normalize();
  for (std::size_t m = 1; m <= 7; ++m) {
    for (const double lambda : {0.0, 1.0}) {
      for (const bool raw_pairs : {false, true}) {
        const FlagResult result =
            flag_aggregate(gram_of(g), {.subspace = m, .lambda = lambda, .raw_pairs = raw_pairs});
        Eigen::MatrixXd inner(kMembers, kMembers);
        for (long i = 0; i < kMembers; ++i) {
          for (long j = 0; j < kMembers; ++j) {
            inner(i, j) =
                result.projector(static_cast<std::size_t>(i), static_cast<std::size_t>(j));
          }
        }
        const Eigen::MatrixXd projector = unit * inner * unit.transpose();
        const Eigen::MatrixXd expected = dense_projector(g, m, lambda, raw_pairs, 5);
        EXPECT_LT((projector - expected).cwiseAbs().maxCoeff(), 1e-8) << m << ' ' << lambda;
      }
    }
  }
}

TEST(FlagAggregator, EveryFitWeighsByTheInverseSineOfTheOneBefore) {
  // Directions at 0, 20 and 100 degrees, m = 1: the reweighted fits turn towards the first two. The
  // line of the k-th fit at angle t maximises sum_i w_i cos^2(t - a_i), w_i = 1/|sin(t_before -
  // a_i)|, so 2t is the angle of sum_i w_i (cos 2 a_i, sin 2 a_i).
  const double angles[] = {0, std::acos(-1.0) / 9, std::acos(-1.0) * 5 / 9};
  std::vector<Values> g;
  for (const double angle : angles) g.push_back({std::cos(angle), std::sin(angle)});
  double line = 0;
  double weights[] = {1, 1, 1};
  for (std::size_t fits = 1; fits <= 2; ++fits) {
    double x = 0;
    double y = 0;
    for (int i = 0; i < 3; ++i) {
      x += weights[i] * std::cos(2 * angles[i]);
      y += weights[i] * std::sin(2 * angles[i]);
    }
    line = std::atan2(y, x) / 2;
    Values explained;
    for (int i = 0; i < 3; ++i) {
      const double v = std::pow(std::cos(line - angles[i]), 2);
      explained.push_back(v);
      weights[i] = 1 / std::sqrt(1 - v + 1e-7);
    }
    const FlagResult result = flag_aggregate(gram_of(g), {.subspace = 1, .iterations = fits});
    ASSERT_EQ(result.objective.size(), fits);
    expect_near(result.explained, explained, 1e-9);
  }
}

RC_GTEST_PROP(FlagAggregator, ObjectiveNeverRises, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1 << 30);
  const auto m = *rc::gen::inRange<std::size_t>(1, 8);
  const double lambda = *rc::gen::inRange(0, 3);
  const auto g = random_members(8, 12, seed);
  const FlagResult result =
      flag_aggregate(gram_of(g), {.subspace = m, .lambda = lambda, .iterations = 20});
  for (std::size_t i = 1; i < result.objective.size(); ++i) {
    RC_ASSERT(result.objective[i] <= result.objective[i - 1] + 1e-9);
  }
  for (const double v : result.explained) RC_ASSERT(v >= 0 && v <= 1);
}

TEST(FlagAggregator, BetaLikelihoodOfTheQualities) {
  EXPECT_NEAR(beta_log_likelihood(Values{0.75}, 1, 0.5), 0, 1e-12);            // density 1
  EXPECT_NEAR(beta_log_likelihood(Values{0}, 1, 0.5), -std::log(2.0), 1e-12);  // density 1/2
  EXPECT_NEAR(beta_log_likelihood(Values{0.5, 0.5}, 2, 2), 2 * std::log(1.5), 1e-12);
}

// 12 honest directions with mutual cosine c and 3 colluders with mutual cosine 3/4, orthogonal.
FlagResult fit_colluders(double c) {
  SmallMatrix gram(15);
  for (std::size_t i = 0; i < 15; ++i) {
    for (std::size_t j = 0; j < 15; ++j) {
      if (i == j) gram(i, j) = 1;
      if (i != j && i < 12 && j < 12) gram(i, j) = c;
      if (i != j && i >= 12 && j >= 12) gram(i, j) = 0.75;
    }
  }
  return flag_aggregate(gram, {.subspace = 1, .iterations = 1});
}

TEST(FlagAggregator, OneDimensionRejectsColludersUnlessTheyAgreeMore) {
  // The largest eigenvalues are 11 c + 1 and 2.5.
  const FlagResult rejected = fit_colluders(0.14);
  EXPECT_NEAR(rejected.singular_values[0], std::sqrt(11 * 0.14 + 1), 1e-12);
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_NEAR(rejected.explained[i], (11 * 0.14 + 1) / 12, 1e-12);
  }
  for (std::size_t i = 12; i < 15; ++i) EXPECT_NEAR(rejected.explained[i], 0, 1e-12);
  const FlagResult captured = fit_colluders(0.13);
  EXPECT_NEAR(captured.singular_values[0], std::sqrt(2.5), 1e-12);
  EXPECT_NEAR(captured.explained[14], 2.5 / 3, 1e-12);
  EXPECT_NEAR(captured.explained[0], 0, 1e-12);
}

TEST(FlagAggregator, DegenerateMembers) {
  const FlagResult zeros = flag_aggregate(SmallMatrix(3), {.subspace = 2});
  EXPECT_EQ(zeros.weights, Values(3));
  EXPECT_EQ(zeros.explained, Values(3));
  const std::vector<Values> one{{3, 4}};
  for (const FlagScaling scaling : {FlagScaling::unit, FlagScaling::raw}) {
    expect_near(aggregate(one, {.scaling = scaling}), {3, 4}, 1e-12);
  }
  // A zero member has no direction, but is one of the three that the mean is over.
  const std::vector<Values> some{{3, 4}, {0, 0}, {3, 4}};
  expect_near(aggregate(some, {.subspace = 1}), {2, 8.0 / 3}, 1e-12);
  EXPECT_EQ(flag_aggregate(gram_of(some), {.subspace = 1}).explained[1], 0);
  // Duplicates have no difference to preserve.
  expect_near(aggregate(some, {.subspace = 1, .lambda = 2}), {2, 8.0 / 3}, 1e-12);
}

TEST(FlagAggregator, MembersThatAreNotFiniteAreLeftOut) {
  SmallMatrix gram = gram_of({{1, 0}, {1, 0}, {0, 1}});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (std::size_t i = 0; i < 3; ++i) gram(2, i) = gram(i, 2) = nan;
  const FlagResult result = flag_aggregate(gram, {.subspace = 2});
  EXPECT_EQ(result.excluded, (std::vector<std::size_t>{2}));
  expect_near(result.weights, {0.5, 0.5, 0}, 1e-12);
}

TEST(FlagRule, MergesTaskVectorsAndAddsThemBack) {
  const DriverTensor tensor =
      vector_tensor({{11, 20}, {11, 20}, {10, 25}}, {{"m", 1.0}}, Values{10, 20});
  expect_near(run_rule(rules::flag(), tensor), {10 + 2.0 / 3, 20}, 1e-12);
}

TEST(FlagRule, SubspaceOfTheModelIsOverAllItsTensors) {
  // As the case above, its two coordinates in tensors of their own.
  std::vector<DriverTensor> tensors{vector_tensor({{11}, {11}, {10}}, {{"m", 1.0}}, Values{10}),
                                    vector_tensor({{20}, {20}, {25}}, {{"m", 1.0}}, Values{20})};
  tensors[1].name = "v";
  const auto merged = run_rule(rules::flag(), tensors);
  expect_near(merged[0], {10 + 2.0 / 3}, 1e-12);
  expect_near(merged[1], {20}, 1e-12);
}

TEST(FlagRule, TooLargeASubspaceIsAnError) {
  EXPECT_NE(
      merge_error(rules::flag(), vector_tensor({{1}, {2}}, {{"m", 3.0}}, Values{0})).find("m = 3"),
      std::string::npos);
}

TEST(PairStatistic, ShardsAddUpToTheWhole) {
  const std::vector<Values> members = random_members(5, 4000, 31);
  const auto block_of = [&](std::size_t first, std::size_t count,
                            std::vector<const double*>& pointers) {
    Block<double> block;
    pointers.clear();
    for (const Values& member : members) pointers.push_back(member.data() + first);
    block.first = first;
    block.count = count;
    block.members = pointers;
    return block;
  };
  std::vector<const double*> pointers;
  PairStatistic whole(5, PairSums::products);
  whole.absorb_block(block_of(0, 4000, pointers));
  PairStatistic sum(5, PairSums::products);
  for (std::size_t shard = 0; shard < 4; ++shard) {
    PairStatistic part(5, PairSums::products);
    part.absorb_block(block_of(1000 * shard, 1000, pointers));
    sum.combine_with(part);
  }
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t j = 0; j < 5; ++j) {
      EXPECT_NEAR(sum.matrix()(i, j), whole.matrix()(i, j), 1e-10);
    }
  }
}

}  // namespace
}  // namespace amalgam
