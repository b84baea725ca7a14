#include "amalgam/checkpoint/conversion.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <span>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/tensor/quantised.hpp"

namespace amalgam {
namespace {

// What is written at once, and what is worked on at once, which stays in the second-level cache
// with what it becomes and what that means. Multiples of every block.
constexpr std::uint64_t kPieceElements = 262'144;
constexpr std::uint64_t kChunkElements = 16'384;

DType choose_dtype(const TensorInfo& info, std::optional<DType> wanted, Container container) {
  if (!dtype_is_floating(info.dtype)) return info.dtype;
  if (wanted) return *wanted;
  if (container == Container::safetensors) {
    return dtype_is_quantised(info.dtype) ? DType::f32 : info.dtype;
  }
  return info.dtype == DType::f64 ? info.dtype : without_quantisation(info.dtype);
}

/// Finite numbers of at least this magnitude are not finite in `dtype`.
double overflow_magnitude(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return 0x1.ffffffp127;
    case DType::bf16:
      return 0x1.ffp127;
    case DType::f16:
      return 65520;
    case DType::f8_e5m2:
      return 61440;
    case DType::f8_e4m3:
      return std::nextafter(464.0, 1000.0);  // 464 itself is a tie that goes to 448
    default:
      return std::numeric_limits<double>::infinity();
  }
}

template <class T>
std::uint64_t count_overflows(std::span<const T> values, double limit) {
  std::uint64_t count = 0;
  for (const T value : values) {
    const double magnitude = std::abs(static_cast<double>(value));
    count += static_cast<std::uint64_t>(magnitude >= limit &&
                                        magnitude <= std::numeric_limits<double>::max());
  }
  return count;
}

struct Piece {
  std::size_t tensor = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

/// Finite values of which something else was stored.
std::uint64_t count_lost(std::span<const float> values, std::span<const float> stored) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    count += static_cast<std::uint64_t>(std::isfinite(values[i]) && !std::isfinite(stored[i]));
  }
  return count;
}

std::vector<std::uint64_t> pieces_of(const std::vector<TensorInfo>& tensors) {
  std::vector<std::uint64_t> pieces;
  for (const TensorInfo& info : tensors) {
    pieces.push_back((info.elements + kPieceElements - 1) / kPieceElements);
  }
  return pieces;
}

struct Buffers {
  std::vector<float> floats;
  std::vector<float> importance;
  std::vector<float> stored;
  std::vector<double> doubles;
  std::vector<std::byte> bytes;
};

class Conversion {
 public:
  Conversion(const TensorSource& source, TensorSink& sink, std::size_t workers, Progress* progress,
             const ImportanceMatrix* importance)
      : source_(source),
        sink_(sink),
        progress_(progress),
        importance_(importance),
        overflows_(source.tensors().size()),
        meter_(sink.tensors(), pieces_of(sink.tensors())),
        buffers_(workers) {}

  ConversionStatistics run(const Parallel& parallel) {
    if (importance_ != nullptr) check_importance();
    std::vector<Piece> pieces;
    ConversionStatistics statistics;
    for (std::size_t t = 0; t < source_.tensors().size(); ++t) {
      const TensorInfo& info = source_.tensors()[t];
      for (std::uint64_t first = 0; first < info.elements; first += kPieceElements) {
        pieces.push_back({t, first, std::min(kPieceElements, info.elements - first)});
      }
      statistics.bytes_read += info.bytes;
      statistics.bytes_written += sink_.tensors()[t].bytes;
      statistics.tensors_converted +=
          static_cast<std::uint64_t>(info.dtype != sink_.tensors()[t].dtype);
    }
    parallel_for(parallel, pieces.size(), [&](std::size_t i, std::size_t worker) {
      check_interrupt();
      convert(pieces[i], buffers_[worker]);
    });
    for (std::size_t t = 0; t < overflows_.size(); ++t) {
      if (overflows_[t] == 0) continue;
      const DType stored = sink_.tensors()[t].dtype;
      log::warn("{}: tensor '{}': {} finite numbers are {}beyond the range of {}", source_.label(),
                source_.tensors()[t].name, overflows_[t].load(),
                dtype_is_quantised(stored) ? "in a block with NaN or infinity, or " : "",
                dtype_name(stored));
      statistics.overflows += overflows_[t];
    }
    statistics.errors = meter_.errors();
    sink_.finish();
    return statistics;
  }

 private:
  bool is_quantised(std::size_t tensor) const {
    return dtype_is_quantised(sink_.tensors()[tensor].dtype) &&
           source_.tensors()[tensor].dtype != sink_.tensors()[tensor].dtype;
  }

  void check_importance() const {
    std::vector<TensorInfo> quantised;
    for (std::size_t t = 0; t < sink_.tensors().size(); ++t) {
      if (is_quantised(t)) quantised.push_back(sink_.tensors()[t]);
    }
    importance_->check_suits(quantised);
  }

  void convert(const Piece& piece, Buffers& buffers) {
    const DType from = source_.tensors()[piece.tensor].dtype;
    const DType to = sink_.tensors()[piece.tensor].dtype;
    buffers.bytes.resize(dtype_bytes(to, piece.count));
    if (from == to) {
      source_.read_bytes(piece.tensor, dtype_bytes(from, piece.first), buffers.bytes);
    } else {
      for (std::uint64_t at = 0; at < piece.count; at += kChunkElements) {
        const std::uint64_t count = std::min(kChunkElements, piece.count - at);
        convert_chunk({piece.tensor, piece.first + at, count},
                      std::span(buffers.bytes).subspan(dtype_bytes(to, at), dtype_bytes(to, count)),
                      buffers);
      }
    }
    sink_.write(piece.tensor, dtype_bytes(to, piece.first), buffers.bytes);
    if (progress_ != nullptr) progress_->advance(dtype_bytes(from, piece.count));
  }

  void convert_chunk(const Piece& chunk, std::span<std::byte> bytes, Buffers& buffers) {
    if (dtype_is_quantised(sink_.tensors()[chunk.tensor].dtype)) {
      quantise_chunk(chunk, bytes, buffers);
    } else if (source_.tensors()[chunk.tensor].dtype == DType::f64) {
      encode_chunk(chunk, buffers.doubles, bytes);
    } else {
      encode_chunk(chunk, buffers.floats, bytes);  // exact for all other floating types
    }
  }

  // F64 goes through float, as in tensor/convert.hpp.
  void quantise_chunk(const Piece& piece, std::span<std::byte> bytes, Buffers& buffers) {
    const TensorInfo& info = sink_.tensors()[piece.tensor];
    buffers.floats.resize(piece.count);
    source_.read(piece.tensor, piece.first, std::span<float>(buffers.floats));
    buffers.importance.clear();
    if (importance_ != nullptr && importance_->has(info.name)) {
      buffers.importance.resize(piece.count);
      importance_->weights_of(info, piece.first, buffers.importance);
    }
    quantise(info.dtype, buffers.floats, buffers.importance, bytes);
    meter_.add(piece.tensor, piece.first / kPieceElements, std::span<const float>(buffers.floats),
               bytes, buffers.stored);
    // A block of numbers that no scale reaches becomes NaN.
    if (find_non_finite(info.dtype, bytes)) {
      overflows_[piece.tensor] += count_lost(std::span<const float>(buffers.floats),
                                             std::span<const float>(buffers.stored));
    }
  }

  template <class T>
  void encode_chunk(const Piece& piece, std::vector<T>& values, std::span<std::byte> bytes) {
    const DType to = sink_.tensors()[piece.tensor].dtype;
    values.resize(piece.count);
    source_.read(piece.tensor, piece.first, std::span<T>(values));
    overflows_[piece.tensor] += count_overflows(std::span<const T>(values), overflow_magnitude(to));
    encode(to, std::span<const T>(values), bytes);
  }

  const TensorSource& source_;
  TensorSink& sink_;
  Progress* progress_;
  const ImportanceMatrix* importance_;
  std::vector<std::atomic<std::uint64_t>> overflows_;  // by tensor
  QuantisationMeter meter_;
  std::vector<Buffers> buffers_;  // by worker
};

}  // namespace

std::vector<TensorInfo> converted_tensors(const TensorSource& source, std::optional<DType> wanted,
                                          Container container) {
  std::vector<TensorInfo> tensors;
  for (const TensorInfo& info : source.tensors()) {
    tensors.push_back(make_tensor_info(info.name, choose_dtype(info, wanted, container), info.shape,
                                       source.label()));
  }
  return tensors;
}

std::vector<TensorInfo> quantised_tensors(const TensorSource& source, Quantisation wanted) {
  const QuantisedTypes types(wanted, source.tensors());
  std::vector<TensorInfo> tensors;
  for (const TensorInfo& info : source.tensors()) {
    tensors.push_back(make_tensor_info(info.name, types.choose(info), info.shape, source.label()));
  }
  warn_of_replaced_types(source.label(), wanted, tensors);
  return tensors;
}

ConversionStatistics convert_tensors(const TensorSource& source, TensorSink& sink,
                                     const Parallel& parallel, Progress* progress,
                                     const ImportanceMatrix* importance) {
  return Conversion(source, sink, parallel.workers(), progress, importance).run(parallel);
}

}  // namespace amalgam
