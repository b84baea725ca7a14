#include "amalgam/core/distributed_fold.hpp"

#include <gtest/gtest.h>

#include <mutex>

#include "tests/core/thread_cluster.hpp"

namespace amalgam {
namespace {

// Sums whose last bits depend on the order of additions.
struct Sums {
  double one = 0;
  std::vector<double> many;

  void combine(Sums&& other) {
    one += other.one;
    for (std::size_t i = 0; i < many.size(); ++i) many[i] += other.many[i];
  }
  template <class Visit>
  void visit_numbers(Visit visit) {
    visit(std::span(&one, 1));
    visit(std::span(many));
  }
};

Sums leaf(std::size_t index) {
  const double x = 1.0 / static_cast<double>(3 * index + 1);
  return {x, {x * x, x / 7, 1e9 * x}};
}

TEST(DistributedFold, GivesEveryProcessTheBitsOfOne) {
  for (const std::size_t leaves : {1U, 2U, 5U, 16U, 33U}) {
    const Sums alone =
        *fold({}, leaves, [](std::size_t index, std::size_t) { return leaf(index); });
    for (const std::size_t processes : {1U, 2U, 3U, 7U}) {
      std::mutex mutex;
      std::size_t made = 0;
      run_cluster(processes, [&](Cluster& cluster) {
        const Sums together = *distributed_fold(
            &cluster, {.threads = 2}, leaves,
            [&](std::size_t index, std::size_t) {
              const std::scoped_lock lock(mutex);
              ++made;
              return leaf(index);
            },
            [] {
              return Sums{0, std::vector<double>(3)};
            });
        const std::scoped_lock lock(mutex);
        EXPECT_EQ(together.one, alone.one);
        EXPECT_EQ(together.many, alone.many);
      });
      EXPECT_EQ(made, leaves) << "each leaf is made once";
    }
  }
}

TEST(Cluster, SharesCoverEverythingOnce) {
  for (const std::size_t count : {0U, 1U, 5U, 16U}) {
    std::size_t next = 0;
    for (std::size_t rank = 0; rank < 7; ++rank) {
      const RankShare share = share_of(rank, 7, count);
      EXPECT_EQ(share.first, next);
      EXPECT_LE(share.last - share.first, (count + 6) / 7);
      next = share.last;
    }
    EXPECT_EQ(next, count);
  }
}

}  // namespace
}  // namespace amalgam
