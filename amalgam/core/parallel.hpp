#pragma once

#include <cstddef>
#include <functional>

namespace amalgam {

/// How the iterations of a loop are spread over threads. Results never depend on it.
enum class Runner {
  sequential,
  std_thread,
  tbb,  ///< falls back to std_thread in a build without oneTBB
};

/// A loop body: `index` is the iteration, `worker` < Parallel::workers() names the executing slot;
/// at any time at most one iteration runs per slot, so a slot may own a buffer.
using LoopBody = std::function<void(std::size_t index, std::size_t worker)>;

/// Threads to use and how. A value; cheap to copy.
struct Parallel {
  std::size_t threads = 1;  ///< >= 1
  Runner runner = Runner::tbb;

  /// The number of worker slots a loop may use.
  std::size_t workers() const { return runner == Runner::sequential ? 1 : threads; }
};

/// The number of processors this process may run on (at least 1).
std::size_t available_threads();

/// Calls body(i, worker) for every i in [0, count), in any order and at the same time. Iterations
/// are handed out in increasing order. The first exception stops further iterations and is
/// rethrown.
void parallel_for(const Parallel& parallel, std::size_t count, const LoopBody& body);

}  // namespace amalgam
