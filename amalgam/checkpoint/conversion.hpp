#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "amalgam/checkpoint/importance.hpp"
#include "amalgam/checkpoint/quantisation_error.hpp"
#include "amalgam/checkpoint/quantised_types.hpp"
#include "amalgam/checkpoint/sink.hpp"
#include "amalgam/checkpoint/source.hpp"
#include "amalgam/core/parallel.hpp"
#include "amalgam/core/progress.hpp"

namespace amalgam {

/// The families of formats that can be written.
enum class Container { safetensors, gguf };

/// The tensors of `source` as a container will hold them, in the order of source.tensors().
/// Integers and BOOL stay as they are. Floating-point ones become `wanted` if it is given (not a
/// quantised type, for which there is the function below). Without `wanted` they stay too, as far
/// as the container has their type: in safetensors the quantised ones become F32, in GGUF F8
/// becomes F16, all without loss.
std::vector<TensorInfo> converted_tensors(const TensorSource& source, std::optional<DType> wanted,
                                          Container container);

/// The tensors of `source` in a GGUF file with quantised matrices, as QuantisedTypes says; warns
/// where rows do not fit the type's blocks.
std::vector<TensorInfo> quantised_tensors(const TensorSource& source, Quantisation wanted);

/// What a conversion did.
struct ConversionStatistics {
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t tensors_converted = 0;  ///< with another type than before
  std::uint64_t overflows = 0;  ///< finite numbers that the new type cannot hold; warned of by name
  std::vector<QuantisationError> errors;  ///< of the tensors that became quantised, by name
};

/// Streams all tensors of `source` into `sink`, whose tensors() are those of the source in the same
/// order, each of its own type or another: rounded once, to nearest even. Tensors of equal type are
/// copied byte for byte. With `importance`, errors of the quantised tensors that it knows are
/// weighed by it; the others are warned of. Calls sink.finish(). Memory is about 8 MB per thread;
/// the bytes written do not depend on `parallel`. Raises what reading and writing raise,
/// Interrupted, and InputError if the importance matrix does not suit.
ConversionStatistics convert_tensors(const TensorSource& source, TensorSink& sink,
                                     const Parallel& parallel, Progress* progress = nullptr,
                                     const ImportanceMatrix* importance = nullptr);

}  // namespace amalgam
