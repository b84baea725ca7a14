#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace amalgam {

/// Distinct texts, numbered from 0 in the order in which they came: a text of n bytes takes about
/// n + 40 bytes, and finding one again is one look into a hash table. Texts may have up to 2^24 - 1
/// bytes.
class StringPool {
 public:
  StringPool() = default;

  /// The number of `text`, which is added if it is new. Error beyond 2^32 - 1 texts.
  std::uint32_t add(std::string_view text);
  /// The number of `text`, or npos.
  std::uint32_t find(std::string_view text) const;
  static constexpr std::uint32_t npos = ~std::uint32_t{0};

  /// Valid until the next add().
  std::string_view operator[](std::size_t id) const {
    return {bytes_.data() + begins_[id], begins_[id + 1] - begins_[id]};
  }
  std::size_t size() const { return begins_.size() - 1; }
  bool empty() const { return size() == 0; }

  /// Numbers of all texts in an order that does not depend on the order in which they came: by
  /// value if all are whole numbers (equal ones by their bytes), else by their bytes.
  std::vector<std::uint32_t> canonical_order() const;
  /// The pool whose text i is text order[i] of this one.
  StringPool reordered(const std::vector<std::uint32_t>& order) const;

  friend bool operator==(const StringPool& a, const StringPool& b) {
    return a.bytes_ == b.bytes_ && a.begins_ == b.begins_;
  }

 private:
  // Everything that tells whether a text is the one that is looked for, but its bytes.
  struct Slot {
    std::uint64_t begin : 40 = 0;   // in bytes_
    std::uint64_t length : 24 = 0;  // in bytes
    std::uint32_t hash = 0;
    std::uint32_t next_id = 0;  // number + 1, or 0 for a free slot
  };
  static constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 40U;
  static constexpr std::uint64_t kLongest = (std::uint64_t{1} << 24U) - 1;

  std::size_t slot_of(std::string_view text, std::uint32_t hash) const;
  void grow();

  std::vector<char> bytes_;
  std::vector<std::uint64_t> begins_{0};
  std::vector<Slot> slots_;  // a power of two of them
};

/// The value of a text that is a whole number of at most 18 digits, with or without a minus sign.
bool is_whole_number(std::string_view text, std::int64_t& value);

}  // namespace amalgam
