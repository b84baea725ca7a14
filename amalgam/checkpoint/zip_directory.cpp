#include "amalgam/checkpoint/zip_directory.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

constexpr std::uint64_t kEndBytes = 22;
constexpr std::uint64_t kLongestComment = 65535;
constexpr std::uint64_t kLocatorBytes = 20;
constexpr std::uint64_t kEnd64Bytes = 56;
constexpr std::uint64_t kListingBytes = 46;
constexpr std::uint64_t kLargestDirectory = std::uint64_t{64} << 20;
constexpr std::uint32_t kMax32 = 0xffffffff;
constexpr std::uint16_t kZip64Extra = 1;

template <class T>
T number_at(std::string_view bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

std::string read_piece(const File& file, std::uint64_t offset, std::uint64_t bytes) {
  std::string piece(bytes, '\0');
  file.read_exactly(offset, std::as_writable_bytes(std::span(piece)));
  return piece;
}

class DirectoryReader {
 public:
  explicit DirectoryReader(const File& file) : file_(file), label_(file.path().string()) {}

  ZipDirectory read() {
    find_end();
    use_zip64();
    if (start_ > end_ || bytes_ > end_ - start_) fail("its directory lies outside the file");
    if (count_ > bytes_ / kListingBytes) fail("its directory has fewer members than it claims");
    if (bytes_ > kLargestDirectory) fail("its directory is larger than 64 MiB");
    const std::string directory = read_piece(file_, start_, bytes_);
    ZipDirectory made{start_, {}};
    std::string_view rest = directory;
    for (std::uint64_t i = 0; i < count_; ++i) made.members.push_back(listing(rest));
    if (!rest.empty()) fail("its directory has more members than it claims");
    return made;
  }

 private:
  [[noreturn]] void fail(std::string_view why) const {
    throw InputError("{}: not a valid zip archive: {}", label_, why);
  }

  // The end record is the last thing in the file but for a comment.
  void find_end() {
    if (file_.size() < kEndBytes) fail("it is too short");
    const std::uint64_t searched = std::min(file_.size(), kEndBytes + kLongestComment);
    const std::string tail = read_piece(file_, file_.size() - searched, searched);
    for (std::size_t at = tail.size() - kEndBytes + 1; at-- > 0;) {
      const std::string_view record = std::string_view(tail).substr(at);
      if (!record.starts_with("PK\x05\x06") ||
          number_at<std::uint16_t>(record, 20) != record.size() - kEndBytes) {
        continue;
      }
      end_ = file_.size() - record.size();
      if (number_at<std::uint32_t>(record, 4) != 0) fail("it spans several disks");
      count_ = number_at<std::uint16_t>(record, 10);
      bytes_ = number_at<std::uint32_t>(record, 12);
      start_ = number_at<std::uint32_t>(record, 16);
      return;
    }
    fail("it has no directory at its end (truncated?)");
  }

  // The 64-bit end record, if there is one, takes precedence.
  void use_zip64() {
    if (end_ < kLocatorBytes) return;
    const std::string locator = read_piece(file_, end_ - kLocatorBytes, kLocatorBytes);
    if (!locator.starts_with("PK\x06\x07")) return;
    const auto place = number_at<std::uint64_t>(locator, 8);
    if (end_ - kLocatorBytes < kEnd64Bytes || place > end_ - kLocatorBytes - kEnd64Bytes) {
      fail("its zip64 end record lies outside the file");
    }
    const std::string record = read_piece(file_, place, kEnd64Bytes);
    if (!record.starts_with("PK\x06\x06")) fail("its zip64 end record is missing");
    count_ = number_at<std::uint64_t>(record, 32);
    bytes_ = number_at<std::uint64_t>(record, 40);
    start_ = number_at<std::uint64_t>(record, 48);
    end_ = place;
  }

  ZipListing listing(std::string_view& rest) const {
    if (rest.size() < kListingBytes || !rest.starts_with("PK\x01\x02")) {
      fail("its directory is damaged");
    }
    const std::string_view fixed = rest.substr(0, kListingBytes);
    const std::size_t name_bytes = number_at<std::uint16_t>(fixed, 28);
    const std::size_t extra_bytes = number_at<std::uint16_t>(fixed, 30);
    const std::size_t comment_bytes = number_at<std::uint16_t>(fixed, 32);
    rest.remove_prefix(kListingBytes);
    if (rest.size() < name_bytes + extra_bytes + comment_bytes) fail("its directory is damaged");
    ZipListing made{std::string(rest.substr(0, name_bytes)), number_at<std::uint32_t>(fixed, 24),
                    number_at<std::uint32_t>(fixed, 42)};
    widen(made, number_at<std::uint32_t>(fixed, 20), rest.substr(name_bytes, extra_bytes));
    rest.remove_prefix(name_bytes + extra_bytes + comment_bytes);
    return made;
  }

  // Fields that are all ones have their value in the zip64 extra field, in this order.
  void widen(ZipListing& made, std::uint32_t compressed, std::string_view extra) const {
    const bool is_needed =
        made.bytes == kMax32 || compressed == kMax32 || made.local_header == kMax32;
    while (is_needed && extra.size() >= 4) {
      const auto id = number_at<std::uint16_t>(extra, 0);
      const std::size_t size = number_at<std::uint16_t>(extra, 2);
      if (size > extra.size() - 4) break;
      std::string_view field = extra.substr(4, size);
      extra.remove_prefix(4 + size);
      if (id != kZip64Extra) continue;
      const auto next = [&] {
        if (field.size() < 8) fail("a zip64 field is too short");
        const auto value = number_at<std::uint64_t>(field, 0);
        field.remove_prefix(8);
        return value;
      };
      if (made.bytes == kMax32) made.bytes = next();
      if (compressed == kMax32) next();
      if (made.local_header == kMax32) made.local_header = next();
      return;
    }
    if (is_needed) fail("a zip64 field is missing");
  }

  const File& file_;
  std::string label_;
  std::uint64_t end_ = 0;  // where the end record, or its 64-bit one, begins
  std::uint64_t count_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t start_ = 0;
};

}  // namespace

ZipDirectory read_zip_directory(const File& file) { return DirectoryReader(file).read(); }

}  // namespace amalgam
