#include "amalgam/core/parallel.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#ifdef AMALGAM_HAVE_TBB
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#endif

namespace amalgam {
namespace {

// Workers take the next index from a shared counter, so memory is touched in file order.
class SharedLoop {
 public:
  SharedLoop(std::size_t count, const LoopBody& body) : count_(count), body_(body) {}

  void work(std::size_t worker) {
    while (!failed_.load(std::memory_order_relaxed)) {
      const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index >= count_) return;
      try {
        body_(index, worker);
      } catch (...) {
        const std::scoped_lock lock(mutex_);
        if (!error_) error_ = std::current_exception();
        failed_.store(true, std::memory_order_relaxed);
      }
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  const std::size_t count_;
  const LoopBody& body_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr error_;
};

void run_on_threads(SharedLoop& loop, std::size_t workers) {
  std::vector<std::jthread> threads;
  threads.reserve(workers - 1);
  for (std::size_t worker = 1; worker < workers; ++worker) {
    threads.emplace_back([&loop, worker] { loop.work(worker); });
  }
  loop.work(0);
}

}  // namespace

std::size_t available_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
  }
  return std::max<std::size_t>(1, std::thread::hardware_concurrency());
}

void parallel_for(const Parallel& parallel, std::size_t count, const LoopBody& body) {
  const std::size_t workers = std::min(parallel.workers(), count);
  SharedLoop loop(count, body);
  if (workers <= 1) {
    loop.work(0);
  } else if (parallel.runner == Runner::tbb) {
#ifdef AMALGAM_HAVE_TBB
    // More threads than processors are allowed when asked for.
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, workers);
    tbb::task_arena arena(static_cast<int>(workers));
    arena.execute([&] {
      tbb::parallel_for(std::size_t{0}, workers, [&](std::size_t worker) { loop.work(worker); });
    });
#else
    run_on_threads(loop, workers);
#endif
  } else {
    run_on_threads(loop, workers);
  }
  loop.rethrow();
}

}  // namespace amalgam
