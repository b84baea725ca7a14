#pragma once

#include <cstddef>
#include <span>

namespace amalgam {

/// The processes that work on one job together, each with all of the input. What a computation
/// gives must not depend on how many there are.
class Cluster {
 public:
  virtual ~Cluster() = default;

  virtual std::size_t rank() const = 0;  ///< of this process, < size()
  virtual std::size_t size() const = 0;

  /// Every process has its own part of `all` at its place: parts lie one after the other in the
  /// order of ranks and have `parts`[rank] numbers. Afterwards every process has all of them. All
  /// processes call this with the same sizes. Error if the others cannot be reached.
  virtual void gather(std::span<double> all, std::span<const std::size_t> parts) = 0;

  /// Ends all processes of the job, and this one, with this exit code.
  [[noreturn]] virtual void abort(int code) = 0;
};

/// The number of processes that an MPI launcher (mpirun) started this one with; 1 without one.
std::size_t launched_processes();

/// The job that this process is part of, or null if it is alone. Joins it when first called.
/// InputError if the launcher started several but this build has no MPI library.
Cluster* joined_cluster();

/// Returns when all processes have called it; at once without a cluster (null). Error as gather().
void wait_for_all(Cluster* cluster);

/// The sum over all processes; `value` itself without a cluster (null). All of them get it.
double sum_over(Cluster* cluster, double value);

/// The part of `count` things that is the rank's: [first, last).
struct RankShare {
  std::size_t first;
  std::size_t last;
};
RankShare share_of(std::size_t rank, std::size_t ranks, std::size_t count);

}  // namespace amalgam
