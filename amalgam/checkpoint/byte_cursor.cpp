#include "amalgam/checkpoint/byte_cursor.hpp"

#include <algorithm>
#include <bit>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

static_assert(std::endian::native == std::endian::little, "files are read as they lie in memory");

constexpr std::uint64_t kReadAhead = std::uint64_t{64} << 10;

}  // namespace

ByteCursor::ByteCursor(const File& file, std::uint64_t limit)
    : file_(file), file_name_(file.path().string()), end_(std::min(file.size(), limit)) {}

std::span<const std::byte> ByteCursor::take(std::uint64_t bytes) {
  if (bytes > remaining()) {
    if (end_ < file_.size()) {
      throw InputError("{}: {} needs {} bytes at byte {}, but a header has at most {} bytes",
                       file_name_, place_, bytes, position(), end_);
    }
    throw InputError("{}: truncated: {} needs {} bytes at byte {}, but {} are left", file_name_,
                     place_, bytes, position(), remaining());
  }
  if (bytes > buffer_.size() - used_) {
    const std::uint64_t start = position();
    buffer_.resize(std::min(std::max(bytes, kReadAhead), end_ - start));
    buffer_start_ = start;
    used_ = 0;
    file_.read_exactly(start, buffer_);
  }
  const auto taken = std::span(buffer_).subspan(used_, bytes);
  used_ += bytes;
  return taken;
}

}  // namespace amalgam
