#include "amalgam/weights/unit_writer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "amalgam/checkpoint/importance.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/tensor/quantised.hpp"

namespace amalgam {
namespace {

bool all_blocks(std::size_t /*tensor*/, std::uint64_t /*first*/) { return true; }

void round_to_float(std::span<const double> merged, float* to) {
  std::transform(merged.begin(), merged.end(), to,
                 [](double value) { return static_cast<float>(value); });
}

// Elections and selections compare, which NaN survives unseen.
template <class T>
void spread_nan(const Block<T>& block, std::span<double> merged) {
  const auto spread = [&](const T* values) {
    for (std::size_t i = 0; i < block.count; ++i) {
      if (std::isnan(values[i])) merged[i] = std::numeric_limits<double>::quiet_NaN();
    }
  };
  for (const T* member : block.members) spread(member);
  if (block.base != nullptr) spread(block.base);
}

}  // namespace

UnitWriter::UnitWriter(const MergePlan& plan, const WorkUnit& unit, const UnitMerge& merge,
                       UnitReader& reader, MergeOutput& output, const MemoryShare& share,
                       std::span<WorkerScratch> scratch, const Parallel& parallel)
    : plan_(plan),
      unit_(unit),
      merge_(merge),
      reader_(reader),
      output_(output),
      kept_bytes_(share.kept_bytes),
      scratch_(scratch),
      parallel_(parallel),
      refuses_non_finite_(output.options().non_finite == NonFinite::error),
      spreads_nan_(!refuses_non_finite_ && !plan.rule->info().robust),
      fp8_(plan, unit) {}

void UnitWriter::write(const std::vector<LeafPlace>& leaves) {
  std::vector<LeafPlace> plain;
  std::vector<LeafPlace> scales;
  std::map<std::size_t, WantedLeaves> weights;
  const auto weight = [&](std::size_t tensor) -> WantedLeaves& {
    WantedLeaves& wanted = weights[tensor];
    wanted.leaves.resize(reader_.grid(tensor).leaves());
    return wanted;
  };
  for (const LeafPlace& place : leaves) {
    if (place.tensor >= unit_.with_inputs().size()) {
      scales.push_back(place);
      weight(fp8_.weight_of(place.tensor)).scales = true;
    } else if (fp8_.is_weight(place.tensor)) {
      weight(place.tensor).leaves[place.leaf] = 1;
    } else {
      plain.push_back(place);
    }
  }
  parallel_for(parallel_, plain.size(), [&](std::size_t i, std::size_t worker) {
    check_interrupt();
    write_leaf(plain[i], scratch_[worker]);
  });
  for (const auto& [tensor, wanted] : weights) write_weight(tensor, wanted);
  parallel_for(parallel_, scales.size(), [&](std::size_t i, std::size_t /*worker*/) {
    check_interrupt();
    write_scales(scales[i]);
  });
}

void UnitWriter::write_scales(const LeafPlace& place) {
  const OutputLeaf leaf = leaf_of(place);
  const auto bytes = fp8_.scale_bytes(place.tensor).subspan(leaf.offset, leaf.bytes);
  output_.write(leaf.tensor, leaf.offset, bytes);
  LeafRecord record(output_.options().leaves);
  record.wrote(bytes);
  record.done(leaf);
}

template <class T>
std::span<const double> UnitWriter::merge_block(const Block<T>& block,
                                                WorkerScratch& scratch) const {
  const std::span<double> merged(scratch.merged.get_as<double>(block.count), block.count);
  merge_.apply(block, merged);
  if (spreads_nan_) spread_nan(block, merged);
  return merged;
}

// Calls visit(first, merged) for the blocks of a piece.
template <class Visit>
void UnitWriter::merge_blocks(const Piece& piece, WorkerScratch& scratch,
                              const Visit& visit) const {
  const auto visit_merged = [&](const auto& block) {
    visit(block.first, merge_block(block, scratch));
  };
  if (reader_.wide(piece.tensor)) {
    reader_.visit_blocks<double>(piece, scratch, all_blocks, visit_merged);
  } else {
    reader_.visit_blocks<float>(piece, scratch, all_blocks, visit_merged);
  }
}

void UnitWriter::write_leaf(const LeafPlace& place, WorkerScratch& scratch) {
  const TensorInfo& output = info(place.tensor);
  LeafRecord record(output_.options().leaves);
  reader_.visit_pieces(place.tensor, place.leaf, scratch, all_blocks, [&](const Piece& piece) {
    const std::uint64_t size = dtype_bytes(output.dtype, piece.count);
    const std::span<std::byte> encoded(scratch.encoded.get(size), size);
    merge_blocks(piece, scratch, [&](std::uint64_t first, std::span<const double> merged) {
      const std::span<std::byte> bytes = encoded.subspan(
          dtype_bytes(output.dtype, first - piece.first), dtype_bytes(output.dtype, merged.size()));
      if (fp8_.is_weight(place.tensor)) {
        scratch.rounded.resize(merged.size());
        round_to_float(merged, scratch.rounded.data());
        store_fp8(place, first, scratch.rounded, bytes, scratch);
      } else {
        store(place, first, merged, bytes, scratch);
      }
    });
    output_.write(unit_.tensors[place.tensor], dtype_bytes(output.dtype, piece.first), encoded);
    record.wrote(encoded);
  });
  record.done(leaf_of(place));
}

void UnitWriter::store(const LeafPlace& place, std::uint64_t first, std::span<const double> merged,
                       std::span<std::byte> bytes, WorkerScratch& scratch) {
  const TensorInfo& output = info(place.tensor);
  const ImportanceMatrix* importance = output_.options().importance;
  if (importance != nullptr && dtype_is_quantised(output.dtype) && importance->has(output.name)) {
    scratch.rounded.resize(merged.size());
    round_to_float(merged, scratch.rounded.data());
    scratch.weights.resize(merged.size());
    importance->weights_of(output, first, scratch.weights);
    quantise(output.dtype, scratch.rounded, scratch.weights, bytes);
  } else {
    encode(output.dtype, merged, bytes);
  }
  check_overflow(output, first, merged, bytes);
  const std::size_t index = unit_.tensors[place.tensor];
  if (output_.meter().measures(index)) {
    output_.meter().add(index, place.leaf, merged, std::span<const std::byte>(bytes),
                        scratch.stored);
  }
}

void UnitWriter::store_fp8(const LeafPlace& place, std::uint64_t first,
                           std::span<const float> values, std::span<std::byte> bytes,
                           WorkerScratch& scratch) {
  fp8_.encode(place.tensor, first, values, bytes, scratch.meant);
  check_overflow(info(place.tensor), first, values, bytes);
  output_.meter().add_decoded(unit_.tensors[place.tensor], place.leaf, values,
                              std::span<const float>(scratch.meant));
}

// Finite inputs can still give what the output type cannot hold; a checkpoint with an infinity in
// it is broken, so this is said where it happens.
template <class T>
void UnitWriter::check_overflow(const TensorInfo& output, std::uint64_t first,
                                std::span<const T> merged,
                                std::span<const std::byte> stored) const {
  if (!refuses_non_finite_) return;
  if (const auto found = find_non_finite(output.dtype, stored)) {
    throw InputError(
        "tensor '{}': the merged value {} at index {} does not fit {}; choose a wider --dtype or "
        "smaller weights",
        output.name, merged[*found], first + *found, dtype_name(output.dtype));
  }
}

void UnitWriter::write_weight(std::size_t tensor, const WantedLeaves& wanted) {
  const Fp8Stretches cut =
      cut_into_stretches(reader_.grid(tensor), fp8_.grid(tensor), kept_bytes_, parallel_.workers());
  std::vector<Stretch> stretches;
  for (std::uint64_t first = 0; first < wanted.leaves.size(); first += cut.leaves) {
    const std::uint64_t last = std::min<std::uint64_t>(wanted.leaves.size(), first + cut.leaves);
    const auto at = [&](std::uint64_t leaf) {
      return wanted.leaves.begin() + static_cast<std::ptrdiff_t>(leaf);
    };
    if (wanted.scales || std::find(at(first), at(last), 1) != at(last)) {
      stretches.push_back({tensor, first, last, cut.kept});
    }
  }
  if (cut.side_by_side) {
    parallel_for(parallel_, stretches.size(), [&](std::size_t i, std::size_t worker) {
      write_stretch(stretches[i], wanted, {1, Runner::sequential}, scratch_.subspan(worker, 1));
    });
    return;
  }
  for (const Stretch& stretch : stretches) write_stretch(stretch, wanted, parallel_, scratch_);
}

void UnitWriter::write_stretch(const Stretch& stretch, const WantedLeaves& wanted,
                               const Parallel& parallel, std::span<WorkerScratch> scratch) {
  const BlockGrid& grid = reader_.grid(stretch.tensor);
  const std::uint64_t first = stretch.first * grid.leaf_elements();
  const std::uint64_t count = std::min(grid.elements, stretch.last * grid.leaf_elements()) - first;
  float* const kept = stretch.kept ? scratch.front().kept.get_as<float>(count) : nullptr;
  const auto for_each_leaf = [&](const auto& visit) {
    parallel_for(parallel, stretch.last - stretch.first, [&](std::size_t i, std::size_t worker) {
      check_interrupt();
      const std::uint64_t leaf = stretch.first + i;
      const std::uint64_t offset = i * grid.leaf_elements();
      visit(leaf, kept == nullptr ? nullptr : kept + offset, scratch[worker]);
    });
  };
  for_each_leaf([&](std::uint64_t leaf, float* of_leaf, WorkerScratch& own) {
    measure_leaf(stretch.tensor, leaf, of_leaf, own);
  });
  fp8_.choose_scales(stretch.tensor, first, count);
  for_each_leaf([&](std::uint64_t leaf, const float* of_leaf, WorkerScratch& own) {
    if (wanted.leaves[leaf] == 0) return;
    if (of_leaf == nullptr) {
      write_leaf({stretch.tensor, leaf}, own);
    } else {
      write_kept_leaf({stretch.tensor, leaf}, of_leaf, own);
    }
  });
}

// `kept`: where the leaf's elements are kept, or null.
void UnitWriter::measure_leaf(std::size_t tensor, std::uint64_t leaf, float* kept,
                              WorkerScratch& scratch) {
  const std::uint64_t begin = leaf * reader_.grid(tensor).leaf_elements();
  reader_.visit_pieces(tensor, leaf, scratch, all_blocks, [&](const Piece& piece) {
    merge_blocks(piece, scratch, [&](std::uint64_t first, std::span<const double> merged) {
      scratch.rounded.resize(merged.size());
      float* const to = kept == nullptr ? scratch.rounded.data() : kept + (first - begin);
      round_to_float(merged, to);
      fp8_.measure(tensor, first, {to, merged.size()});
    });
  });
}

void UnitWriter::write_kept_leaf(const LeafPlace& place, const float* kept,
                                 WorkerScratch& scratch) {
  const BlockGrid& grid = reader_.grid(place.tensor);
  const std::uint64_t begin = place.leaf * grid.leaf_elements();
  LeafRecord record(output_.options().leaves);
  reader_.for_each_piece(place.tensor, place.leaf, [&](std::uint64_t first, std::uint64_t count) {
    const std::span<std::byte> encoded(scratch.encoded.get(count), count);  // a byte each
    for (std::uint64_t done = 0; done < count; done += grid.block_elements) {
      const std::uint64_t length = std::min(grid.block_elements, count - done);
      store_fp8(place, first + done, {kept + (first + done - begin), length},
                encoded.subspan(done, length), scratch);
    }
    output_.write(unit_.tensors[place.tensor], first, encoded);
    record.wrote(encoded);
  });
  record.done(leaf_of(place));
}

}  // namespace amalgam
