#include "amalgam/core/shared_fold.hpp"

#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <string>

#include "amalgam/core/error.hpp"
#include "tests/core/thread_cluster.hpp"

namespace amalgam {
namespace {

// Remembers in which tree it was combined, and has a sum whose last bits depend on it.
struct Trace {
  double sum = 0;
  std::vector<char> tree;

  void combine(Trace&& right) {
    sum += right.sum;
    tree.insert(tree.begin(), '(');
    tree.insert(tree.end(), right.tree.begin(), right.tree.end());
    tree.push_back(')');
  }
  void archive(StateArchive& archive) {
    archive(sum);
    archive(tree);
  }
};

Trace leaf(std::size_t index) {
  const std::string name = std::to_string(index) + ",";
  return {1.0 / static_cast<double>(3 * index + 1), {name.begin(), name.end()}};
}

TEST(SharedFold, GivesEveryProcessTheBitsAndTheTreeOfOne) {
  for (const std::size_t leaves : {1U, 2U, 5U, 31U, 64U, 100U, 257U}) {
    const Trace alone =
        *fold({}, leaves, [](std::size_t index, std::size_t) { return leaf(index); });
    for (const std::size_t processes : {1U, 2U, 3U, 7U}) {
      std::mutex mutex;
      std::multiset<std::size_t> made;
      run_cluster(processes, [&](Cluster& cluster) {
        const auto together = shared_fold(
            cluster, {.threads = 2}, leaves,
            [&](std::size_t index, std::size_t) {
              const std::scoped_lock lock(mutex);
              made.insert(index);
              return leaf(index);
            },
            [] { return Trace(); });
        const std::scoped_lock lock(mutex);
        ASSERT_TRUE(together.has_value());
        EXPECT_EQ(together->sum, alone.sum);
        EXPECT_EQ(together->tree, alone.tree) << leaves << " leaves, " << processes;
      });
      EXPECT_EQ(made.size(), leaves) << "each leaf is made once";
      EXPECT_EQ(std::set(made.begin(), made.end()).size(), leaves);
    }
  }
}

TEST(SharedFold, OfNothingIsNothing) {
  run_cluster(2, [](Cluster& cluster) {
    const auto none = shared_fold(
        cluster, {}, 0, [](std::size_t index, std::size_t) { return leaf(index); },
        [] { return Trace(); });
    EXPECT_FALSE(none.has_value());
  });
}

TEST(LeafShare, StretchesAreNearlyEqualAndOfFewNodes) {
  for (const std::size_t ranks : {1U, 2U, 3U, 8U}) {
    for (const std::size_t count : {0U, 1U, 7U, 100U, 1000U, 12345U}) {
      std::size_t next = 0;
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        const RankShare share = leaf_share(rank, ranks, count);
        EXPECT_EQ(share.first, next);
        next = share.last;
        const double fair = static_cast<double>(count) / static_cast<double>(ranks);
        const auto size = static_cast<double>(share.last - share.first);
        EXPECT_NEAR(size, fair, 1 + fair / 8) << rank << " of " << ranks << ", " << count;
        EXPECT_LE(fold_nodes(count, share.first, share.last).size(), 24U);
      }
      EXPECT_EQ(next, count);
    }
  }
}

TEST(StateArchive, RefusesWhatIsCutOff) {
  std::vector<double> numbers = {1, 2, 3};
  StateArchive written;
  written(numbers);
  const std::vector<std::byte> bytes = written.take();
  std::vector<double> back;
  StateArchive whole(bytes);
  whole(back);
  whole.finish();
  EXPECT_EQ(back, numbers);
  StateArchive cut(std::span(bytes).first(20));
  EXPECT_THROW(cut(back), Error);
  StateArchive longer(bytes);
  std::uint64_t count = 0;
  longer(count);
  EXPECT_THROW(longer.finish(), Error);
}

}  // namespace
}  // namespace amalgam
