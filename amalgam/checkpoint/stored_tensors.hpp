#pragma once

#include <cstddef>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// A source of tensors whose bytes lie in files as they are: reading them once more costs a copy
/// out of the page cache, not a computation.
class StoredTensors {
 public:
  virtual ~StoredTensors() = default;
  /// Whether that holds for tensor `tensor`.
  virtual bool is_stored(std::size_t tensor) const = 0;
};

/// Whether `source` is known to store a tensor; false where it computes it, or does not say.
inline bool is_stored(const TensorSource& source, std::size_t tensor) {
  const auto* stored = dynamic_cast<const StoredTensors*>(&source);
  return stored != nullptr && stored->is_stored(tensor);
}

}  // namespace amalgam
