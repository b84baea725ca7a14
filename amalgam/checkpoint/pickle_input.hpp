#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "amalgam/core/error.hpp"

namespace amalgam {

/// The bytes of a pickle, read from front to back. `pickle` and `where`, which begins every error,
/// outlive it.
class PickleInput {
 public:
  PickleInput(std::string_view pickle, std::string_view where) : input_(pickle), where_(where) {}

  std::string_view where() const { return where_; }
  std::size_t left() const { return input_.size() - at_; }

  /// The next opcode; errors name its place until the next one.
  unsigned char opcode() {
    opcode_at_ = at_;
    return number<unsigned char>();
  }
  std::size_t opcode_at() const { return opcode_at_; }

  /// The next bytes. InputError if there are fewer.
  std::string_view take(std::uint64_t bytes) {
    if (bytes > left()) {
      throw InputError("{}: the pickle is truncated: {} bytes wanted at byte {}, {} left", where_,
                       bytes, at_, left());
    }
    const std::string_view taken = input_.substr(at_, bytes);
    at_ += bytes;
    return taken;
  }

  /// A number, little-endian.
  template <class T>
  T number() {
    T value{};
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  /// A text after its length.
  template <class Length>
  std::string counted() {
    return std::string(take(number<Length>()));
  }

  /// A text up to a line break, which goes too. InputError if there is none within 1000 bytes.
  std::string_view line() {
    constexpr std::size_t kLongest = 1000;
    const std::size_t end = input_.find('\n', at_);
    if (end == std::string_view::npos || end - at_ > kLongest) {
      throw InputError("{}: the pickle has an unfinished name at byte {}", where_, at_);
    }
    const std::string_view text = input_.substr(at_, end - at_);
    at_ = end + 1;
    return text;
  }

  [[noreturn]] void fail_malformed(std::string_view why) const {
    throw InputError("{}: the pickle is malformed at byte {}: {}", where_, opcode_at_, why);
  }

 private:
  std::string_view input_;
  std::string_view where_;
  std::size_t at_ = 0;
  std::size_t opcode_at_ = 0;
};

}  // namespace amalgam
