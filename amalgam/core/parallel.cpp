#include "amalgam/core/parallel.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
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

#ifdef AMALGAM_HAVE_TBB
// oneTBB makes its threads when first asked. If it lacks memory then, it keeps a lock for ever, on
// which even leaving this function would wait: nothing of it is called again. Once made they stay,
// as this arena does.
const tbb::task_arena* first_arena(std::size_t workers) {
  static const tbb::task_arena* const kArena = [workers]() -> const tbb::task_arena* {
    auto limit = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                       workers);
    auto arena = std::make_unique<tbb::task_arena>(static_cast<int>(workers));
    try {
      arena->initialize();
      return arena.release();
    } catch (const std::bad_alloc&) {
      (void)limit.release();
      return nullptr;
    }
  }();
  return kArena;
}

void run_on_tbb(SharedLoop& loop, std::size_t workers) {
  // More threads than processors are allowed when asked for.
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, workers);
  tbb::task_arena arena(static_cast<int>(workers));
  arena.execute([&] {
    tbb::parallel_for(std::size_t{0}, workers, [&](std::size_t worker) { loop.work(worker); });
  });
}
#endif

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
#ifdef AMALGAM_HAVE_TBB
  } else if (parallel.runner == Runner::tbb && first_arena(workers) != nullptr) {
    run_on_tbb(loop, workers);
#endif
  } else {
    run_on_threads(loop, workers);
  }
  loop.rethrow();
}

}  // namespace amalgam
