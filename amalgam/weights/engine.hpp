#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/quantisation_error.hpp"
#include "amalgam/checkpoint/sink.hpp"
#include "amalgam/core/parallel.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/weights/plan.hpp"
#include "amalgam/weights/work_share.hpp"

namespace amalgam {

class ImportanceMatrix;
class LeafLog;

/// What to do about NaN and infinity in inputs (and finite inputs whose result overflows the output
/// type).
enum class NonFinite {
  error,      ///< InputError naming source, tensor and index
  propagate,  ///< compute with IEEE arithmetic and write what comes out
};

struct EngineOptions {
  Parallel parallel{available_threads(), Runner::tbb};
  /// Bytes for the whole process, at least 64 MB; what the process holds besides is estimated.
  std::uint64_t memory = 512'000'000;
  std::uint64_t seed = 0;
  NonFinite non_finite = NonFinite::error;
  Progress* progress = nullptr;  ///< advanced by bytes read and written
  /// Weighs the errors of what is quantised (checkpoint/importance.hpp); null: all count the same.
  const ImportanceMatrix* importance = nullptr;
  LeafLog* leaves = nullptr;  ///< chooses what is made, see weights/leaves.hpp; null: all
  WorkShare share;            ///< what this process makes of a merge that several share
};

/// What a merge reads and writes, known before it starts.
struct WorkEstimate {
  std::uint64_t bytes_read = 0;  ///< all passes; an upper bound where a unit may stay in memory
  std::uint64_t bytes_written = 0;
};
WorkEstimate estimate_work(const MergePlan& plan, const EngineOptions& options);

/// What was done; figures for the log and for `--json`.
struct MergeStatistics {
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t tensors_merged = 0;
  std::uint64_t tensors_copied = 0;
  std::uint64_t bytes_kept = 0;  ///< of an unfinished run's output, found good and not made again
  /// Of the tensors that were merged into a quantised type, what this run wrote, by name.
  std::vector<QuantisationError> errors;
};

/// Carries out `plan` into `sink`, whose tensors are plan.tensors' outputs in the same order. Calls
/// sink.finish(). The result is the same bits for any threads, memory and share of the work. Raises
/// InputError for non-finite inputs, Interrupted when a signal asked to stop, Error when reading or
/// writing fails.
MergeStatistics run_merge(const MergePlan& plan, TensorSink& sink, const EngineOptions& options);

}  // namespace amalgam
