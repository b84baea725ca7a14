#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace amalgam {

/// A safetensors file by hand: length, header, data.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    bytes += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> (8 * i) & 0xff);
  }
  return bytes.append(header).append(data);
}

/// A file of one U8 tensor `name` of 4 elements.
inline std::string small_safetensors(std::string_view name, std::string_view data = "abcd") {
  return safetensors_bytes(
      "{\"" + std::string(name) + R"(":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", data);
}

}  // namespace amalgam
