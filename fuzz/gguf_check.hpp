#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/tensor/convert.hpp"
#include "fuzz/memory_file.hpp"

inline void check_gguf_tensors(const amalgam::GgufSource& source, std::size_t file_size) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const amalgam::TensorInfo& info = source.tensors()[i];
    if (source.find(info.name) != i || !amalgam::is_utf8(info.name)) std::abort();
    std::vector<std::byte> bytes(info.bytes);
    source.read_bytes(i, 0, bytes);
    std::vector<double> values(info.elements);
    source.read(i, 0, std::span<double>(values));
    if (amalgam::dtype_is_floating(info.dtype)) {
      // What is found in the bytes is what the numbers say.
      const bool is_finite = std::all_of(values.begin(), values.end(),
                                         [](double value) { return std::isfinite(value); });
      if (amalgam::find_non_finite(info.dtype, bytes).has_value() == is_finite) std::abort();
    }
    total += info.bytes;
  }
  if (total > file_size) std::abort();
}

inline void check_gguf_metadata(const amalgam::GgufMetadata& metadata, std::size_t file_size) {
  std::uint64_t total = 0;
  for (const auto& [key, value] : metadata.entries()) {
    if (metadata.find(key) != &value) std::abort();
    if (!amalgam::is_utf8(value.describe())) std::abort();
    const int kinds = static_cast<int>(value.as_number().has_value()) +
                      static_cast<int>(value.as_bool().has_value()) +
                      static_cast<int>(value.as_string().has_value()) +
                      static_cast<int>(value.type() == amalgam::GgufType::array);
    if (kinds != 1 || (value.as_unsigned() && !value.as_number())) std::abort();
    if (const auto strings = value.as_strings()) {
      if (amalgam::GgufValue::of(std::span(*strings)) != value) std::abort();
    }
    total += key.size() + value.encoded().size();
  }
  if (total > file_size) std::abort();
}

/// Either a clear InputError, or a source whose tensors lie apart in the file and whose metadata
/// can be read.
inline void check_gguf(const void* data, std::size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  try {
    const amalgam::GgufSource source(file.path());
    check_gguf_tensors(source, size);
    check_gguf_metadata(source.gguf_metadata(), size);
  } catch (const amalgam::InputError&) {
    return;
  }
}
