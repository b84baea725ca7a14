#include "amalgam/weights/budget.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "amalgam/checkpoint/stored_tensors.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/fp8_stretches.hpp"

namespace amalgam {
namespace {

// What threads, allocator slack and the page tables of buffers add to what is held at the start.
constexpr std::uint64_t kOverhead = 8'000'000;
// Reads of a leaf's worth of a 16-bit type: large enough that system calls do not count, small
// enough that the pieces of a few members stay in the last-level cache.
constexpr std::uint64_t kPieceBytes = 256 << 10;

// What touching a byte of memory for the first time costs, and reading one again that must be
// computed, where a copy out of the page cache costs 1. As measured, in orders of magnitude.
constexpr std::uint64_t kTouchingCost = 4;
constexpr std::uint64_t kComputingCost = 16;
constexpr std::uint64_t kAlwaysKept = 32'000'000;

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  if (!(statm >> size >> resident)) return 24'000'000;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

const TensorInfo& input_info(const MergePlan& plan, const PlanInput& input) {
  return plan.sources[input.source]->tensors()[input.tensor];
}

template <class F>
void for_each_input(const PlanTensor& tensor, F visit) {
  for (const PlanInput& input : tensor.members) visit(input);
  if (tensor.base) visit(*tensor.base);
  for (const PlanInput& input : tensor.auxiliary) visit(input);
}

std::uint64_t reading_cost(const MergePlan& plan, const WorkUnit& unit) {
  bool stored = true;
  for (const std::size_t index : unit.with_inputs()) {
    for_each_input(plan.tensors[index], [&](const PlanInput& input) {
      stored = stored && is_stored(*plan.sources[input.source], input.tensor);
    });
  }
  return stored ? 1 : kComputingCost;
}

// A pass that samples, as its name says first, reads a few blocks.
std::uint64_t passes_after_first(const MergePlan& plan, const WorkUnit& unit) {
  const std::vector<std::string> passes =
      plan.rule->passes(plan.tensors[unit.tensors.front()].parameters);
  const auto whole = std::ranges::count_if(
      passes, [](const std::string& pass) { return !pass.starts_with("sample"); });
  return static_cast<std::uint64_t>(whole) - 1 + (unit.scales > 0 ? 1 : 0);
}

// Bytes that one worker holds for one block of `tensor`: raw and decoded inputs; and the output.
struct BlockCost {
  std::uint64_t raw = 0;      // per block of a piece
  std::uint64_t scratch = 0;  // once
  std::uint64_t widest = 1;   // bytes per element of the widest input
};

BlockCost block_cost(const MergePlan& plan, const PlanTensor& tensor, std::uint64_t elements) {
  BlockCost cost;
  for_each_input(tensor, [&](const PlanInput& input) {
    const DType dtype = input_info(plan, input).dtype;
    const std::uint64_t unit = dtype_block_elements(dtype);
    cost.raw += dtype_bytes(dtype, (elements + unit - 1) / unit * unit);
    cost.scratch += elements * (dtype == DType::f64 ? 8 : 4);
    cost.widest = std::max(cost.widest, dtype_block_bytes(dtype) / dtype_block_elements(dtype));
  });
  cost.raw += elements * 8;  // the encoded output, of any type
  cost.scratch += elements * 8;
  // What quantising changed, to be measured.
  if (dtype_is_quantised(tensor.output.dtype) || tensor.fp8) cost.scratch += elements * 8;
  // Of what an importance matrix weighs: as floats, and the weights.
  if (dtype_is_quantised(tensor.output.dtype)) cost.scratch += elements * 8;
  if (tensor.fp8) cost.scratch += elements * 4;
  return cost;
}

template <class F>
void for_each_fp8(const MergePlan& plan, const WorkUnit& unit, bool whole_rows, F visit) {
  if (unit.scales == 0) return;
  for (const std::size_t index : unit.with_inputs()) {
    const PlanTensor& tensor = plan.tensors[index];
    if (!tensor.fp8) continue;
    const Shape& shape = tensor.output.shape;
    visit(make_grid(shape, whole_rows), Fp8Grid(shape, *tensor.fp8));
  }
}

// What working on pieces leaves: inputs that are read once only, and output that is merged once.
void share_rest(const MergePlan& plan, const WorkUnit& unit, bool whole_rows, std::uint64_t bytes,
                MemoryShare& share) {
  std::uint64_t wanted = 0;
  for_each_fp8(plan, unit, whole_rows, [&](const BlockGrid& leaves, const Fp8Grid& scales) {
    wanted = std::max(wanted, wanted_kept_bytes(leaves, scales, share.workers));
  });
  share.kept_bytes = std::min(wanted, bytes / 2);
  share.resident = bytes > 0 && input_bytes(plan, unit) <= bytes - share.kept_bytes;
  if (!share.resident) share.kept_bytes = std::min(wanted, bytes);
}

}  // namespace

std::uint64_t buffer_memory(const EngineOptions& options) {
  if (options.memory < kLeastMemory) {
    throw InputError("--memory: {} is too little; expected at least {}",
                     format_bytes(options.memory), format_bytes(kLeastMemory));
  }
  const std::uint64_t held = resident_bytes() + kOverhead;
  const std::uint64_t least = kLeastMemory / 4;
  return options.memory > held + least ? options.memory - held : least;
}

std::uint64_t statistics_memory(std::uint64_t buffer_bytes) { return buffer_bytes / 4; }

std::uint64_t resident_limit(const MergePlan& plan, const std::vector<WorkUnit>& units) {
  struct Candidate {
    std::uint64_t bytes = 0;
    std::uint64_t reading = 0;  // again, in the passes after the first, if it is not kept
  };
  std::vector<Candidate> candidates;
  for (const WorkUnit& unit : units) {
    if (unit.copy) continue;
    const std::uint64_t bytes = input_bytes(plan, unit);
    candidates.push_back(
        {bytes, bytes * passes_after_first(plan, unit) * reading_cost(plan, unit)});
  }
  std::ranges::sort(candidates, {}, &Candidate::bytes);
  std::uint64_t reading = 0;
  for (const Candidate& one : candidates) reading += one.reading;
  std::uint64_t limit = 0;  // none is kept
  std::uint64_t least = reading;
  for (const Candidate& one : candidates) {
    reading -= one.reading;  // from here on: of those that are larger
    const std::uint64_t cost = kTouchingCost * one.bytes + reading;
    if (one.bytes > kAlwaysKept && cost >= least) continue;
    limit = one.bytes;
    least = cost;
  }
  return limit;
}

std::uint64_t input_bytes(const MergePlan& plan, const WorkUnit& unit) {
  std::uint64_t bytes = 0;
  for (const std::size_t index : unit.tensors) {
    for_each_input(plan.tensors[index],
                   [&](const PlanInput& input) { bytes += input_info(plan, input).bytes; });
  }
  return bytes;
}

MemoryShare share_memory(const MergePlan& plan, const WorkUnit& unit, bool whole_rows,
                         std::uint64_t buffer_bytes, std::size_t workers) {
  const std::uint64_t for_buffers = buffer_bytes - statistics_memory(buffer_bytes);
  BlockCost largest;
  std::uint64_t most_blocks = 1;
  std::uint64_t wanted_blocks = 1;
  std::size_t costliest = unit.tensors.front();
  for (const std::size_t index : unit.with_inputs()) {
    const PlanTensor& tensor = plan.tensors[index];
    const BlockGrid grid = make_grid(tensor.output.shape, whole_rows);
    const std::uint64_t block =
        std::min(grid.block_elements, std::max<std::uint64_t>(1, grid.elements));
    const BlockCost cost = block_cost(plan, tensor, block);
    if (cost.raw + cost.scratch > largest.raw + largest.scratch) {
      largest = cost;
      costliest = index;
    }
    most_blocks =
        std::max(most_blocks, std::min(grid.leaf_blocks, (grid.elements + block - 1) / block));
    wanted_blocks = std::max(wanted_blocks, kPieceBytes / (block * cost.widest));
  }
  const auto cost_of = [&](std::size_t threads, std::uint64_t blocks) {
    return threads * (largest.scratch + largest.raw * blocks);
  };
  MemoryShare share;
  share.workers = workers;
  // A piece may take at most half, so that small units can stay resident beside it.
  while (share.workers > 1 && cost_of(share.workers, 1) > for_buffers / 2) --share.workers;
  if (cost_of(1, 1) > for_buffers) {
    throw InputError(
        "tensor '{}': one block of its {} inputs needs {}, but the memory budget leaves {}; raise "
        "--memory",
        plan.tensors[costliest].output.name,
        plan.tensors[costliest].members.size() + (plan.tensors[costliest].base ? 1 : 0),
        format_bytes(cost_of(1, 1)), format_bytes(for_buffers));
  }
  share.piece_blocks = std::min(wanted_blocks, most_blocks);
  while (share.piece_blocks > 1 && cost_of(share.workers, share.piece_blocks) > for_buffers / 2) {
    --share.piece_blocks;
  }
  share_rest(plan, unit, whole_rows, for_buffers - cost_of(share.workers, share.piece_blocks),
             share);
  return share;
}

bool merges_twice(const MergePlan& plan, const WorkUnit& unit, bool whole_rows,
                  const MemoryShare& share) {
  bool twice = false;
  for_each_fp8(plan, unit, whole_rows, [&](const BlockGrid& leaves, const Fp8Grid& scales) {
    twice = twice || !cut_into_stretches(leaves, scales, share.kept_bytes, share.workers).kept;
  });
  return twice;
}

}  // namespace amalgam
