#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "amalgam/checkpoint/file.hpp"

namespace amalgam {

/// Reads the header of a binary file from front to back, buffered. Nothing is allocated for bytes
/// that are not there: every request is checked against what is left first.
class ByteCursor {
 public:
  /// Reads `file` (which must outlive the cursor) from byte 0 up to at most byte `limit`.
  ByteCursor(const File& file, std::uint64_t limit);

  std::uint64_t position() const { return buffer_start_ + used_; }
  std::uint64_t remaining() const { return end_ - position(); }
  /// What is read from now on, for errors: "metadata key 3".
  void set_place(std::string place) { place_ = std::move(place); }
  const std::string& place() const { return place_; }
  const std::string& file_name() const { return file_name_; }

  /// The next `bytes` bytes, valid until the next call; InputError naming the place if fewer are
  /// left.
  std::span<const std::byte> take(std::uint64_t bytes);

  /// A little-endian number.
  template <class T>
    requires std::integral<T> || std::floating_point<T>
  T number() {
    T value{};
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

 private:
  const File& file_;
  std::string file_name_;
  std::string place_;
  std::uint64_t end_;
  std::uint64_t buffer_start_ = 0;  // file offset of buffer_[0]
  std::size_t used_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace amalgam
