#include "amalgam/data/partition.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

std::vector<std::size_t> all_of(const Partition& partition) {
  std::vector<std::size_t> all;
  for (const auto& one : partition) all.insert(all.end(), one.begin(), one.end());
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<std::size_t> first_numbers(std::size_t count) {
  std::vector<std::size_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), std::size_t{0});
  return numbers;
}

// `each` examples of each of `classes` classes, in turn.
std::vector<std::int64_t> balanced_labels(std::size_t classes, std::size_t each) {
  std::vector<std::int64_t> labels;
  for (std::size_t i = 0; i < classes * each; ++i) {
    labels.push_back(static_cast<std::int64_t>(i % classes));
  }
  return labels;
}

// The mean over clients of the share of their largest class.
double concentration(const Partition& partition, const std::vector<std::int64_t>& labels) {
  double sum = 0;
  for (const auto& mine : partition) {
    std::vector<double> counts(10);
    for (const std::size_t i : mine) counts[static_cast<std::size_t>(labels[i])] += 1;
    sum += *std::max_element(counts.begin(), counts.end()) / static_cast<double>(mine.size());
  }
  return sum / static_cast<double>(partition.size());
}

RC_GTEST_PROP(Partition, GivesEveryExampleToExactlyOneClient, ()) {
  const auto labels =
      *rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, 5));
  const auto clients = *rc::gen::inRange<std::size_t>(1, 6);
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const auto alpha = *rc::gen::element(1e-9, 0.01, 0.5, 1.0, 1e6);
  const Partition dirichlet = dirichlet_partition(labels, clients, alpha, seed, 0);
  RC_ASSERT(dirichlet.size() == clients);
  RC_ASSERT(all_of(dirichlet) == first_numbers(labels.size()));
  RC_ASSERT(dirichlet == dirichlet_partition(labels, clients, alpha, seed, 0));
  for (const auto& mine : dirichlet) RC_ASSERT(std::is_sorted(mine.begin(), mine.end()));
  RC_PRE(labels.size() >= clients);
  const Partition uniform = uniform_partition(labels.size(), clients, seed);
  RC_ASSERT(all_of(uniform) == first_numbers(labels.size()));
  for (const auto& mine : uniform) {
    RC_ASSERT(mine.size() == labels.size() / clients || mine.size() == labels.size() / clients + 1);
  }
}

TEST(DirichletPartition, AlphaDecidesHowAlikeClientsAre) {
  const std::vector<std::int64_t> labels = balanced_labels(10, 200);
  EXPECT_NEAR(concentration(dirichlet_partition(labels, 5, 1e5, 1), labels), 0.1, 0.01);
  const double some = concentration(dirichlet_partition(labels, 5, 0.5, 1), labels);
  const double strong = concentration(dirichlet_partition(labels, 5, 0.05, 1), labels);
  EXPECT_GT(some, 0.15);
  EXPECT_GT(strong, some);
  EXPECT_NE(dirichlet_partition(labels, 5, 0.5, 1), dirichlet_partition(labels, 5, 0.5, 2));
  EXPECT_NE(uniform_partition(100, 5, 1), uniform_partition(100, 5, 2));
}

TEST(DirichletPartition, DrawsUntilEveryClientHasEnough) {
  const std::vector<std::int64_t> labels = balanced_labels(10, 20);
  bool was_smaller = false;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const auto& mine : dirichlet_partition(labels, 8, 0.2, seed, 0)) {
      was_smaller = was_smaller || mine.size() < 10;
    }
    for (const auto& mine : dirichlet_partition(labels, 8, 0.2, seed, 10)) {
      EXPECT_GE(mine.size(), 10U);
    }
  }
  EXPECT_TRUE(was_smaller);
}

TEST(DirichletPartition, AClassWithoutExamplesChangesNothing) {
  const std::vector<std::int64_t> labels{0, 0, 7, 7, 7, 7};
  EXPECT_EQ(all_of(dirichlet_partition(labels, 2, 0.5, 3)), first_numbers(6));
}

TEST(DirichletPartition, RefusesWhatCannotBe) {
  const std::vector<std::int64_t> labels = balanced_labels(2, 5);
  expect_error<InputError>([&] { dirichlet_partition(labels, 0, 1, 0); }, "0 clients");
  expect_error<InputError>([&] { dirichlet_partition(labels, 11, 1, 0); }, "10 examples", "11");
  expect_error<InputError>([&] { dirichlet_partition(labels, 3, 1, 0, 4); }, "at least 4");
  expect_error<InputError>([&] { dirichlet_partition(labels, 2, 0, 0); }, "alpha");
  expect_error<InputError>([&] { dirichlet_partition(labels, 10, 1e-6, 0); }, "larger alpha");
  const std::vector<std::int64_t> negative{0, -1};
  expect_error<InputError>([&] { dirichlet_partition(negative, 1, 1, 0); }, "label -1");
  expect_error<InputError>([] { uniform_partition(3, 4, 0); }, "3 examples");
}

TEST(LongTail, KeepsAGeometricShareOfEachClass) {
  const std::vector<std::int64_t> labels = balanced_labels(3, 100);
  const std::vector<std::size_t> chosen = long_tailed_choice(labels, 3, 100, 1);
  std::vector<std::size_t> counts(3);
  for (const std::size_t i : chosen) ++counts[static_cast<std::size_t>(labels[i])];
  // 100, 100 / sqrt(100), 100 / 100.
  EXPECT_EQ(counts, (std::vector<std::size_t>{100, 10, 1}));
  EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
  EXPECT_EQ(chosen, long_tailed_choice(labels, 3, 100, 1));
  EXPECT_NE(chosen, long_tailed_choice(labels, 3, 100, 2));
  EXPECT_EQ(long_tailed_choice(labels, 3, 1, 1), first_numbers(300));
  // Fewer than wanted: all; a class without examples: none; one class: all.
  EXPECT_EQ(long_tailed_choice(std::vector<std::int64_t>{0, 0, 0, 0, 2}, 3, 2, 1),
            first_numbers(5));
  EXPECT_EQ(long_tailed_choice(std::vector<std::int64_t>{0, 0}, 1, 9, 1), first_numbers(2));
  expect_error<InputError>([&] { long_tailed_choice(labels, 3, 0.5, 1); }, "0.5");
  expect_error<InputError>([&] { long_tailed_choice(labels, 2, 2, 1); }, "there are 2 classes");
}

}  // namespace
}  // namespace amalgam
