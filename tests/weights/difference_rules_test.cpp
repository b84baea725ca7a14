#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <ranges>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/tensor/simd_targets.hpp"
#include "amalgam/weights/rule.hpp"
#include "amalgam/weights/rules/softmax_divergence.hpp"
#include "tests/weights/rule_checks.hpp"
#include "tests/weights/rule_driver.hpp"

// SCE, arcee_fusion, nearswap, RAM and passthrough: numbers worked by hand, and plain references.
namespace amalgam::testing {
namespace {

DriverTensor from_zero(std::vector<Values> members, Assignments rule = {}) {
  const std::size_t count = members.front().size();
  return vector_tensor(std::move(members), std::move(rule), Values(count, 0.0));
}

Values merged(std::string_view method, const DriverTensor& tensor, DriverOptions options = {}) {
  options.as_double = true;
  return run_rule(find_merge_rule(method), tensor, options);
}

TEST(Sce, WorkedExamples) {
  // Variances (1, 0, 4, 0); equal squares (14), so coefficients .5; the third position is negative.
  const std::vector<Values> members = {{1, 2, -3, 0}, {3, 2, 1, 0}};
  expect_near(merged("sce", from_zero(members)), {2, 2, -3, 0}, 1e-15);
  // Of two positions with variance, half is one: the third. Coefficients .9 and .1 there.
  expect_near(merged("sce", from_zero(members, {{"select_topk", 0.5}})), {0, 0, -3, 0}, 1e-15);
  // Coefficients 9 / 10 and 1 / 10.
  expect_near(merged("sce", from_zero({{3, 0}, {1, 0}})), {2.8, 0}, 1e-15);
  // Squares that are almost nothing: equal coefficients.
  expect_near(merged("sce", from_zero({{3e-4}, {1e-4}})), {2e-4}, 1e-18);
}

TEST(Sce, SelectsNothingWhereNothingVaries) {
  EXPECT_EQ(merged("sce", from_zero({{1, 2}}, {{"select_topk", 0.5}})), (Values{0, 0}));
  EXPECT_EQ(merged("sce", from_zero({{1, 2}, {1, 2}}, {{"select_topk", 0.9}})), (Values{0, 0}));
  EXPECT_EQ(merged("sce", from_zero({{1, 2}, {3, 5}}, {{"select_topk", 0.0}})), (Values{0, 0}));
  EXPECT_EQ(merged("sce", from_zero({{1, 2}})), (Values{1, 2}));
  EXPECT_TRUE(merged("sce", from_zero({{}, {}}, {{"select_topk", 0.5}})).empty());
}

TEST(Sce, EqualsAPlainReference) {
  RandomStream random(31, "sce");
  for (int round = 0; round < 60; ++round) {
    const std::size_t count = 1 + random.below(round == 0 ? 40000 : 300);
    const std::size_t members = 1 + random.below(4);
    const double topk = static_cast<double>(random.below(11)) / 10;
    std::vector<Values> d(members);
    for (Values& values : d) {
      for (std::size_t i = 0; i < count; ++i) {
        values.push_back(static_cast<double>(random.below(5)) - 2);  // frequent equal variances
      }
    }
    const Values out = merged("sce", from_zero(d, {{"select_topk", topk}}), {.threads = 2});

    std::vector<double> variance(count);
    std::size_t nonzero = 0;
    for (std::size_t i = 0; i < count; ++i) {
      double mean = 0;
      for (const Values& values : d) mean += values[i];
      mean /= static_cast<double>(members);
      for (const Values& values : d) variance[i] += (values[i] - mean) * (values[i] - mean);
      variance[i] /= static_cast<double>(members);
      nonzero += variance[i] > 0 ? 1 : 0;
    }
    if (topk < 1) {
      const auto k = static_cast<std::size_t>(std::floor(topk * static_cast<double>(nonzero)));
      std::vector<std::size_t> order(count);
      for (std::size_t i = 0; i < count; ++i) order[i] = i;
      std::stable_sort(order.begin(), order.end(),
                       [&](std::size_t a, std::size_t b) { return variance[a] > variance[b]; });
      for (std::size_t r = k; r < count; ++r) {
        for (Values& values : d) values[order[r]] = 0;
      }
    }
    std::vector<double> share(members);
    double total = 0;
    for (std::size_t m = 0; m < members; ++m) {
      for (const double value : d[m]) share[m] += value * value / static_cast<double>(count);
      total += share[m];
    }
    for (double& each : share)
      each = total < 1e-6 ? 1.0 / static_cast<double>(members) : each / total;
    Values expected(count);
    for (std::size_t i = 0; i < count; ++i) {
      double sum = 0;
      for (const Values& values : d) sum += values[i];
      double top = 0;
      double bottom = 0;
      for (std::size_t m = 0; m < members; ++m) {
        if (sum >= 0 ? d[m][i] <= 0 : d[m][i] >= 0) continue;
        top += share[m] * d[m][i];
        bottom += share[m];
      }
      expected[i] = top / std::max(bottom, 1e-6);
    }
    expect_near(out, expected, 1e-12);
  }
}

TEST(Ram, KeepsWhatOneTouchesAndAveragesWhatSeveralDo) {
  const std::vector<Values> members = {{1, 0, 2, 0, 9e-6}, {0, 4, 4, 0, 0}, {0, 0, 0, 0, 0}};
  EXPECT_EQ(merged("ram", from_zero(members)), (Values{1, 4, 3, 0, 0}));
  EXPECT_EQ(merged("ram", from_zero(members, {{"epsilon", 1e-6}})), (Values{1, 4, 3, 0, 9e-6}));
}

TEST(RamPlus, ScalesWhatOneTouchesByItsOverlap) {
  // Members 1 and 2 touch one position alone and one together: ratio 1, clamped to alpha = .2, so
  // lambda = 1 + .1 * .2 = 1.02; with alpha = 2 it is 1.1.
  const std::vector<Values> members = {{1, 0, 2, 0}, {0, 4, 4, 0}, {0, 0, 0, 0}};
  expect_near(merged("ramplus_tl", from_zero(members)), {1.02, 4.08, 3, 0}, 1e-15);
  expect_near(merged("ramplus_tl", from_zero(members, {{"alpha", 2.0}})), {1.1, 4.4, 3, 0}, 1e-15);
  // Alone with 2 positions, sharing 1: ratio .5.
  expect_near(merged("ramplus_tl", from_zero({{1, 1, 1}, {0, 0, 3}}, {{"alpha", 2.0}, {"r", 1.0}})),
              {1.5, 1.5, 2}, 1e-15);
}

TEST(RamPlus, CountsOverAllBlocks) {
  // 30000 positions touched by the first alone, 10000 by both: ratio 1 / 3.
  Values first(40000, 3.0);
  Values second(40000, 0.0);
  std::fill(second.begin() + 30000, second.end(), 5.0);
  const DriverTensor tensor = from_zero({first, second}, {{"alpha", 1.0}, {"r", 0.3}});
  const Values out = merged("ramplus_tl", tensor, {.threads = 3});
  EXPECT_NEAR(out[0], 3.3, 1e-12);
  EXPECT_EQ(out[39999], 4.0);
}

TEST(Nearswap, TakesWhatIsNear) {
  DriverTensor tensor = from_zero({{1, 0.25, -2, 0, 0.5}}, {{"t", 0.5}});
  // w = .5, 1, .25, 1 (nothing apart), 1.
  expect_near(merged("nearswap", tensor), {0.5, 0.25, -0.5, 0, 0.5}, 1e-15);
  tensor.base = Values{3, 3, 3, 3, 3};
  // |d| = 2, 2.75, 5, 3, 2.5: w = 1/4, 2/11, 1/10, 1/6, 1/5 and out = 3 - w |d| = 2.5.
  expect_near(merged("nearswap", tensor), Values(5, 2.5), 1e-14);
}

TEST(Passthrough, CopiesOrScales) {
  DriverTensor tensor = vector_tensor({{1, -0.0, 3}});
  EXPECT_EQ(merged("passthrough", tensor), (Values{1, -0.0, 3}));
  tensor.member_parameters = {{{"scale", 0.5}}};
  EXPECT_EQ(merged("passthrough", tensor), (Values{0.5, -0.0, 1.5}));
}

template <class T>
long double plain_divergence(const std::vector<T>& x, const std::vector<T>& b) {
  const auto softmax = [](const std::vector<T>& values) {
    const T largest = *std::max_element(values.begin(), values.end());
    std::vector<long double> p;
    long double sum = 0;
    for (const T value : values) {
      p.push_back(std::exp(static_cast<long double>(value) - largest));
      sum += p.back();
    }
    for (long double& each : p) each = each / sum + 1e-8L;
    return p;
  };
  const auto p = softmax(x);
  const auto q = softmax(b);
  long double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) sum += p[i] * std::log(p[i] / q[i]);
  return sum;
}

TEST(SoftmaxDivergence, EqualsTheFormula) {
  RandomStream random(32, "divergence");
  std::vector<double> scratch;
  for (const double spread : {1e-3, 0.1, 1.0, 10.0, 300.0, 2000.0}) {
    for (const std::size_t count : {1U, 2U, 15U, 16U, 17U, 100U, 1000U}) {
      std::vector<float> x(count);
      std::vector<float> b(count);
      for (float& value : x) value = static_cast<float>(spread * random.normal());
      for (float& value : b) value = static_cast<float>(spread * random.normal());
      const auto expected = static_cast<double>(plain_divergence(x, b));
      const double found = rules::softmax_divergence(std::span<const float>(x), b.data(), scratch);
      // Terms of order p cancel down to spread^2 / 2: relative to them, not to the result.
      EXPECT_NEAR(found, expected, 1e-13 * (1 + expected)) << spread << " " << count;
    }
  }
}

// Where changes are small, terms of order p cancel down to those of order p d^2. In long double,
// with p - q taken off every term, which adds up to nothing.
template <class T>
long double divergence_without_cancelling(const std::vector<T>& x, const std::vector<T>& b) {
  const auto shares = [](const std::vector<T>& values) {
    const T largest = *std::max_element(values.begin(), values.end());
    std::vector<long double> p;
    for (const T value : values) p.push_back(std::exp(static_cast<long double>(value) - largest));
    const long double sum = std::accumulate(p.begin(), p.end(), 0.0L);
    for (long double& each : p) each /= sum;
    return p;
  };
  const auto p = shares(x);
  const auto q = shares(b);
  long double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const long double difference = p[i] - q[i];
    sum += (p[i] + 1e-8L) * std::log1p(difference / (q[i] + 1e-8L)) - difference;
  }
  return sum;
}

template <class T>
void expect_small_divergences() {
  RandomStream random(34, "small divergence");
  std::vector<double> scratch;
  // Ranges of the base below and above 1/2; changes up to where the general formula takes over.
  for (const double spread : {0.02, 0.3, 3.0}) {
    for (const double change : {3e-4, 1e-3, 0.01, 0.015, 0.03}) {
      for (const std::size_t count : {2U, 15U, 16U, 33U, 1000U}) {
        std::vector<T> x(count);
        std::vector<T> b(count);
        for (std::size_t i = 0; i < count; ++i) {
          b[i] = static_cast<T>(spread * random.normal());
          x[i] = b[i] + static_cast<T>(change * random.normal());
        }
        const auto expected = static_cast<double>(divergence_without_cancelling(x, b));
        const double found = rules::softmax_divergence(std::span<const T>(x), b.data(), scratch);
        const bool general =
            std::ranges::any_of(std::views::iota(std::size_t{0}, count),
                                [&](auto i) { return std::abs(x[i] - b[i]) > 1.0 / 16; });
        EXPECT_NEAR(found, expected, general ? 1e-13 : 2e-11 * expected)
            << spread << " " << change << " " << count;
      }
    }
  }
}

TEST(SoftmaxDivergence, SmallChangesLoseNoDigits) {
  expect_small_divergences<float>();
  expect_small_divergences<double>();
}

// Rows that differ by a constant have one softmax.
TEST(SoftmaxDivergence, AShiftIsNoChange) {
  RandomStream random(35, "shift");
  std::vector<double> scratch;
  for (const double spread : {0.1, 2.0}) {
    std::vector<double> b(100);
    for (double& value : b) value = std::round(spread * 1024 * random.normal()) / 1024;
    std::vector<double> x = b;
    for (double& value : x) value += 1.0 / 32;
    EXPECT_LT(rules::softmax_divergence(std::span<const double>(x), b.data(), scratch), 1e-30);
    EXPECT_EQ(rules::softmax_divergence(std::span<const double>(b), b.data(), scratch), 0.0);
    // One element is all there is.
    EXPECT_EQ(rules::softmax_divergence(std::span<const double>(x).first(1), b.data(), scratch), 0);
  }
}

TEST(SoftmaxDivergence, EverySimdTargetGivesTheSameBits) {
  RandomStream random(36, "targets");
  std::vector<double> scratch;
  for (const double spread : {0.02, 1.0}) {
    for (const double change : {0.01, 1.0}) {
      std::vector<float> b(1003);
      std::vector<float> x(1003);
      for (std::size_t i = 0; i < b.size(); ++i) {
        b[i] = static_cast<float>(spread * random.normal());
        x[i] = b[i] + static_cast<float>(change * random.normal());
      }
      std::vector<double> found;
      for_each_simd_target([&](const std::string& /*name*/) {
        found.push_back(rules::softmax_divergence(std::span<const float>(x), b.data(), scratch));
      });
      for (const double value : found) EXPECT_EQ(value, found.front()) << spread << " " << change;
    }
  }
}

TEST(SoftmaxDivergence, WorkedExample) {
  // softmax(ln 3, 0) = (3/4, 1/4), softmax(0, 0) = (1/2, 1/2): .75 ln 1.5 + .25 ln .5.
  std::vector<double> scratch;
  const std::vector<double> x = {std::log(3.0), 0.0};
  const std::vector<double> b = {0.0, 0.0};
  EXPECT_NEAR(rules::softmax_divergence(std::span<const double>(x), b.data(), scratch),
              0.75 * std::log(1.5) + 0.25 * std::log(0.5), 1e-8);
  EXPECT_EQ(rules::softmax_divergence(std::span<const double>(b), b.data(), scratch), 0.0);
}

TEST(ArceeFusion, TakesOverWhatLiesAboveTheThreshold) {
  RandomStream random(33, "arcee");
  for (const Shape& shape :
       {Shape{6, 7}, Shape{40}, Shape{3, 2, 5}, Shape{200, 90}, Shape{70, 300}, Shape{1, 3}}) {
    const auto count = static_cast<std::size_t>(element_count(shape, "test"));
    const auto row = static_cast<std::size_t>(row_length(shape));
    DriverTensor tensor;
    tensor.shape = shape;
    tensor.base = Values(count);
    tensor.members = {Values(count)};
    for (double& value : *tensor.base) value = random.normal();
    for (double& value : tensor.members[0]) value = random.normal();
    std::vector<double> importance;
    for (std::size_t first = 0; first < count; first += row) {
      const auto begin = static_cast<std::ptrdiff_t>(first);
      const auto end = static_cast<std::ptrdiff_t>(first + row);
      const std::vector<double> x(tensor.members[0].begin() + begin,
                                  tensor.members[0].begin() + end);
      const std::vector<double> b(tensor.base->begin() + begin, tensor.base->begin() + end);
      const auto divergence = static_cast<double>(plain_divergence(x, b));
      for (std::size_t i = 0; i < row; ++i)
        importance.push_back(std::abs(x[i] - b[i]) * divergence);
    }
    std::vector<double> sorted = importance;
    std::sort(sorted.begin(), sorted.end());
    const auto quantile = [&](double q) {
      return sorted[static_cast<std::size_t>(std::floor(q * static_cast<double>(count - 1)))];
    };
    const double threshold = quantile(0.5) + 1.5 * (quantile(0.75) - quantile(0.25));
    const Values out = merged("arcee_fusion", tensor, {.threads = 2});
    // Without memory for what one pass leaves to the next.
    EXPECT_EQ(merged("arcee_fusion", tensor, {.statistics_memory = 10}), out);
    std::size_t taken = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const double b = (*tensor.base)[i];
      const bool expected = importance[i] >= threshold;
      taken += expected ? 1 : 0;
      EXPECT_EQ(out[i], expected ? b + (tensor.members[0][i] - b) : b) << i;
    }
    if (count > 10) EXPECT_GT(taken, 0U);
    EXPECT_LT(taken, count);
  }
}

TEST(ArceeFusion, WhatEqualsTheThresholdOfARowIsTaken) {
  const Values changes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 14, 16};
  DriverTensor tensor{.shape = {13}, .members = {{}}, .base = Values{}};
  RandomStream random(37, "equal");
  for (std::size_t i = 0; i < changes.size(); ++i) {
    tensor.base->push_back(std::round(100 * random.normal()) / 64);
    tensor.members[0].push_back(tensor.base->back() + (i % 2 == 0 ? 1 : -1) * changes[i] / 64);
  }
  // Sorted: 1 ... 10, 14, 15, 16, of which numbers 3, 6 and 9 (from 0) are 4, 7 and 10: 7 + 9 = 16.
  const Values out = merged("arcee_fusion", tensor);
  for (std::size_t i = 0; i < changes.size(); ++i) {
    EXPECT_EQ(out[i], changes[i] == 16 ? tensor.members[0][i] : (*tensor.base)[i]) << changes[i];
  }
}

TEST(ArceeFusion, OneElementRowsAndEqualTensors) {
  // The softmax of one element is 1 whatever it is: no divergence, all importances 0, all taken.
  DriverTensor scalar{.shape = {}, .members = {{3}}, .base = Values{1}};
  EXPECT_EQ(merged("arcee_fusion", scalar), Values{3});
  DriverTensor equal{.shape = {2, 2}, .members = {{1, -0.0, 3, 4}}, .base = Values{1, -0.0, 3, 4}};
  const Values out = merged("arcee_fusion", equal);
  EXPECT_EQ(out, (Values{1, 0, 3, 4}));
  EXPECT_TRUE(std::signbit(out[1]));
  DriverTensor empty{.shape = {0, 3}, .members = {{}}, .base = Values{}};
  EXPECT_TRUE(merged("arcee_fusion", empty).empty());
}

TEST(DifferenceRules, AreTheSameForAnyNumberOfThreadsAndBothTypes) {
  for (const std::string name : {"sce", "arcee_fusion", "ram", "ramplus_tl", "nearswap"}) {
    const MergeRule& rule = find_merge_rule(name);
    const std::size_t members = std::min<std::size_t>(3, rule.info().max_members);
    DriverTensor tensor;
    tensor.shape = {30, 5000};
    tensor.base = random_values(150000, 50);
    tensor.members = random_members(members, 150000, 51);
    if (name == "sce") tensor.parameters = {{"select_topk", 0.3}};
    if (name == "nearswap") tensor.parameters = {{"t", 0.1}};
    const Values single = run_rule(rule, tensor);
    EXPECT_EQ(run_rule(rule, tensor, {.threads = 3}), single) << name;
    // Differences of doubles are exact here, those of floats rounded.
    expect_near(run_rule(rule, tensor, {.as_double = true}), single, 1e-6);
  }
}

}  // namespace
}  // namespace amalgam::testing
