#include "amalgam/weights/engine.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/weights/budget.hpp"
#include "amalgam/weights/unit_reader.hpp"
#include "amalgam/weights/units.hpp"

namespace amalgam {
namespace {

constexpr std::uint64_t kCopyBytes = 1 << 20;

// A Statistic as a value, for core/fold.hpp.
struct StatisticState {
  std::unique_ptr<Statistic> statistic;
  void combine(StatisticState&& right) const { statistic->combine(*right.statistic); }
};

// Which leaf of which tensor a fold's leaf number means.
struct LeafPlace {
  std::size_t tensor = 0;
  std::uint64_t leaf = 0;
};

class LeafIndex {
 public:
  template <class Include>
  LeafIndex(const UnitReader& reader, Include include) {
    for (std::size_t tensor = 0; tensor < reader.tensor_count(); ++tensor) {
      if (!include(tensor)) continue;
      first_.push_back(count_);
      tensor_.push_back(tensor);
      count_ += reader.grid(tensor).leaves();
    }
  }
  std::uint64_t count() const { return count_; }
  LeafPlace place(std::uint64_t leaf) const {
    const auto after = std::upper_bound(first_.begin(), first_.end(), leaf);
    const auto slot = static_cast<std::size_t>(after - first_.begin()) - 1;
    return {tensor_[slot], leaf - first_[slot]};
  }

 private:
  std::vector<std::uint64_t> first_;
  std::vector<std::size_t> tensor_;
  std::uint64_t count_ = 0;
};

class Engine {
 public:
  Engine(const MergePlan& plan, TensorSink& sink, const EngineOptions& options)
      : plan_(plan),
        sink_(sink),
        options_(options),
        buffer_bytes_(buffer_memory(options)),
        spreads_nan_(options.non_finite == NonFinite::propagate && !plan.rule->info().robust),
        units_(group_units(plan)),
        scratch_(options.parallel.workers()) {}

  MergeStatistics run() {
    // Contradictions between parameters and members come out before any work is done.
    for (const WorkUnit& unit : units_) {
      if (!unit.copy) (void)plan_.rule->begin(view(unit));
    }
    for (std::size_t next = 0; next < units_.size();) {
      const std::size_t end = end_of_small_units(next);
      if (end - next > 1) {
        const std::size_t first = next;
        parallel_for(options_.parallel, end - first, [&](std::size_t i, std::size_t worker) {
          process(units_[first + i], {1, Runner::sequential}, worker);
        });
        next = end;
      } else {
        process(units_[next++], options_.parallel, 0);
      }
    }
    sink_.finish();
    statistics_.bytes_read = bytes_read_;
    statistics_.bytes_written = bytes_written_;
    for (const WorkUnit& unit : units_) {
      (unit.copy ? statistics_.tensors_copied : statistics_.tensors_merged) += unit.tensors.size();
    }
    return statistics_;
  }

 private:
  MergeUnit view(const WorkUnit& unit) const {
    return make_merge_unit(plan_, unit, options_.seed, statistics_memory(buffer_bytes_));
  }

  bool whole_rows(const WorkUnit& unit) const {
    return plan_.rule->whole_rows(plan_.tensors[unit.tensors.front()].parameters);
  }

  // Units too small to share among threads are done several at a time, one per thread.
  std::size_t end_of_small_units(std::size_t begin) const {
    const std::size_t workers = options_.parallel.workers();
    const std::uint64_t limit = buffer_bytes_ / (4 * workers);
    std::size_t end = begin;
    while (workers > 1 && end < units_.size() && is_small(units_[end], limit)) ++end;
    return std::max(end, begin + 1);
  }

  bool is_small(const WorkUnit& unit, std::uint64_t limit) const {
    std::uint64_t elements = 0;
    for (const std::size_t index : unit.tensors) elements += plan_.tensors[index].output.elements;
    return elements <= kBlockElements * kLeafBlocks && 3 * input_bytes(plan_, unit) <= limit;
  }

  // `slot`: the worker slot of the caller when `parallel` is sequential.
  void process(const WorkUnit& unit, const Parallel& parallel, std::size_t slot) {
    if (unit.copy) {
      copy(unit, parallel, slot);
    } else {
      merge(unit, parallel, slot);
    }
  }

  void copy(const WorkUnit& unit, const Parallel& parallel, std::size_t slot) {
    const std::size_t index = unit.tensors.front();
    const PlanTensor& tensor = plan_.tensors[index];
    const TensorSource& source = *plan_.sources[tensor.members.front().source];
    const std::uint64_t total = tensor.output.bytes;
    parallel_for(parallel, (total + kCopyBytes - 1) / kCopyBytes,
                 [&](std::size_t piece, std::size_t worker) {
                   check_interrupt();
                   const std::uint64_t offset = piece * kCopyBytes;
                   const std::uint64_t bytes = std::min(kCopyBytes, total - offset);
                   std::byte* buffer = scratch_[slot + worker].encoded.get(bytes);
                   source.read_bytes(tensor.members.front().tensor, offset, {buffer, bytes});
                   sink_.write(index, offset, {buffer, bytes});
                   bytes_read_ += bytes;
                   count_written(bytes);
                   if (options_.progress != nullptr) options_.progress->advance(bytes);
                 });
  }

  void merge(const WorkUnit& unit, const Parallel& parallel, std::size_t slot) {
    const bool rows = whole_rows(unit);
    const std::uint64_t memory = parallel.workers() == options_.parallel.workers()
                                     ? buffer_bytes_
                                     : buffer_bytes_ / options_.parallel.workers();
    MemoryShare share = share_memory(plan_, unit, rows, memory, parallel.workers());
    const Parallel within{share.workers, share.workers == 1 ? Runner::sequential : parallel.runner};
    const MergeUnit merge_unit = view(unit);
    const std::unique_ptr<UnitMerge> merge = plan_.rule->begin(merge_unit);
    // Without a second pass there is nothing to keep.
    share.resident = share.resident && merge->needs_pass();
    UnitReader reader(plan_, unit, rows, share, scratch_[slot].resident, options_.non_finite,
                      options_.progress);
    while (merge->needs_pass()) run_pass(merge_unit, *merge, reader, within, slot);
    apply(unit, *merge, reader, within, slot);
    bytes_read_ += reader.bytes_read();
  }

  void run_pass(const MergeUnit& unit, UnitMerge& merge, UnitReader& reader,
                const Parallel& parallel, std::size_t slot) {
    const LeafIndex leaves(reader, [&](std::size_t tensor) { return !unit.tensors[tensor].tied; });
    const UnitReader::WantsBlock wants = [&](std::size_t tensor, std::uint64_t first) {
      return merge.wants_block(tensor, first);
    };
    auto total = fold(parallel, leaves.count(), [&](std::size_t index, std::size_t worker) {
      check_interrupt();
      WorkerScratch& scratch = scratch_[slot + worker];
      StatisticState state{merge.make_statistic()};
      const LeafPlace place = leaves.place(index);
      const auto absorb = [&](const auto& block) { state.statistic->absorb(block); };
      reader.visit_pieces(place.tensor, place.leaf, scratch, wants, [&](const Piece& piece) {
        if (reader.wide(place.tensor)) {
          reader.visit_blocks<double>(piece, scratch, wants, absorb);
        } else {
          reader.visit_blocks<float>(piece, scratch, wants, absorb);
        }
      });
      return state;
    });
    merge.solve(total ? std::move(total->statistic) : nullptr);
  }

  void apply(const WorkUnit& unit, const UnitMerge& merge, UnitReader& reader,
             const Parallel& parallel, std::size_t slot) {
    const LeafIndex leaves(reader, [](std::size_t) { return true; });
    const UnitReader::WantsBlock all = [](std::size_t, std::uint64_t) { return true; };
    parallel_for(parallel, leaves.count(), [&](std::size_t index, std::size_t worker) {
      check_interrupt();
      WorkerScratch& scratch = scratch_[slot + worker];
      const LeafPlace place = leaves.place(index);
      reader.visit_pieces(place.tensor, place.leaf, scratch, all, [&](const Piece& piece) {
        apply_piece(unit.tensors[place.tensor], merge, reader, piece, scratch);
      });
    });
  }

  void apply_piece(std::size_t index, const UnitMerge& merge, const UnitReader& reader,
                   const Piece& piece, WorkerScratch& scratch) {
    const TensorInfo& output = plan_.tensors[index].output;
    std::byte* encoded = scratch.encoded.get(dtype_bytes(output.dtype, piece.count));
    const auto merge_block = [&](const auto& block) {
      const std::span<double> merged(scratch.merged.get_as<double>(block.count), block.count);
      merge.apply(block, merged);
      if (spreads_nan_) spread_nan(block, merged);
      const std::span<std::byte> bytes(
          encoded + dtype_bytes(output.dtype, block.first - piece.first),
          dtype_bytes(output.dtype, block.count));
      encode(output.dtype, std::span<const double>(merged), bytes);
      if (options_.non_finite == NonFinite::error) {
        check_overflow(output, block.first, merged, bytes);
      }
    };
    const UnitReader::WantsBlock all = [](std::size_t, std::uint64_t) { return true; };
    if (reader.wide(piece.tensor)) {
      reader.visit_blocks<double>(piece, scratch, all, merge_block);
    } else {
      reader.visit_blocks<float>(piece, scratch, all, merge_block);
    }
    const std::uint64_t bytes = dtype_bytes(output.dtype, piece.count);
    sink_.write(index, dtype_bytes(output.dtype, piece.first), {encoded, bytes});
    count_written(bytes);
  }

  // Elections and selections compare, which NaN survives unseen.
  template <class T>
  static void spread_nan(const Block<T>& block, std::span<double> merged) {
    const auto spread = [&](const T* values) {
      for (std::size_t i = 0; i < block.count; ++i) {
        if (std::isnan(values[i])) merged[i] = std::numeric_limits<double>::quiet_NaN();
      }
    };
    for (const T* member : block.members) spread(member);
    if (block.base != nullptr) spread(block.base);
  }

  // Finite inputs can still give what the output type cannot hold; a checkpoint with an infinity in
  // it is broken, so this is said where it happens.
  static void check_overflow(const TensorInfo& output, std::uint64_t first,
                             std::span<const double> merged, std::span<const std::byte> stored) {
    if (const auto found = find_non_finite(output.dtype, stored)) {
      throw InputError(
          "tensor '{}': the merged value {} at index {} does not fit {}; choose a wider --dtype or "
          "smaller weights",
          output.name, merged[*found], first + *found, dtype_name(output.dtype));
    }
  }

  void count_written(std::uint64_t bytes) {
    bytes_written_ += bytes;
    if (options_.progress != nullptr) options_.progress->advance(bytes);
  }

  const MergePlan& plan_;
  TensorSink& sink_;
  const EngineOptions& options_;
  const std::uint64_t buffer_bytes_;
  const bool spreads_nan_;
  const std::vector<WorkUnit> units_;
  std::vector<WorkerScratch> scratch_;
  std::atomic<std::uint64_t> bytes_read_{0};
  std::atomic<std::uint64_t> bytes_written_{0};
  MergeStatistics statistics_;
};

}  // namespace

WorkEstimate estimate_work(const MergePlan& plan, const EngineOptions& options) {
  WorkEstimate estimate;
  const std::uint64_t memory = buffer_memory(options);
  for (const WorkUnit& unit : group_units(plan)) {
    const PlanTensor& first = plan.tensors[unit.tensors.front()];
    std::uint64_t passes = 1;
    if (!unit.copy) {
      const bool rows = plan.rule->whole_rows(first.parameters);
      const MemoryShare share = share_memory(plan, unit, rows, memory, options.parallel.workers());
      if (!share.resident) passes = plan.rule->passes(first.parameters).size();
    }
    estimate.bytes_read += passes * input_bytes(plan, unit);
    for (const std::size_t index : unit.tensors) {
      estimate.bytes_written += plan.tensors[index].output.bytes;
    }
  }
  return estimate;
}

MergeStatistics run_merge(const MergePlan& plan, TensorSink& sink, const EngineOptions& options) {
  return Engine(plan, sink, options).run();
}

}  // namespace amalgam
