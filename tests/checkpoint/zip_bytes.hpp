#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace amalgam {

/// A zip archive by hand, right or wrong.
class ZipBytes {
 public:
  struct Options {
    std::uint16_t method = 0;           ///< 0: stored
    std::uint16_t flags = 0;            ///< 1: encrypted
    std::uint32_t claimed_bytes = ~0U;  ///< in the directory, if not the true size
    std::string_view local_name;        ///< in the local header, if not the same
  };

  /// Adds a member, its data at a multiple of 64 as PyTorch does it.
  ZipBytes& add(std::string_view name, std::string_view contents) {
    return add(name, contents, Options());
  }
  ZipBytes& add(std::string_view name, std::string_view contents, const Options& options) {
    const auto bytes = static_cast<std::uint32_t>(contents.size());
    const std::uint32_t size = options.claimed_bytes == ~0U ? bytes : options.claimed_bytes;
    std::string common = u16(options.flags) + u16(options.method) + u32(0) + u32(crc32(contents)) +
                         u32(size) + u32(size) + u16(name.size());
    const std::size_t padding = (64 - (bytes_.size() + 30 + name.size() + 4) % 64) % 64;
    const std::string extra = u16(0x4246) + u16(padding) + std::string(padding, 'Z');
    directory_ += "PK\x01\x02" + u16(20) + u16(20) + common + u16(0) + u16(0) + u16(0) + u16(0) +
                  u32(0) + u32(bytes_.size()) + std::string(name);
    const std::string_view local = options.local_name.empty() ? name : options.local_name;
    bytes_ += "PK\x03\x04" + u16(20) + common + u16(extra.size()) + std::string(local) + extra +
              std::string(contents);
    ++members_;
    return *this;
  }

  std::string bytes() const {
    return bytes_ + directory_ + std::string("PK\x05\x06\0\0\0\0", 8) + u16(members_) +
           u16(members_) + u32(directory_.size()) + u32(bytes_.size()) + u16(0);
  }

 private:
  static std::string u16(std::size_t value) {
    return {static_cast<char>(value & 0xff), static_cast<char>(value >> 8 & 0xff)};
  }
  static std::string u32(std::size_t value) { return u16(value & 0xffff) + u16(value >> 16); }

  static std::uint32_t crc32(std::string_view text) {
    std::uint32_t crc = ~0U;
    for (const char byte : text) {
      crc ^= static_cast<unsigned char>(byte);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0U);
    }
    return ~crc;
  }

  std::string bytes_;
  std::string directory_;
  std::size_t members_ = 0;
};

}  // namespace amalgam
