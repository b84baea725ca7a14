#pragma once

#include <cstddef>
#include <cstdint>

#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/units.hpp"

namespace amalgam {

/// The smallest EngineOptions::memory.
inline constexpr std::uint64_t kLeastMemory = 64'000'000;

/// How the memory budget is spent on one unit. Only speed depends on it.
struct MemoryShare {
  std::size_t workers = 1;
  std::uint64_t piece_blocks = 1;  ///< blocks of every input that one read fetches
  bool resident = false;           ///< all inputs of the unit stay in memory between passes
  std::uint64_t kept_bytes = 0;    ///< of merged FP8 weights, all threads together (Fp8Stretches)
};

/// Bytes of EngineOptions::memory that are left for buffers and statistics, given what the process
/// holds already. InputError when the budget is below kLeastMemory.
std::uint64_t buffer_memory(const EngineOptions& options);

/// The part of buffer_memory that statistics may use.
std::uint64_t statistics_memory(std::uint64_t buffer_bytes);

/// Splits `buffer_bytes` for `unit`, to be worked on by at most `workers` threads. InputError
/// naming the tensor and the memory needed when even one thread with one block does not fit.
MemoryShare share_memory(const MergePlan& plan, const WorkUnit& unit, bool whole_rows,
                         std::uint64_t buffer_bytes, std::size_t workers);

/// Whether a unit has FP8 weights of which not enough can be kept, so that they are merged twice.
bool merges_twice(const MergePlan& plan, const WorkUnit& unit, bool whole_rows,
                  const MemoryShare& share);

/// The most bytes of inputs for which a unit is worth keeping in memory between passes. To touch
/// memory for the first time takes longer than to read what lies in the page cache once more, so a
/// few large units (embeddings) of a small model are read again, while many equal ones share memory
/// that was touched once. Only units of stored tensors (checkpoint/stored_tensors.hpp) are.
std::uint64_t resident_limit(const MergePlan& plan, const std::vector<WorkUnit>& units);

/// Raw bytes of all inputs of a unit.
std::uint64_t input_bytes(const MergePlan& plan, const WorkUnit& unit);

}  // namespace amalgam
