#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// A checkpoint to write: all tensors are declared at construction, the final place of every byte
/// is fixed and space is reserved then; afterwards bytes may come in any order from any thread. An
/// Error naming the file is thrown when the disk is full or fails.
class TensorSink {
 public:
  virtual ~TensorSink() = default;

  /// The tensors as declared, in the order `write` indexes them.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }

  /// Writes raw bytes of tensor `tensor` at byte `offset` of its contents.
  virtual void write(std::size_t tensor, std::uint64_t offset,
                     std::span<const std::byte> bytes) = 0;

  /// Flushes everything to the device (fsync) and writes what belongs at the end (the index of a
  /// sharded folder). After it nothing may be written.
  virtual void finish() = 0;

 protected:
  explicit TensorSink(std::vector<TensorInfo> tensors) : tensors_(std::move(tensors)) {}

 private:
  std::vector<TensorInfo> tensors_;
};

/// How a sink comes to its files.
enum class SinkStart {
  create,  ///< they are new; Error where one exists
  resume,  ///< what an unfinished run left is kept with its contents; the others are new
  join,    ///< another process has made them and finishes the checkpoint: all are there
};

/// A sink into files, of which can be read what is in them already: all of it with
/// SinkStart::resume, else what was written. Reading needs no order either.
class FileSink : public TensorSink {
 public:
  /// Fills `out` from byte `offset` of the contents of tensor `tensor`.
  virtual void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> out) const = 0;

 protected:
  using TensorSink::TensorSink;
};

}  // namespace amalgam
