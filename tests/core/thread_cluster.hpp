#pragma once

#include <algorithm>
#include <barrier>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "amalgam/core/cluster.hpp"

namespace amalgam {

/// A cluster whose processes are threads of this one.
class ThreadCluster final : public Cluster {
 public:
  struct Shared {
    explicit Shared(std::size_t count)
        : spans(count), barrier(static_cast<std::ptrdiff_t>(count)) {}
    std::vector<std::span<double>> spans;
    std::barrier<> barrier;
  };
  ThreadCluster(std::size_t rank, Shared& shared) : rank_(rank), shared_(shared) {}

  std::size_t rank() const override { return rank_; }
  std::size_t size() const override { return shared_.spans.size(); }
  void gather(std::span<double> all, std::span<const std::size_t> parts) override {
    shared_.spans[rank_] = all;
    shared_.barrier.arrive_and_wait();
    std::size_t begin = 0;
    for (std::size_t other = 0; other < parts.size(); ++other) {
      if (other != rank_) {
        const std::span<double> theirs = shared_.spans[other].subspan(begin, parts[other]);
        std::copy(theirs.begin(), theirs.end(), all.begin() + static_cast<std::ptrdiff_t>(begin));
      }
      begin += parts[other];
    }
    shared_.barrier.arrive_and_wait();
  }
  [[noreturn]] void abort(int code) override { std::_Exit(code); }

 private:
  std::size_t rank_;
  Shared& shared_;
};

/// Runs `body` in `count` threads, each a process of one cluster.
inline void run_cluster(std::size_t count, const std::function<void(Cluster&)>& body) {
  ThreadCluster::Shared shared(count);
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < count; ++rank) {
    threads.emplace_back([&shared, &body, rank] {
      ThreadCluster cluster(rank, shared);
      body(cluster);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace amalgam
