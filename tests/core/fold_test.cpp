#include "amalgam/core/fold.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/parallel.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam {
namespace {

const std::vector<Parallel>& runners() {
  static const std::vector<Parallel> kRunners = {
      {1, Runner::sequential}, {4, Runner::sequential}, {1, Runner::std_thread},
      {2, Runner::std_thread}, {3, Runner::std_thread}, {8, Runner::std_thread},
      {1, Runner::tbb},        {2, Runner::tbb},        {7, Runner::tbb}};
  return kRunners;
}

// Not associative in its last bits: another tree gives another sum.
struct Sum {
  double value = 0;
  void combine(Sum&& right) { value += right.value; }
};

// Not commutative: any exchange of operands shows.
struct Text {
  std::string value;
  void combine(Text&& right) { value += right.value; }
};

// Writes down the tree itself.
struct Tree {
  std::string value;
  void combine(Tree&& right) { value = "(" + value + right.value + ")"; }
};

// Owns what it holds and cannot be copied; counts the objects alive.
class Owned {
 public:
  Owned(std::atomic<int>& alive, std::uint64_t value)
      : alive_(&alive), value_(std::make_unique<std::uint64_t>(value)) {
    ++*alive_;
  }
  Owned(Owned&& other) noexcept : alive_(other.alive_), value_(std::move(other.value_)) {
    ++*alive_;
  }
  Owned& operator=(Owned&& other) noexcept {
    value_ = std::move(other.value_);
    return *this;
  }
  ~Owned() { --*alive_; }
  void combine(Owned&& right) { *value_ += *right.value_; }
  std::uint64_t value() const { return *value_; }

 private:
  std::atomic<int>* alive_;
  std::unique_ptr<std::uint64_t> value_;
};

// The fold of at least one leaf.
template <class F>
auto fold_some(const Parallel& parallel, std::size_t count, F make_leaf) {
  auto result = fold(parallel, count, make_leaf);
  if (!result) throw Error("a fold of {} leaves gave nothing", count);
  return std::move(*result);
}

double leaf_value(std::size_t leaf) {
  RandomStream stream(leaf, "fold");
  return std::ldexp(stream.normal(), static_cast<int>(stream.below(60)) - 30);
}

std::uint64_t sum_bits(const Parallel& parallel, std::size_t count) {
  const Sum sum = fold_some(parallel, count,
                            [](std::size_t leaf, std::size_t) { return Sum{leaf_value(leaf)}; });
  return std::bit_cast<std::uint64_t>(sum.value);
}

TEST(Fold, NothingIsNothing) {
  for (const Parallel& parallel : runners()) {
    const auto result = fold(parallel, 0, [](std::size_t, std::size_t) { return Text{"x"}; });
    EXPECT_FALSE(result.has_value());
  }
}

TEST(Fold, OneLeafIsItself) {
  for (const Parallel& parallel : runners()) {
    const Text result = fold_some(parallel, 1, [](std::size_t, std::size_t) { return Text{"x"}; });
    EXPECT_EQ(result.value, "x");
  }
}

TEST(Fold, FloatingPointSumsHaveTheSameBitsForEveryRunnerAndThreadCount) {
  for (const std::size_t count : {2, 3, 7, 8, 33, 100, 1001}) {
    const std::uint64_t expected = sum_bits({1, Runner::sequential}, count);
    for (int repeat = 0; repeat < 5; ++repeat) {
      for (const Parallel& parallel : runners()) {
        ASSERT_EQ(sum_bits(parallel, count), expected) << count << " " << parallel.threads;
      }
    }
  }
}

TEST(Fold, CombineKeepsTheOrderOfTheLeaves) {
  for (std::size_t count = 1; count <= 70; ++count) {
    std::string expected;
    for (std::size_t leaf = 0; leaf < count; ++leaf) expected += std::to_string(leaf) + ",";
    for (const Parallel& parallel : runners()) {
      const Text text = fold_some(parallel, count, [](std::size_t leaf, std::size_t) {
        return Text{std::to_string(leaf) + ","};
      });
      ASSERT_EQ(text.value, expected) << count;
    }
  }
}

// Pairs of neighbours, then pairs of pairs; what has no right sibling moves up alone.
TEST(Fold, TheTreeIsTheOneOverTheBitsOfTheIndex) {
  const std::vector<std::pair<std::size_t, std::string>> trees = {
      {2, "(ab)"},          {3, "((ab)c)"},          {4, "((ab)(cd))"},
      {5, "(((ab)(cd))e)"}, {6, "(((ab)(cd))(ef))"}, {7, "(((ab)(cd))((ef)g))"}};
  for (const auto& [count, expected] : trees) {
    for (const Parallel& parallel : runners()) {
      const Tree tree = fold_some(parallel, count, [](std::size_t leaf, std::size_t) {
        return Tree{std::string(1, static_cast<char>('a' + leaf))};
      });
      EXPECT_EQ(tree.value, expected);
    }
  }
}

TEST(Fold, ExceptionsOfLeavesComeThroughAndNothingLeaks) {
  for (const Parallel& parallel : runners()) {
    std::atomic<int> alive{0};
    const auto make = [&](std::size_t leaf, std::size_t) {
      if (leaf == 37) throw InputError("leaf {}", leaf);
      return Owned(alive, leaf);
    };
    EXPECT_THROW(fold(parallel, 100, make), InputError);
    EXPECT_EQ(alive.load(), 0);
  }
}

TEST(Fold, ExceptionsOfCombineComeThrough) {
  struct Fussy {
    std::size_t leaves = 1;
    void combine(Fussy&& right) {
      leaves += right.leaves;
      if (leaves > 8) throw Error("too many");
    }
  };
  for (const Parallel& parallel : runners()) {
    EXPECT_THROW(fold(parallel, 64, [](std::size_t, std::size_t) { return Fussy{}; }), Error);
  }
}

TEST(Fold, FewStatesAreAliveAtATime) {
  std::atomic<int> alive{0};
  int most = 0;
  const Owned sum = fold_some({1, Runner::sequential}, 4096, [&](std::size_t leaf, std::size_t) {
    most = std::max(most, alive.load());
    return Owned(alive, leaf);
  });
  EXPECT_EQ(sum.value(), 4096U * 4095U / 2);
  EXPECT_LE(most, 14);  // one per level of the tree, not one per leaf
}

TEST(Fold, EveryLeafIsMadeOnceByAWorkerInRange) {
  for (const Parallel& parallel : runners()) {
    std::vector<std::atomic<int>> made(200);
    std::atomic<bool> in_range{true};
    fold(parallel, made.size(), [&](std::size_t leaf, std::size_t worker) {
      ++made[leaf];
      if (worker >= parallel.workers()) in_range = false;
      return Sum{1};
    });
    for (const auto& count : made) EXPECT_EQ(count.load(), 1);
    EXPECT_TRUE(in_range.load());
  }
}

RC_GTEST_PROP(FoldProperty, ConcatenationEqualsTheLoop, (const std::vector<std::string>& parts)) {
  const auto threads = *rc::gen::inRange<std::size_t>(1, 6);
  const auto runner = *rc::gen::element(Runner::sequential, Runner::std_thread, Runner::tbb);
  const auto text = fold({threads, runner}, parts.size(),
                         [&](std::size_t leaf, std::size_t) { return Text{parts[leaf]}; });
  const std::string expected = std::accumulate(parts.begin(), parts.end(), std::string());
  RC_ASSERT(text.has_value() == !parts.empty());
  RC_ASSERT((text ? text->value : std::string()) == expected);
}

}  // namespace
}  // namespace amalgam
