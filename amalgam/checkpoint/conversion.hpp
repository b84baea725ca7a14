#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "amalgam/checkpoint/sink.hpp"
#include "amalgam/checkpoint/source.hpp"
#include "amalgam/core/parallel.hpp"
#include "amalgam/core/progress.hpp"

namespace amalgam {

/// The families of formats that can be written.
enum class Container { safetensors, gguf };

/// The tensors of `source` as a container will hold them, in the order of source.tensors().
/// Integers and BOOL stay as they are. Floating-point ones become `wanted` if it is given, except
/// that a quantised `wanted` only applies to 2-d tensors whose rows are multiples of 32: the others
/// stay F32, F16 or BF16 (F64 becomes F32, F8 becomes F16, in which it is exact). Without `wanted`
/// they stay too, as far as the container has their type: in safetensors the quantised ones become
/// F32, in GGUF F8 becomes F16, all without loss.
/// InputError if safetensors is to hold a quantised `wanted`.
std::vector<TensorInfo> converted_tensors(const TensorSource& source, std::optional<DType> wanted,
                                          Container container);

/// What a conversion did.
struct ConversionStatistics {
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t tensors_converted = 0;  ///< with another type than before
  std::uint64_t overflows = 0;  ///< finite numbers that the new type cannot hold; warned of by name
};

/// Streams all tensors of `source` into `sink`, whose tensors() are those of the source in the same
/// order, each of its own type or another: rounded once, to nearest even. Tensors of equal type are
/// copied byte for byte. Calls sink.finish(). Memory is about 8 MB per thread; the bytes written do
/// not depend on `parallel`. Raises what reading and writing raise, and Interrupted.
ConversionStatistics convert_tensors(const TensorSource& source, TensorSink& sink,
                                     const Parallel& parallel, Progress* progress = nullptr);

}  // namespace amalgam
