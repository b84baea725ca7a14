#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam {

/// A GGUF file by hand, right or wrong: numbers and strings appended one after another.
class GgufBytes {
 public:
  GgufBytes& raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  template <class T>
  GgufBytes& number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  GgufBytes& u32(std::uint32_t value) { return number(value); }
  GgufBytes& u64(std::uint64_t value) { return number(value); }
  GgufBytes& string(std::string_view text) { return u64(text.size()).raw(text); }

  GgufBytes& header(std::uint64_t tensors, std::uint64_t pairs, std::uint32_t version = 3) {
    return raw("GGUF").u32(version).u64(tensors).u64(pairs);
  }
  GgufBytes& pair_u32(std::string_view key, std::uint32_t value) {
    return string(key).u32(4).u32(value);
  }
  /// A tensor of `type`; `sizes` in the order of the file, innermost first.
  GgufBytes& tensor(std::string_view name, const std::vector<std::uint64_t>& sizes,
                    std::uint64_t offset, std::uint32_t type = 0) {
    string(name).u32(static_cast<std::uint32_t>(sizes.size()));
    for (const std::uint64_t size : sizes) u64(size);
    return u32(type).u64(offset);
  }
  /// Pads the header to a multiple of 32 and adds `bytes` bytes of data: 1, 2, 3, ...
  GgufBytes& data(std::size_t bytes) {
    bytes_.append((32 - bytes_.size() % 32) % 32, '\0');
    for (std::size_t i = 0; i < bytes; ++i) bytes_ += static_cast<char>(i + 1);
    return *this;
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace amalgam
