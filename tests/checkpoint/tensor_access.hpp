#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// The index of a tensor that must be there.
inline std::size_t index_of(const TensorSource& source, std::string_view name) {
  const std::optional<std::size_t> found = source.find(name);
  if (!found) throw std::runtime_error("no tensor " + std::string(name));
  return *found;
}

/// All bytes of a tensor that must be there.
inline std::vector<std::byte> bytes_of(const TensorSource& source, std::string_view name) {
  const std::size_t tensor = index_of(source, name);
  std::vector<std::byte> bytes(source.tensors()[tensor].bytes);
  source.read_bytes(tensor, 0, bytes);
  return bytes;
}

}  // namespace amalgam
