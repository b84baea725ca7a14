#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "amalgam/checkpoint/safetensors.hpp"
#include "amalgam/core/error.hpp"
#include "fuzz/memory_file.hpp"

/// Either a clear InputError, or a source all of whose bytes can be read, each belonging to one
/// tensor.
inline void check_safetensors(const void* data, std::size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  try {
    const auto source = amalgam::open_safetensors(file.path());
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < source->tensors().size(); ++i) {
      const amalgam::TensorInfo& info = source->tensors()[i];
      if (source->find(info.name) != i) std::abort();
      std::vector<std::byte> bytes(info.bytes);
      source->read_bytes(i, 0, bytes);
      total += info.bytes;
      if (info.elements > 0) {
        std::vector<double> values(1);
        source->read(i, info.elements - 1, std::span<double>(values));
      }
    }
    if (total > size) std::abort();  // tensors that overlap
  } catch (const amalgam::InputError&) {
    return;
  }
}
