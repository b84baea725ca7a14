#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {

/// Turns a state into bytes for another process of the same program, or such bytes into a state: a
/// type lists its fields once, in `archive(field)` calls, for both ways.
class StateArchive {
 public:
  /// Writes fields.
  StateArchive() = default;
  /// Reads them from what an equal list of fields wrote; `bytes` outlives the archive.
  explicit StateArchive(std::span<const std::byte> bytes) : reading_(true), rest_(bytes) {}

  bool reading() const { return reading_; }
  std::vector<std::byte> take() { return std::move(written_); }
  /// Error unless everything was read.
  void finish() const {
    if (!rest_.empty()) fail();
  }

  /// A number or another plain value.
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void operator()(T& value) {
    copy(reinterpret_cast<std::byte*>(&value), sizeof(T));
  }

  /// Values one after the other, and how many there are.
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void operator()(std::vector<T>& values) {
    resize(values, sizeof(T));
    copy(reinterpret_cast<std::byte*>(values.data()), values.size() * sizeof(T));
  }

  void operator()(std::vector<bool>& values) {
    std::vector<std::uint8_t> bytes(values.begin(), values.end());
    (*this)(bytes);
    values.assign(bytes.begin(), bytes.end());
  }

  /// Values of which each lists its own fields: visit(value) makes further calls.
  template <class T, class Visit>
  void each(std::vector<T>& values, const Visit& visit) {
    resize(values, 1);
    for (T& value : values) visit(value);
  }

 private:
  [[noreturn]] static void fail() {
    throw Error("the state that another process sent is not of the expected size");
  }

  template <class T>
  void resize(std::vector<T>& values, std::size_t bytes_each) {
    std::uint64_t count = values.size();
    (*this)(count);
    if (!reading_) return;
    if (count > rest_.size() / bytes_each) fail();
    values.resize(count);
  }

  void copy(std::byte* value, std::size_t bytes) {
    if (bytes == 0) return;
    if (!reading_) {
      written_.insert(written_.end(), value, value + bytes);
      return;
    }
    if (bytes > rest_.size()) fail();
    std::memcpy(value, rest_.data(), bytes);
    rest_ = rest_.subspan(bytes);
  }

  bool reading_ = false;
  std::vector<std::byte> written_;
  std::span<const std::byte> rest_;
};

}  // namespace amalgam
