#include "amalgam/core/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

const std::vector<Parallel>& runners() {
  static const std::vector<Parallel> kRunners = {{1, Runner::sequential}, {4, Runner::sequential},
                                                 {1, Runner::std_thread}, {2, Runner::std_thread},
                                                 {9, Runner::std_thread}, {1, Runner::tbb},
                                                 {2, Runner::tbb},        {5, Runner::tbb}};
  return kRunners;
}

TEST(ParallelFor, CallsTheBodyOnceForEveryIndex) {
  for (const Parallel& parallel : runners()) {
    for (const std::size_t count : {0, 1, 2, 3, 1000}) {
      std::vector<std::atomic<int>> calls(count);
      parallel_for(parallel, count, [&](std::size_t index, std::size_t) { ++calls[index]; });
      for (const auto& call : calls) ASSERT_EQ(call.load(), 1);
    }
  }
}

// A slot's buffer needs no lock: a plain int per worker, incremented and checked without one.
TEST(ParallelFor, AWorkerSlotRunsOneIterationAtATime) {
  for (const Parallel& parallel : runners()) {
    std::vector<std::atomic<int>> busy(parallel.workers());
    std::atomic<bool> alone{true};
    std::atomic<bool> in_range{true};
    parallel_for(parallel, 500, [&](std::size_t, std::size_t worker) {
      if (worker >= busy.size()) {
        in_range = false;
        return;
      }
      if (busy[worker].fetch_add(1) != 0) alone = false;
      busy[worker].fetch_sub(1);
    });
    EXPECT_TRUE(in_range.load());
    EXPECT_TRUE(alone.load());
  }
}

TEST(ParallelFor, HandsOutIndicesInIncreasingOrder) {
  std::vector<std::size_t> order;
  parallel_for({1, Runner::std_thread}, 50,
               [&](std::size_t index, std::size_t) { order.push_back(index); });
  for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
  // With several workers each sees an increasing sequence.
  std::vector<std::vector<std::size_t>> seen(3);
  parallel_for({3, Runner::std_thread}, 300,
               [&](std::size_t index, std::size_t worker) { seen[worker].push_back(index); });
  for (const auto& indices : seen) {
    for (std::size_t i = 1; i < indices.size(); ++i) EXPECT_LT(indices[i - 1], indices[i]);
  }
}

TEST(ParallelFor, RethrowsAnExceptionAndStopsHandingOutWork) {
  for (const Parallel& parallel : runners()) {
    std::atomic<std::size_t> calls{0};
    try {
      parallel_for(parallel, 1'000'000, [&](std::size_t index, std::size_t) {
        ++calls;
        if (index == 10) throw InputError("bad block {}", index);
      });
      FAIL() << "no exception";
    } catch (const InputError& error) {
      EXPECT_STREQ(error.what(), "bad block 10");
    }
    EXPECT_LT(calls.load(), 1'000'000U);
  }
}

TEST(ParallelFor, OnlyOneOfManyExceptionsIsRethrown) {
  for (const Parallel& parallel : runners()) {
    EXPECT_THROW(parallel_for(parallel, 100,
                              [](std::size_t, std::size_t) { throw std::runtime_error("each"); }),
                 std::runtime_error);
  }
}

TEST(ParallelFor, MayBeNested) {
  for (const Parallel& parallel : runners()) {
    std::vector<std::atomic<int>> calls(64);
    parallel_for(parallel, 8, [&](std::size_t outer, std::size_t) {
      parallel_for(parallel, 8,
                   [&](std::size_t inner, std::size_t) { ++calls[outer * 8 + inner]; });
    });
    for (const auto& call : calls) EXPECT_EQ(call.load(), 1);
  }
}

TEST(ParallelFor, ZeroThreadsMeansOne) {
  int calls = 0;
  parallel_for({0, Runner::std_thread}, 3, [&](std::size_t, std::size_t) { ++calls; });
  EXPECT_EQ(calls, 3);
}

TEST(AvailableThreads, IsAtLeastOne) { EXPECT_GE(available_threads(), 1U); }

}  // namespace
}  // namespace amalgam
