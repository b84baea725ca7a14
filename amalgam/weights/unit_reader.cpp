#include "amalgam/weights/unit_reader.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>

#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kAlignment = 64;
// How far ahead of reading the system is told what comes next.
constexpr std::uint64_t kReadAhead = 32 << 20;

std::size_t align_up(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

void ScratchBuffer::Free::operator()(std::byte* memory) const { std::free(memory); }

std::byte* ScratchBuffer::get(std::size_t bytes) {
  if (bytes > size_) {
    memory_.reset();
    // Not of huge pages: under a hypervisor that lends memory, first touching those takes many
    // times as long, and nothing is read here in an order that would miss them.
    size_ = align_up(bytes);
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, size_)));
    if (!memory_) throw std::bad_alloc();
  }
  return memory_.get();
}

void ScratchBuffer::release() {
  memory_.reset();
  size_ = 0;
}

UnitReader::UnitReader(const MergePlan& plan, const WorkUnit& unit, bool whole_rows,
                       const MemoryShare& share, ScratchBuffer& resident, NonFinite non_finite,
                       Progress* progress)
    : piece_blocks_(share.piece_blocks),
      resident_(share.resident),
      non_finite_(non_finite),
      progress_(progress) {
  std::size_t resident_bytes = 0;
  for (const std::size_t index : unit.with_inputs()) {
    const PlanTensor& planned = plan.tensors[index];
    Tensor tensor;
    tensor.grid = make_grid(planned.output.shape, whole_rows);
    tensor.members = planned.members.size();
    tensor.has_base = planned.base.has_value();
    tensor.leaf_loaded.resize(resident_ ? tensor.grid.leaves() : 0);
    const auto add = [&](const PlanInput& input) {
      const TensorSource* source = plan.sources[input.source].get();
      const TensorInfo& info = source->tensors()[input.tensor];
      if (info.elements != planned.output.elements) {
        throw Error("{}: tensor '{}' has shape {}, but the plan merges it as {}", source->label(),
                    info.name, format_shape(info.shape), format_shape(planned.output.shape));
      }
      tensor.wide = tensor.wide || info.dtype == DType::f64;
      tensor.inputs.push_back(
          {.source = source, .tensor = input.tensor, .dtype = info.dtype, .resident = nullptr});
      resident_bytes += align_up(info.bytes);
    };
    for (const PlanInput& input : planned.members) add(input);
    if (planned.base) add(*planned.base);
    for (const PlanInput& input : planned.auxiliary) add(input);
    tensors_.push_back(std::move(tensor));
  }
  if (!resident_) return;
  std::byte* place = resident.get(resident_bytes);
  for (Tensor& tensor : tensors_) {
    for (Input& input : tensor.inputs) {
      input.resident = place;
      place += align_up(dtype_bytes(input.dtype, tensor.grid.elements));
    }
  }
}

void UnitReader::fetch(const Input& input, std::uint64_t first, std::uint64_t count,
                       std::byte* to) {
  const std::uint64_t offset = dtype_bytes(input.dtype, first);
  const std::uint64_t bytes = dtype_bytes(input.dtype, count);
  if (offset / kReadAhead != (offset + bytes) / kReadAhead || offset == 0) {
    input.source->will_need(input.tensor, (offset + bytes) / kReadAhead * kReadAhead,
                            2 * kReadAhead);
  }
  input.source->read_bytes(input.tensor, offset, {to, bytes});
  if (non_finite_ == NonFinite::error) check_finite(input, first, {to, bytes});
  bytes_read_.fetch_add(bytes, std::memory_order_relaxed);
  if (progress_ != nullptr) progress_->advance(bytes);
}

void UnitReader::load_leaf(Tensor& tensor, std::uint64_t leaf) {
  if (tensor.leaf_loaded[leaf] != 0) return;
  const std::uint64_t first = leaf * tensor.grid.leaf_elements();
  const std::uint64_t count = std::min(tensor.grid.leaf_elements(), tensor.grid.elements - first);
  for (Input& input : tensor.inputs) {
    fetch(input, first, count, input.resident + dtype_bytes(input.dtype, first));
  }
  tensor.leaf_loaded[leaf] = 1;
}

void UnitReader::for_each_piece(
    std::size_t index, std::uint64_t leaf,
    const std::function<void(std::uint64_t, std::uint64_t)>& visit) const {
  const BlockGrid& grid = tensors_[index].grid;
  const std::uint64_t leaf_end = std::min(grid.elements, (leaf + 1) * grid.leaf_elements());
  const std::uint64_t piece_elements = piece_blocks_ * grid.block_elements;
  for (std::uint64_t first = leaf * grid.leaf_elements(); first < leaf_end;
       first += piece_elements) {
    visit(first, std::min(piece_elements, leaf_end - first));
  }
}

void UnitReader::visit_pieces(std::size_t index, std::uint64_t leaf, WorkerScratch& scratch,
                              const WantsBlock& wants,
                              const std::function<void(const Piece&)>& visit) {
  Tensor& tensor = tensors_[index];
  Piece piece{.tensor = index, .inputs = std::vector<const std::byte*>(tensor.inputs.size())};
  for_each_piece(index, leaf, [&](std::uint64_t first, std::uint64_t count) {
    piece.first = first;
    piece.count = count;
    bool wanted = false;
    for (std::uint64_t at = 0; at < count && !wanted; at += tensor.grid.block_elements) {
      wanted = wants(index, first + at);
    }
    if (!wanted) return;
    if (resident_) {
      load_leaf(tensor, leaf);
      for (std::size_t i = 0; i < tensor.inputs.size(); ++i) {
        Input& input = tensor.inputs[i];
        piece.inputs[i] = input.resident + dtype_bytes(input.dtype, first);
      }
    } else {
      std::size_t bytes = 0;
      for (const Input& input : tensor.inputs) bytes += align_up(dtype_bytes(input.dtype, count));
      std::byte* to = scratch.raw.get(bytes);
      for (std::size_t i = 0; i < tensor.inputs.size(); ++i) {
        fetch(tensor.inputs[i], first, count, to);
        piece.inputs[i] = to;
        to += align_up(dtype_bytes(tensor.inputs[i].dtype, count));
      }
    }
    visit(piece);
  });
}

template <class T>
Block<T> UnitReader::decode_block(const Piece& piece, std::uint64_t offset, WorkerScratch& scratch,
                                  std::vector<const T*>& values) const {
  constexpr DType kSame = sizeof(T) == 8 ? DType::f64 : DType::f32;
  const Tensor& tensor = tensors_[piece.tensor];
  const auto count =
      static_cast<std::size_t>(std::min(tensor.grid.block_elements, piece.count - offset));
  const std::size_t stride = align_up(count * sizeof(T)) / sizeof(T);
  T* to = scratch.decoded.get_as<T>(stride * tensor.inputs.size());
  for (std::size_t i = 0; i < tensor.inputs.size(); ++i, to += stride) {
    const Input& input = tensor.inputs[i];
    const std::span<const std::byte> raw(piece.inputs[i] + dtype_bytes(input.dtype, offset),
                                         dtype_bytes(input.dtype, count));
    if (input.dtype == kSame) {
      values[i] = reinterpret_cast<const T*>(raw.data());
    } else {
      decode(input.dtype, raw, std::span<T>(to, count));
      values[i] = to;
    }
  }
  Block<T> block;
  block.tensor = piece.tensor;
  block.first = piece.first + offset;
  block.count = count;
  const std::span<const T* const> all(values);
  block.members = all.first(tensor.members);
  if (tensor.has_base) block.base = all[tensor.members];
  block.auxiliary = all.subspan(tensor.members + (tensor.has_base ? 1 : 0));
  return block;
}

void UnitReader::check_finite(const Input& input, std::uint64_t first,
                              std::span<const std::byte> raw) {
  const auto found = find_non_finite(input.dtype, raw);
  if (!found) return;
  const std::size_t block = *found / dtype_block_elements(input.dtype);
  const std::size_t block_bytes = dtype_block_bytes(input.dtype);
  std::vector<double> values(dtype_block_elements(input.dtype));
  decode(input.dtype, raw.subspan(block * block_bytes, block_bytes), std::span<double>(values));
  const double value = values[*found % values.size()];
  throw InputError(
      "{}: tensor '{}' has {} at index {}; expected finite numbers (--nan propagate computes with "
      "it)",
      input.source->label(), input.source->tensors()[input.tensor].name,
      std::isnan(value) ? "NaN" : "infinity", first + *found);
}

template Block<float> UnitReader::decode_block(const Piece&, std::uint64_t, WorkerScratch&,
                                               std::vector<const float*>&) const;
template Block<double> UnitReader::decode_block(const Piece&, std::uint64_t, WorkerScratch&,
                                                std::vector<const double*>&) const;

}  // namespace amalgam
