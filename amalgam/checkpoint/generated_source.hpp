#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// A tensor that a function makes, element by element, whenever it is read.
struct GeneratedTensor {
  /// Fills `out` with elements first, first + 1, ... of the row-major contents. Called from many
  /// threads at once.
  using Fill = std::function<void(std::uint64_t first, std::span<double> out)>;

  TensorInfo info;  ///< floating-point; what `fill` gives is rounded to its type, once
  Fill fill;
};

/// A source over such tensors, which take no memory: random weights, changed weights of others.
class GeneratedSource final : public TensorSource {
 public:
  /// InputError if two tensors have one name.
  GeneratedSource(std::string label, std::vector<GeneratedTensor> tensors);

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;

 private:
  std::vector<GeneratedTensor::Fill> fills_;  // in the order of tensors()
};

}  // namespace amalgam
