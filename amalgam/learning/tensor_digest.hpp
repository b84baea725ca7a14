#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "amalgam/learning/network_file.hpp"

namespace amalgam::learning {

/// A 128-bit hash (XXH3) of texts and tensors in the order they are added: tells equal content from
/// other, not who made it.
class TensorDigest {
 public:
  void add(const void* bytes, std::size_t count);
  void add(const std::string& text);
  /// The values, not the shape.
  void add(const torch::Tensor& tensor);
  /// Names, shapes and values.
  void add(const NamedTensors& tensors);
  /// 32 hexadecimal digits.
  std::string text() const;

 private:
  std::uint64_t low_ = 0;
  std::uint64_t high_ = 0;
};

}  // namespace amalgam::learning
