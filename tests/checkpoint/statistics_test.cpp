#include "amalgam/checkpoint/statistics.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

ElementStatistics statistics_of(const std::vector<double>& values) {
  std::vector<MemoryTensor> tensors;
  tensors.push_back(make_tensor("x", {values.size()}, values, DType::f64));
  const MemorySource source("memory", std::move(tensors));
  return tensor_statistics(source, {1, Runner::sequential}).at(0);
}

RC_GTEST_PROP(ElementStatistics, CombiningHalvesGivesTheWhole, ()) {
  const auto left = *rc::gen::container<std::vector<int>>(rc::gen::inRange(-1000, 1000));
  const auto right = *rc::gen::container<std::vector<int>>(rc::gen::inRange(-1000, 1000));
  std::vector<double> all(left.begin(), left.end());
  all.insert(all.end(), right.begin(), right.end());

  ElementStatistics halves = statistics_of({left.begin(), left.end()});
  halves.combine(statistics_of({right.begin(), right.end()}));
  const ElementStatistics whole = statistics_of(all);

  RC_ASSERT(halves.count == all.size());
  RC_ASSERT(whole.count == all.size());
  RC_ASSERT(halves.min == whole.min);
  RC_ASSERT(halves.max == whole.max);
  RC_ASSERT(halves.squares == whole.squares);  // of integers: exact in any order
  if (!all.empty()) {
    double sum = 0;
    for (const double value : all) sum += value;
    const double mean = sum / static_cast<double>(all.size());
    double deviations = 0;
    for (const double value : all) deviations += (value - mean) * (value - mean);
    for (const ElementStatistics& one : {halves, whole}) {
      RC_ASSERT(std::abs(one.mean - mean) <= 1e-11);
      RC_ASSERT(std::abs(one.squared_deviations - deviations) <= 1e-9 * (1 + deviations));
    }
  }
}

TEST(ElementStatistics, AConstantHasNoDeviationWhateverItsMeanRoundsTo) {
  const ElementStatistics statistics = statistics_of(std::vector<double>(1'000'003, 0.1));
  EXPECT_EQ(statistics.mean, 0.1);
  EXPECT_EQ(statistics.standard_deviation(), 0.0);
}

TEST(ElementStatistics, NonFiniteNumbersAreOnlyCounted) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const ElementStatistics statistics =
      statistics_of({std::nan(""), 3, kInfinity, -kInfinity, 5, std::nan("")});
  EXPECT_EQ(statistics.count, 2U);
  EXPECT_EQ(statistics.nan_count, 2U);
  EXPECT_EQ(statistics.inf_count, 2U);
  EXPECT_EQ(statistics.min, 3);
  EXPECT_EQ(statistics.max, 5);
  EXPECT_EQ(statistics.mean, 4);
  EXPECT_EQ(statistics.standard_deviation(), 1);
}

// Elements of all kinds of leaves: none, one, exactly one leaf, one more, several.
TEST(ElementStatistics, HaveTheSameBitsForAnyRunner) {
  RandomStream random(4, "statistics");
  std::vector<MemoryTensor> tensors;
  for (const std::uint64_t count :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{77}, kStatisticsLeafElements,
        kStatisticsLeafElements + 1, 5 * kStatisticsLeafElements + 12345}) {
    std::vector<double> values;
    for (std::uint64_t i = 0; i < count; ++i) values.push_back(random.normal());
    tensors.push_back(make_tensor("t" + std::to_string(count), {count}, values));
  }
  const MemorySource source("memory", std::move(tensors));
  const auto expected = tensor_statistics(source, {1, Runner::sequential});
  for (const Parallel parallel : {Parallel{2, Runner::std_thread}, Parallel{5, Runner::std_thread},
                                  Parallel{3, Runner::tbb}}) {
    const auto found = tensor_statistics(source, parallel);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].count, source.tensors()[i].elements);
      EXPECT_EQ(found[i].mean, expected[i].mean);
      EXPECT_EQ(found[i].squared_deviations, expected[i].squared_deviations);
      EXPECT_EQ(found[i].squares, expected[i].squares);
    }
  }
}

TEST(TensorComparison, ShapesMustBeEqual) {
  std::vector<MemoryTensor> one;
  one.push_back(make_tensor("x", {2}, {1, 2}));
  std::vector<MemoryTensor> two;
  two.push_back(make_tensor("x", {2, 1}, {1, 2}));
  const MemorySource a("one", std::move(one));
  const MemorySource b("two", std::move(two));
  expect_error<InputError>(
      [&] {
        (void)compare_tensors(a, b, nullptr, {{0, 0, std::nullopt}}, {1, Runner::sequential});
      },
      "one", "'x'", "[2]", "two", "[2, 1]");
}

TEST(TensorComparison, ZeroVectorsHaveNoCosineAndNoRelativeDistance) {
  std::vector<MemoryTensor> one;
  one.push_back(make_tensor("x", {2}, {0, 0}));
  std::vector<MemoryTensor> two;
  two.push_back(make_tensor("x", {2}, {3, 4}));
  const MemorySource a("one", std::move(one));
  const MemorySource b("two", std::move(two));
  const auto compared = compare_tensors(a, b, &a, {{0, 0, 0}}, {1, Runner::sequential});
  EXPECT_EQ(compared.at(0).distance(), 5);
  EXPECT_EQ(compared.at(0).relative_distance(), std::nullopt);
  EXPECT_EQ(compared.at(0).cosine(), std::nullopt);
  EXPECT_EQ(compared.at(0).sign_conflict(), 0.0);
}

}  // namespace
}  // namespace amalgam
