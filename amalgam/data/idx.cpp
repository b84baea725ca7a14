#include "amalgam/data/idx.hpp"

#include <zlib.h>

#include <algorithm>
#include <fstream>

#include "amalgam/core/error.hpp"
#include "amalgam/data/input_file.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kFixedHeader = 4;
constexpr std::uint8_t kUnsignedByte = 0x08;

// Decompresses piece by piece, so that memory follows what is really there.
class GzipReader {
 public:
  GzipReader(std::span<const std::byte> bytes, std::string_view where) : where_(where) {
    constexpr int kGzipOnly = 15 + 16;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw Error("{}: zlib has no memory", where);
    // zlib does not write through next_in; its type is from before const.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
  }
  ~GzipReader() { inflateEnd(&stream_); }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  /// Fills `out` from the front; fewer bytes than that only at the end.
  std::size_t read(std::span<std::uint8_t> out) {
    stream_.next_out = out.data();
    stream_.avail_out = static_cast<uInt>(out.size());
    while (stream_.avail_out > 0 && !ended_) {
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        ended_ = true;
      } else if (status != Z_OK) {
        throw InputError("{}: the gzip data is damaged or cut short ({}); get the file again",
                         where_, stream_.msg != nullptr ? stream_.msg : "unexpected end");
      }
    }
    return out.size() - stream_.avail_out;
  }

 private:
  z_stream stream_{};
  std::string_view where_;
  bool ended_ = false;
};

class PlainReader {
 public:
  explicit PlainReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::size_t read(std::span<std::uint8_t> out) {
    const std::size_t count = std::min(out.size(), bytes_.size());
    std::transform(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(count), out.begin(),
                   [](std::byte b) { return static_cast<std::uint8_t>(b); });
    bytes_ = bytes_.subspan(count);
    return count;
  }

 private:
  std::span<const std::byte> bytes_;
};

Shape checked_shape(std::span<const std::uint8_t> sizes, std::string_view where,
                    const IdxLimits& limits) {
  Shape shape;
  std::uint64_t total = 1;
  for (std::size_t i = 0; i < sizes.size(); i += 4) {
    std::uint64_t size = 0;
    for (std::size_t b = 0; b < 4; ++b) size = size << 8 | sizes[i + b];
    shape.push_back(size);
    if (size != 0 && total > limits.values / size) {
      throw InputError("{}: the header promises more than {} values, which no data set here has",
                       where, limits.values);
    }
    total *= size;
  }
  return shape;
}

template <class Reader>
IdxArray parse(Reader reader, std::string_view where, const IdxLimits& limits) {
  const auto cut_short = [&] {
    return InputError("{}: the IDX file ends within its header", where);
  };
  std::uint8_t fixed[kFixedHeader];
  if (reader.read(fixed) != kFixedHeader) throw cut_short();
  if (fixed[0] != 0 || fixed[1] != 0) {
    throw InputError(
        "{}: not an IDX file: it begins with bytes {:#04x} {:#04x}, expected two zeros", where,
        fixed[0], fixed[1]);
  }
  if (fixed[2] != kUnsignedByte) {
    throw InputError("{}: element type {:#04x}; expected 0x08 (unsigned bytes)", where, fixed[2]);
  }
  const std::size_t dimensions = fixed[3];
  if (dimensions == 0 || dimensions > limits.dimensions) {
    throw InputError("{}: {} dimensions; expected 1 to {}", where, dimensions, limits.dimensions);
  }
  std::vector<std::uint8_t> sizes(4 * dimensions);
  if (reader.read(sizes) != sizes.size()) throw cut_short();

  IdxArray array;
  array.shape = checked_shape(sizes, where, limits);
  const std::uint64_t expected = element_count(array.shape, where);
  constexpr std::size_t kPiece = 1 << 20;
  while (array.values.size() < expected) {
    const std::size_t begin = array.values.size();
    array.values.resize(std::min<std::uint64_t>(expected, begin + kPiece));
    const std::size_t got = reader.read(std::span(array.values).subspan(begin));
    if (begin + got < array.values.size()) {
      throw InputError("{}: {} values, but the header of shape {} promises {}", where, begin + got,
                       format_shape(array.shape), expected);
    }
  }
  std::uint8_t extra[1];
  if (reader.read(extra) != 0) {
    throw InputError("{}: more bytes than the {} values of shape {}", where, expected,
                     format_shape(array.shape));
  }
  return array;
}

}  // namespace

IdxArray parse_idx(std::span<const std::byte> bytes, std::string_view where,
                   const IdxLimits& limits) {
  const bool gzip = bytes.size() >= 2 && bytes[0] == std::byte{0x1F} && bytes[1] == std::byte{0x8B};
  if (!gzip) return parse(PlainReader(bytes), where, limits);
  if (bytes.size() > limits.values) {
    throw InputError("{}: {} compressed bytes; expected at most {}", where, bytes.size(),
                     limits.values);
  }
  GzipReader reader(bytes, where);
  return parse<GzipReader&>(reader, where, limits);
}

IdxArray read_idx(const std::filesystem::path& path, const IdxLimits& limits) {
  std::ifstream file = open_for_reading(path, "an IDX file");
  file.seekg(0, std::ios::end);
  const auto size = static_cast<std::streamoff>(file.tellg());
  if (size < 0 || static_cast<std::uint64_t>(size) > limits.values + 1024) {
    throw InputError("{}: {} bytes; expected an IDX file of at most {}", path.string(), size,
                     limits.values);
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.seekg(0);
  bytes.resize(read_some(file, {reinterpret_cast<char*>(bytes.data()), bytes.size()}, path));
  return parse_idx(bytes, path.string(), limits);
}

}  // namespace amalgam
