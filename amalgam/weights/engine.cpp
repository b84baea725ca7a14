#include "amalgam/weights/engine.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "amalgam/core/cluster.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/shared_fold.hpp"
#include "amalgam/weights/budget.hpp"
#include "amalgam/weights/leaves.hpp"
#include "amalgam/weights/merge_output.hpp"
#include "amalgam/weights/sent_statistic.hpp"
#include "amalgam/weights/unit_reader.hpp"
#include "amalgam/weights/unit_writer.hpp"
#include "amalgam/weights/units.hpp"

namespace amalgam {
namespace {

// A Statistic as a value, for core/fold.hpp and core/shared_fold.hpp.
struct StatisticState {
  std::unique_ptr<Statistic> statistic;
  void combine(StatisticState&& right) const { statistic->combine(*right.statistic); }
  SentStatistic* sent() const { return dynamic_cast<SentStatistic*>(statistic.get()); }
  void archive(StateArchive& archive) const { sent()->archive(archive); }
};

// Of every tensor that is merged; none of those that are copied.
std::vector<std::uint64_t> leaves_by_tensor(const MergePlan& plan,
                                            const std::vector<WorkUnit>& units) {
  std::vector<std::uint64_t> leaves(plan.tensors.size());
  for (const WorkUnit& unit : units) {
    if (unit.copy) continue;
    const std::vector<std::uint64_t> counts = leaf_counts(plan, unit);
    for (std::size_t i = 0; i < counts.size(); ++i) leaves[unit.tensors[i]] = counts[i];
  }
  return leaves;
}

// Weights that become FP8 with scales.
std::vector<std::size_t> fp8_tensors(const MergePlan& plan) {
  std::vector<std::size_t> tensors;
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const PlanTensor& tensor = plan.tensors[i];
    if (tensor.fp8 && tensor.action == PlanTensor::Action::merge) tensors.push_back(i);
  }
  return tensors;
}

class Engine {
 public:
  Engine(const MergePlan& plan, TensorSink& sink, const EngineOptions& options)
      : plan_(plan),
        sink_(sink),
        options_(options),
        buffer_bytes_(buffer_memory(options)),
        statistics_memory_(least(options.share.cluster, statistics_memory(buffer_bytes_))),
        units_(group_units(plan)),
        resident_limit_(resident_limit(plan, units_)),
        output_(
            sink, options,
            QuantisationMeter(sink.tensors(), leaves_by_tensor(plan, units_), fp8_tensors(plan))),
        scratch_(options.parallel.workers()) {}

  MergeStatistics run() {
    // Contradictions between parameters and members come out before any work is done.
    for (const WorkUnit& unit : units_) {
      const bool has =
          !unit.copy && (plan_.rule->begin(view(unit))->needs_pass() || unit.scales > 0);
      has_pass_.push_back(has ? 1 : 0);
    }
    owners_ = share_units(plan_, units_, has_pass_, options_.share.processes);
    for (std::size_t next = 0; next < units_.size();) {
      const std::size_t end = end_of_small_units(next);
      if (end - next > 1) {
        const std::size_t first = next;
        parallel_for(options_.parallel, end - first, [&](std::size_t i, std::size_t worker) {
          process(first + i, {1, Runner::sequential}, worker);
        });
        next = end;
      } else {
        process(next++, options_.parallel, 0);
      }
    }
    sink_.finish();
    statistics_.bytes_read = bytes_read_;
    statistics_.bytes_written = output_.bytes_written();
    statistics_.errors = output_.meter().errors();
    for (const WorkUnit& unit : units_) {
      (unit.copy ? statistics_.tensors_copied : statistics_.tensors_merged) +=
          unit.with_inputs().size();
    }
    return statistics_;
  }

 private:
  MergeUnit view(const WorkUnit& unit) const {
    return make_merge_unit(plan_, unit, options_.seed, statistics_memory_);
  }

  // States that processes combine must be of one size.
  static std::uint64_t least(Cluster* cluster, std::uint64_t memory) {
    if (cluster == nullptr) return memory;
    std::vector<double> all(cluster->size());
    all[cluster->rank()] = static_cast<double>(memory);
    cluster->gather(all, std::vector<std::size_t>(all.size(), 1));
    return static_cast<std::uint64_t>(*std::min_element(all.begin(), all.end()));
  }

  // Whether all processes pass over the unit together. Scales are found of the whole unit.
  bool is_passed_together(std::size_t number) const {
    return options_.share.cluster != nullptr && owners_[number].split && has_pass_[number] != 0 &&
           units_[number].scales == 0;
  }

  // Units too small to share among threads are done several at a time, one per thread.
  std::size_t end_of_small_units(std::size_t begin) const {
    const std::size_t workers = options_.parallel.workers();
    const std::uint64_t limit = buffer_bytes_ / (4 * workers);
    std::size_t end = begin;
    while (workers > 1 && end < units_.size() && is_small(units_[end], limit) &&
           !is_passed_together(end)) {
      ++end;
    }
    return std::max(end, begin + 1);
  }

  bool is_small(const WorkUnit& unit, std::uint64_t limit) const {
    std::uint64_t elements = 0;
    for (const std::size_t index : unit.tensors) elements += plan_.tensors[index].output.elements;
    return elements <= kBlockElements * kLeafBlocks && 3 * input_bytes(plan_, unit) <= limit;
  }

  // `slot`: the worker slot of the caller when `parallel` is sequential.
  void process(std::size_t number, const Parallel& parallel, std::size_t slot) {
    const WorkUnit& unit = units_[number];
    const bool together = is_passed_together(number);
    const std::vector<LeafPlace> leaves = leaves_to_make(unit, owners_[number], parallel);
    // Who has nothing to make still takes part in the passes of the others.
    const bool needed =
        together ? sum_over(options_.share.cluster, static_cast<double>(leaves.size())) > 0
                 : !leaves.empty();
    if (!needed) return;
    if (unit.copy) {
      copy(unit, leaves, parallel, slot);
    } else {
      merge(unit, leaves, together, parallel, slot);
    }
  }

  // This process's leaves of a unit without those that are done already.
  std::vector<LeafPlace> leaves_to_make(const WorkUnit& unit, const UnitOwner& owner,
                                        const Parallel& parallel) {
    if (!owner.split && owner.rank != options_.share.rank) return {};
    const std::vector<LeafPlace> own =
        leaves_of_share(plan_, unit, owner.split ? options_.share : WorkShare{});
    std::vector<char> wanted(own.size(), 1);
    if (options_.leaves != nullptr) {
      parallel_for(parallel, wanted.size(), [&](std::size_t i, std::size_t /*worker*/) {
        check_interrupt();
        const OutputLeaf leaf = output_leaf(plan_, unit, own[i]);
        if (options_.leaves->wants(leaf)) return;
        wanted[i] = 0;
        if (options_.progress != nullptr) options_.progress->advance(leaf.bytes);
      });
    }
    std::vector<LeafPlace> leaves;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] != 0) leaves.push_back(own[i]);
    }
    return leaves;
  }

  void copy(const WorkUnit& unit, const std::vector<LeafPlace>& leaves, const Parallel& parallel,
            std::size_t slot) {
    const std::size_t index = unit.tensors.front();
    const PlanTensor& tensor = plan_.tensors[index];
    const TensorSource& source = *plan_.sources[tensor.members.front().source];
    parallel_for(parallel, leaves.size(), [&](std::size_t i, std::size_t worker) {
      check_interrupt();
      const OutputLeaf leaf = output_leaf(plan_, unit, leaves[i]);
      const std::span<std::byte> bytes(scratch_[slot + worker].encoded.get(leaf.bytes), leaf.bytes);
      source.read_bytes(tensor.members.front().tensor, leaf.offset, bytes);
      output_.write(index, leaf.offset, bytes);
      LeafRecord record(options_.leaves);
      record.wrote(bytes);
      record.done(leaf);
      bytes_read_ += leaf.bytes;
      if (options_.progress != nullptr) options_.progress->advance(leaf.bytes);
    });
  }

  // `together`: all processes are here for the unit's passes.
  void merge(const WorkUnit& unit, const std::vector<LeafPlace>& leaves, bool together,
             const Parallel& parallel, std::size_t slot) {
    const bool rows = has_whole_rows(plan_, unit);
    const std::uint64_t memory = parallel.workers() == options_.parallel.workers()
                                     ? buffer_bytes_
                                     : buffer_bytes_ / options_.parallel.workers();
    MemoryShare share = share_memory(plan_, unit, rows, memory, parallel.workers());
    const Parallel within{share.workers, share.workers == 1 ? Runner::sequential : parallel.runner};
    const MergeUnit merge_unit = view(unit);
    const std::unique_ptr<UnitMerge> merge = plan_.rule->begin(merge_unit);
    // Without a second pass there is nothing to keep.
    share.resident = share.resident && input_bytes(plan_, unit) <= resident_limit_ &&
                     (merge->needs_pass() || merges_twice(plan_, unit, rows, share));
    make_room(unit, share, scratch_[slot]);
    UnitReader reader(plan_, unit, rows, share, scratch_[slot].resident, options_.non_finite,
                      options_.progress);
    while (merge->needs_pass()) run_pass(merge_unit, *merge, reader, together, within, slot);
    UnitWriter(plan_, unit, *merge, reader, output_, share, std::span(scratch_).subspan(slot),
               within)
        .write(leaves);
    bytes_read_ += reader.bytes_read();
  }

  // Large buffers that only units of another kind need are given back.
  void make_room(const WorkUnit& unit, const MemoryShare& share, WorkerScratch& scratch) const {
    constexpr std::uint64_t kLarge = 16 << 20;
    if (!share.resident && share.kept_bytes > kLarge) scratch.resident.release();
    if (share.resident && share.kept_bytes == 0 && input_bytes(plan_, unit) > kLarge) {
      scratch.kept.release();
    }
  }

  void run_pass(const MergeUnit& unit, UnitMerge& merge, UnitReader& reader, bool together,
                const Parallel& parallel, std::size_t slot) {
    std::vector<std::uint64_t> counts(reader.tensor_count());
    for (std::size_t tensor = 0; tensor < counts.size(); ++tensor) {
      if (!unit.tensors[tensor].tied) counts[tensor] = reader.grid(tensor).leaves();
    }
    const LeafIndex leaves(counts);
    const UnitReader::WantsBlock wants = [&](std::size_t tensor, std::uint64_t first) {
      return merge.wants_block(tensor, first);
    };
    const auto make_empty = [&] { return StatisticState{merge.make_statistic()}; };
    const auto make_leaf = [&](std::size_t index, std::size_t worker) {
      check_interrupt();
      WorkerScratch& scratch = scratch_[slot + worker];
      StatisticState state = make_empty();
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
    };
    auto total =
        together && make_empty().sent() != nullptr
            ? shared_fold(*options_.share.cluster, parallel, leaves.count(), make_leaf, make_empty)
            : fold(parallel, leaves.count(), make_leaf);
    merge.solve(total ? std::move(total->statistic) : nullptr);
  }

  const MergePlan& plan_;
  TensorSink& sink_;
  const EngineOptions& options_;
  const std::uint64_t buffer_bytes_;
  const std::uint64_t statistics_memory_;
  const std::vector<WorkUnit> units_;
  const std::uint64_t resident_limit_;
  std::vector<char> has_pass_;     // per unit
  std::vector<UnitOwner> owners_;  // likewise
  MergeOutput output_;
  std::vector<WorkerScratch> scratch_;
  std::atomic<std::uint64_t> bytes_read_{0};
  MergeStatistics statistics_;
};

}  // namespace

WorkEstimate estimate_work(const MergePlan& plan, const EngineOptions& options) {
  WorkEstimate estimate;
  const std::uint64_t memory = buffer_memory(options);
  const std::vector<WorkUnit> units = group_units(plan);
  const std::uint64_t most_kept = resident_limit(plan, units);
  for (const WorkUnit& unit : units) {
    const PlanTensor& first = plan.tensors[unit.tensors.front()];
    std::uint64_t passes = 1;
    if (!unit.copy) {
      const MemoryShare share =
          share_memory(plan, unit, has_whole_rows(plan, unit), memory, options.parallel.workers());
      const bool rows = has_whole_rows(plan, unit);
      const std::uint64_t for_scales = merges_twice(plan, unit, rows, share) ? 1 : 0;
      const bool kept = share.resident && input_bytes(plan, unit) <= most_kept;
      if (!kept) passes = plan.rule->passes(first.parameters).size() + for_scales;
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
