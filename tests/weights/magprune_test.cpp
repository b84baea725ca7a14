#include "amalgam/weights/rules/magprune.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/weights/rule.hpp"
#include "tests/weights/rule_checks.hpp"
#include "tests/weights/rule_driver.hpp"

namespace amalgam::rules {
namespace {

constexpr std::uint32_t kDropped = ~std::uint32_t{0};

std::uint32_t key_of(float value) { return std::bit_cast<std::uint32_t>(std::abs(value)); }

// By its definition: sort, then compare every draw with the probability of its rank.
template <class Key>
std::vector<std::uint32_t> reference(const std::vector<Key>& keys, std::size_t row, double density,
                                     double epsilon, std::vector<std::uint32_t> words) {
  for (std::size_t first = 0; first < keys.size(); first += row) {
    std::vector<std::size_t> order(row);
    std::iota(order.begin(), order.end(), first);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
    for (std::size_t r = 0; r < row; ++r) {
      const double p = row == 1 ? density
                                : (density - epsilon) + 2 * epsilon * static_cast<double>(r) /
                                                            static_cast<double>(row - 1);
      std::uint32_t& word = words[order[r]];
      word = word * 0x1p-32 < p ? 0 : kDropped;
    }
  }
  return words;
}

template <class Key>
void expect_same(const std::vector<Key>& keys, std::size_t row, double density, double epsilon,
                 RandomStream& random) {
  std::vector<std::uint32_t> words(keys.size());
  for (std::uint32_t& word : words) word = random.next();
  const auto expected = reference(keys, row, density, epsilon, words);
  RankScratch scratch;
  magprune(std::span<const Key>(keys), row, density, epsilon, words, scratch);
  ASSERT_EQ(words, expected) << "row " << row << " density " << density;
}

TEST(Magprune, EqualsSortingForAnyRows) {
  RandomStream random(21, "magprune");
  for (int round = 0; round < 300; ++round) {
    const std::size_t row = 1 + random.below(300);
    const std::size_t rows = 1 + random.below(4);
    const int kind = static_cast<int>(random.below(5));
    std::vector<std::uint32_t> narrow(row * rows);
    std::vector<std::uint64_t> wide(row * rows);
    for (std::size_t i = 0; i < narrow.size(); ++i) {
      float value = static_cast<float>(random.normal());
      if (kind == 1) value = static_cast<float>(random.below(4));
      if (kind == 2) value = 0;
      if (kind == 3) value = std::ldexp(1.0F, -static_cast<int>(random.below(149)));
      if (kind == 4 && random.below(4) == 0) value = std::numeric_limits<float>::infinity();
      narrow[i] = key_of(value);
      wide[i] = std::bit_cast<std::uint64_t>(std::abs(static_cast<double>(value) / 3));
    }
    expect_same(narrow, row, 0.5, 0.3, random);
    expect_same(wide, row, 0.3, 0.2, random);
    expect_same(narrow, row, 0.7, 0.0, random);
  }
}

// Rows whose buckets are as they come seldom: one of nearly all elements, because others are larger
// by far; or many equal keys, alone or together with others.
TEST(Magprune, EqualsSortingForLongRowsOfUnevenMagnitudes) {
  RandomStream random(22, "magprune");
  for (int round = 0; round < 40; ++round) {
    const std::size_t row = 1000 + random.below(3000);
    const int kind = round % 5;
    std::vector<std::uint32_t> narrow(row);
    std::vector<std::uint64_t> wide(row);
    for (std::size_t i = 0; i < row; ++i) {
      float value = static_cast<float>(random.normal());
      if (kind == 0 && i % 500 == 7) value *= 1e9F;
      if (kind == 1 && random.below(3) > 0) value = 0;
      if (kind == 2) value = static_cast<float>(random.below(4)) + 1e-4F * value;
      if (kind == 3 && random.below(2) == 0) value = 1;
      if (kind == 4) value = static_cast<float>(random.below(12));
      narrow[i] = key_of(value);
      wide[i] = std::bit_cast<std::uint64_t>(std::abs(static_cast<double>(value) / 3));
    }
    expect_same(narrow, row, 0.5, 0.3, random);
    expect_same(wide, row, 0.4, 0.15, random);
  }
}

TEST(Della, KeepProbabilitiesRiseWithTheRank) {
  // Rows of five elements of magnitudes 1 < 2 < ... < 5; p = .5, epsilon = .2: kept with
  // probability .3, .4, .5, .6, .7. 60000 rows: 3 sigma is below .0061.
  constexpr std::size_t kRows = 60000;
  amalgam::testing::DriverTensor tensor;
  tensor.shape = {kRows, 5};
  tensor.members.emplace_back();
  for (std::size_t i = 0; i < kRows; ++i) {
    for (const double value : {3.0, -1.0, 5.0, 2.0, -4.0}) tensor.members[0].push_back(value);
  }
  tensor.base = std::vector<double>(5 * kRows, 0.0);
  tensor.member_parameters = {{{"weight", 1.0}, {"density", 0.5}, {"epsilon", 0.2}}};
  tensor.parameters = {{"rescale", std::string("false")}};
  const auto out = amalgam::testing::run_rule(find_merge_rule("della_linear"), tensor);
  const std::vector<double> expected = {0.5, 0.3, 0.7, 0.4, 0.6};
  for (std::size_t column = 0; column < 5; ++column) {
    double kept = 0;
    for (std::size_t r = 0; r < kRows; ++r) kept += out[5 * r + column] != 0 ? 1 : 0;
    EXPECT_NEAR(kept / kRows, expected[column], 0.0061) << column;
  }
}

TEST(Della, DensityZeroDropsAndOneKeepsEverything) {
  amalgam::testing::DriverTensor tensor;
  tensor.shape = {2, 2};
  tensor.members = {{1, 2, 3, 4}, {10, 20, 30, 40}};
  tensor.base = std::vector<double>(4, 0.0);
  tensor.member_parameters = {{{"weight", 1.0}, {"density", 0.0}},
                              {{"weight", 1.0}, {"density", 1.0}}};
  EXPECT_EQ(amalgam::testing::run_rule(find_merge_rule("della_linear"), tensor),
            (std::vector<double>{10, 20, 30, 40}));
  tensor.parameters = {{"rescale", std::string("inverse_density")}};
  EXPECT_EQ(amalgam::testing::run_rule(find_merge_rule("della_linear"), tensor),
            (std::vector<double>{10, 20, 30, 40}));
}

TEST(Della, RefusesEpsilonThatDoesNotFitDensity) {
  amalgam::testing::DriverTensor tensor;
  tensor.name = "h.0.w";
  tensor.shape = {2};
  tensor.members = {{1, 2}};
  tensor.base = std::vector<double>(2, 0.0);
  for (const double density : {0.1, 0.15, 0.85, 0.9}) {
    tensor.member_parameters = {{{"weight", 1.0}, {"density", density}}};
    const std::string message = amalgam::testing::merge_error(find_merge_rule("della"), tensor);
    EXPECT_THAT(message, ::testing::HasSubstr("h.0.w"));
    EXPECT_THAT(message, ::testing::HasSubstr("epsilon 0.15"));
  }
}

}  // namespace
}  // namespace amalgam::rules
