#include "amalgam/core/string_pool.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <numeric>
#include <utility>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

template <class Word>
Word load(const char* bytes) {
  Word word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// Eight bytes at a time, mixed by a multiplication whose halves are folded together.
std::uint32_t hash_of(std::string_view text) {
  std::uint64_t hash = 0x9E3779B97F4A7C15ULL ^ text.size();
  const auto mix = [&](std::uint64_t word) {
    const auto product = static_cast<unsigned __int128>(hash ^ word) * 0xD6E8FEB86659FD93ULL;
    hash = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
  };
  // The last word overlaps the one before it, so that no length is copied byte by byte.
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left > 8; left -= 8, at += 8) mix(load<std::uint64_t>(at));
  if (text.size() >= 8) {
    mix(load<std::uint64_t>(at + left - 8));
  } else if (left >= 4) {
    mix(load<std::uint32_t>(at) | std::uint64_t{load<std::uint32_t>(at + left - 4)} << 32U);
  } else if (left > 0) {
    mix(load<unsigned char>(at) | std::uint64_t{load<unsigned char>(at + left / 2)} << 8U |
        std::uint64_t{load<unsigned char>(at + left - 1)} << 16U);
  }
  mix(0);
  return static_cast<std::uint32_t>(hash >> 32U) ^ static_cast<std::uint32_t>(hash);
}

// The first eight bytes as a number that is compared as they are; zeros behind the end, which at
// most makes different texts equal.
std::uint64_t big_endian(std::string_view text) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    word = word << 8U | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0U);
  }
  return word;
}

}  // namespace

std::size_t StringPool::slot_of(std::string_view text, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  while (slots_[at].next_id != 0) {
    const Slot& slot = slots_[at];
    if (slot.hash == hash && slot.length == text.size() &&
        std::string_view(bytes_.data() + slot.begin, slot.length) == text) {
      break;
    }
    at = (at + 1) & mask;
  }
  return at;
}

void StringPool::grow() {
  const std::vector<Slot> old =
      std::exchange(slots_, std::vector<Slot>(std::max<std::size_t>(16, 2 * slots_.size())));
  const std::size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.next_id == 0) continue;
    std::size_t at = slot.hash & mask;
    while (slots_[at].next_id != 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

std::uint32_t StringPool::add(std::string_view text) {
  // At most two thirds full.
  if (3 * (size() + 1) > 2 * slots_.size()) grow();
  const std::uint32_t hash = hash_of(text);
  Slot& slot = slots_[slot_of(text, hash)];
  if (slot.next_id != 0) return slot.next_id - 1;
  if (size() + 1 >= npos || bytes_.size() >= kMostBytes || text.size() > kLongest) {
    throw Error("names are too many or too long: at most {} of at most {} bytes", npos - 1,
                kLongest);
  }
  slot.begin = bytes_.size();
  slot.length = text.size();
  slot.hash = hash;
  bytes_.insert(bytes_.end(), text.begin(), text.end());
  begins_.push_back(bytes_.size());
  slot.next_id = static_cast<std::uint32_t>(size());
  return slot.next_id - 1;
}

std::uint32_t StringPool::find(std::string_view text) const {
  if (slots_.empty()) return npos;
  const Slot& slot = slots_[slot_of(text, hash_of(text))];
  return slot.next_id == 0 ? npos : slot.next_id - 1;
}

bool is_whole_number(std::string_view text, std::int64_t& value) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || digits.size() > 18) return false;
  if (!std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; })) return false;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return true;
}

std::vector<std::uint32_t> StringPool::canonical_order() const {
  std::vector<std::uint32_t> order(size());
  std::iota(order.begin(), order.end(), 0U);
  std::vector<std::int64_t> values(size());
  bool numbers = true;
  for (std::size_t id = 0; numbers && id < size(); ++id) {
    numbers = is_whole_number((*this)[id], values[id]);
  }
  if (numbers) {
    std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
      return values[a] != values[b] ? values[a] < values[b] : (*this)[a] < (*this)[b];
    });
    return order;
  }
  // Most comparisons are decided by the first 16 bytes, which lie beside each other.
  struct Key {
    std::uint64_t first;
    std::uint64_t second;
    std::uint32_t id;
  };
  std::vector<Key> keys(size());
  for (std::size_t id = 0; id < size(); ++id) {
    const std::string_view text = (*this)[id];
    keys[id] = {big_endian(text), big_endian(text.substr(std::min<std::size_t>(8, text.size()))),
                static_cast<std::uint32_t>(id)};
  }
  std::ranges::sort(keys, [this](const Key& a, const Key& b) {
    if (a.first != b.first) return a.first < b.first;
    if (a.second != b.second) return a.second < b.second;
    return (*this)[a.id] < (*this)[b.id];
  });
  for (std::size_t i = 0; i < size(); ++i) order[i] = keys[i].id;
  return order;
}

StringPool StringPool::reordered(const std::vector<std::uint32_t>& order) const {
  StringPool result;
  result.bytes_.reserve(bytes_.size());
  result.begins_.reserve(order.size() + 1);
  for (const std::uint32_t id : order) result.add((*this)[id]);
  return result;
}

}  // namespace amalgam
