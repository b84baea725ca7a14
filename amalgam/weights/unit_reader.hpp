#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "amalgam/weights/budget.hpp"
#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/units.hpp"

namespace amalgam {

/// Memory aligned for SIMD, grown and never shrunk, without initialising it.
class ScratchBuffer {
 public:
  /// At least `bytes` bytes; the contents of earlier calls are lost when it grows.
  std::byte* get(std::size_t bytes);
  /// Gives the memory back.
  void release();
  template <class T>
  T* get_as(std::size_t count) {
    return reinterpret_cast<T*>(get(count * sizeof(T)));
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_ = 0;
};

/// What one thread needs to work on blocks; kept over units so that memory is allocated once.
struct WorkerScratch {
  ScratchBuffer raw;           ///< one piece of all inputs as stored
  ScratchBuffer decoded;       ///< one block of all inputs as numbers
  ScratchBuffer merged;        ///< one block of output in double
  ScratchBuffer encoded;       ///< one piece of output as stored
  ScratchBuffer resident;      ///< all inputs of a unit that stays in memory
  std::vector<double> stored;  ///< what a quantised block of output stands for, to be compared
  std::vector<float> rounded;  ///< one block of output before it becomes FP8 or quantised
  std::vector<float> meant;    ///< what it stands for then
  std::vector<float> weights;  ///< importance of its elements
  ScratchBuffer kept;          ///< output whose scales are not known yet, as floats
};

/// A run of blocks that is read, and written, at once.
struct Piece {
  std::size_t tensor = 0;
  std::uint64_t first = 0;  ///< element
  std::uint64_t count = 0;
  std::vector<const std::byte*> inputs;  ///< raw bytes of members, base, auxiliary
};

/// Feeds one unit to the engine piece by piece and block by block: reads the inputs (or keeps the
/// whole unit in memory after the first touch), decodes them, refuses NaN and infinity. Threads
/// work on different leaves at the same time.
class UnitReader {
 public:
  /// `resident` holds the inputs if they stay in memory, and is used by this reader alone.
  UnitReader(const MergePlan& plan, const WorkUnit& unit, bool whole_rows, const MemoryShare& share,
             ScratchBuffer& resident, NonFinite non_finite, Progress* progress);

  std::size_t tensor_count() const { return tensors_.size(); }
  const BlockGrid& grid(std::size_t tensor) const { return tensors_[tensor].grid; }
  /// Whether blocks are given in double (an input is F64).
  bool wide(std::size_t tensor) const { return tensors_[tensor].wide; }

  /// Calls visit(first, count) for the runs of elements that make the pieces of a leaf, in order.
  void for_each_piece(std::size_t tensor, std::uint64_t leaf,
                      const std::function<void(std::uint64_t, std::uint64_t)>& visit) const;

  using WantsBlock = std::function<bool(std::size_t tensor, std::uint64_t first)>;
  /// Calls visit(piece) for the pieces of a leaf in order, leaving out those without a wanted
  /// block.
  void visit_pieces(std::size_t tensor, std::uint64_t leaf, WorkerScratch& scratch,
                    const WantsBlock& wants, const std::function<void(const Piece&)>& visit);

  /// Calls visit(const Block<T>&) for the wanted blocks of a piece in order; T as wide() says.
  template <class T, class Visit>
  void visit_blocks(const Piece& piece, WorkerScratch& scratch, const WantsBlock& wants,
                    const Visit& visit) const {
    const Tensor& tensor = tensors_[piece.tensor];
    for (std::uint64_t offset = 0; offset < piece.count; offset += tensor.grid.block_elements) {
      if (!wants(piece.tensor, piece.first + offset)) continue;
      std::vector<const T*> values(tensor.inputs.size());
      visit(decode_block<T>(piece, offset, scratch, values));
    }
  }

  /// Bytes read from the sources so far.
  std::uint64_t bytes_read() const { return bytes_read_.load(std::memory_order_relaxed); }

 private:
  struct Input {
    const TensorSource* source = nullptr;
    std::size_t tensor = 0;
    DType dtype = DType::f32;
    std::byte* resident = nullptr;
  };
  struct Tensor {
    BlockGrid grid;
    bool wide = false;
    bool has_base = false;
    std::size_t members = 0;
    std::vector<Input> inputs;      // members, then the base, then auxiliary ones
    std::vector<char> leaf_loaded;  // resident units; a leaf is touched by one thread at a time
  };

  void fetch(const Input& input, std::uint64_t first, std::uint64_t count, std::byte* to);
  void load_leaf(Tensor& tensor, std::uint64_t leaf);
  template <class T>
  Block<T> decode_block(const Piece& piece, std::uint64_t offset, WorkerScratch& scratch,
                        std::vector<const T*>& values) const;
  static void check_finite(const Input& input, std::uint64_t first, std::span<const std::byte> raw);

  std::vector<Tensor> tensors_;
  const std::uint64_t piece_blocks_;
  const bool resident_;
  const NonFinite non_finite_;
  Progress* const progress_;
  std::atomic<std::uint64_t> bytes_read_{0};
};

}  // namespace amalgam
