#include "amalgam/data/npy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/input_file.hpp"

namespace amalgam {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kLongestHeader = 65'536;
constexpr std::size_t kMostDimensions = 32;
constexpr std::size_t kPiece = std::size_t{1} << 18U;

// The Python literal of a header: a dictionary of three known keys.
class HeaderText {
 public:
  HeaderText(std::string_view text, const std::string& where) : rest_(text), where_(where) {}

  NpyHeader parse() {
    NpyHeader header;
    std::optional<NpyType> type;
    std::optional<bool> column_major;
    std::optional<std::vector<std::uint64_t>> shape;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !type) {
        type = parse_type();
      } else if (key == "fortran_order" && !column_major) {
        column_major = boolean();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        fail(fmt::format("key '{}' is unknown or there twice", printable(key)));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    if (!rest_.empty()) fail("something follows the dictionary");
    if (!type || !column_major || !shape) fail("'descr', 'fortran_order' or 'shape' is missing");
    header.type = *type;
    header.column_major = *column_major;
    header.shape = *shape;
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError("{}: the .npy header is damaged: {}", where_, what);
  }
  void skip_spaces() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_spaces();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c))
      fail(fmt::format("expected '{}' before '{}'", c, printable(rest_.substr(0, 20))));
  }
  bool accept_word(std::string_view word) {
    skip_spaces();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  std::string_view quoted() {
    skip_spaces();
    const char quote = rest_.empty() ? '\0' : rest_[0];
    if (quote != '\'' && quote != '"') fail("expected a text in quotes");
    const std::size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) fail("a text in quotes does not end");
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }
  NpyType parse_type() {
    skip_spaces();
    if (!rest_.empty() && rest_[0] == '[') {
      throw InputError("{}: an array of records; expected one of numbers", where_);
    }
    const std::string_view text = quoted();
    constexpr std::string_view kKnown[] = {"b1", "i1", "i2", "i4", "i8", "u1",
                                           "u2", "u4", "u8", "f4", "f8"};
    const bool order =
        !text.empty() && std::string_view("<>|=").find(text[0]) != std::string_view::npos;
    const std::string_view name = order ? text.substr(1) : text;
    if (std::ranges::find(kKnown, name) == std::end(kKnown)) {
      throw InputError(
          "{}: element type '{}'; expected booleans, integers, or floating point of 4 or 8 bytes",
          where_, printable(text));
    }
    return {.kind = name[0],
            .bytes = static_cast<std::size_t>(name[1] - '0'),
            .big_endian = text[0] == '>'};
  }
  bool boolean() {
    if (accept_word("True")) return true;
    if (!accept_word("False")) fail("'fortran_order' is neither True nor False");
    return false;
  }
  std::vector<std::uint64_t> tuple() {
    std::vector<std::uint64_t> sizes;
    expect('(');
    while (!accept(')')) {
      skip_spaces();
      std::uint64_t size = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (error != std::errc()) fail("'shape' is not a tuple of whole numbers");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      if (sizes.size() == kMostDimensions) fail("more than 32 dimensions");
      sizes.push_back(size);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }

  std::string_view rest_;
  const std::string& where_;
};

void check_size(const NpyHeader& header, const std::string& where) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 62U;
  std::uint64_t bytes = header.type.bytes;
  for (const std::uint64_t size : header.shape) {
    if (size != 0 && bytes > kMost / size) {
      throw InputError("{}: the .npy header promises more bytes than any file has", where);
    }
    bytes *= size;
  }
}

template <class Word>
Word word_at(const char* bytes, bool swapped) {
  char ordered[sizeof(Word)];
  std::memcpy(ordered, bytes, sizeof(Word));
  if (swapped) std::reverse(ordered, ordered + sizeof(Word));
  return std::bit_cast<Word>(ordered);
}

template <class Word>
void convert(const char* bytes, bool swapped, std::span<double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<double>(word_at<Word>(bytes + i * sizeof(Word), swapped));
  }
}

void convert(const NpyType& type, const char* bytes, std::span<double> values) {
  const bool swapped = type.big_endian != (std::endian::native == std::endian::big);
  switch (type.kind) {
    case 'f':
      return type.bytes == 4 ? convert<float>(bytes, swapped, values)
                             : convert<double>(bytes, swapped, values);
    case 'i':
      switch (type.bytes) {
        case 1:
          return convert<std::int8_t>(bytes, swapped, values);
        case 2:
          return convert<std::int16_t>(bytes, swapped, values);
        case 4:
          return convert<std::int32_t>(bytes, swapped, values);
        default:
          return convert<std::int64_t>(bytes, swapped, values);
      }
    default:
      switch (type.bytes) {
        case 1:
          return convert<std::uint8_t>(bytes, swapped, values);
        case 2:
          return convert<std::uint16_t>(bytes, swapped, values);
        case 4:
          return convert<std::uint32_t>(bytes, swapped, values);
        default:
          return convert<std::uint64_t>(bytes, swapped, values);
      }
  }
}

}  // namespace

std::uint64_t NpyHeader::elements() const {
  std::uint64_t product = 1;
  for (const std::uint64_t size : shape) product *= size;
  return product;
}

NpyHeader parse_npy_header(std::string_view text, const std::string& where) {
  NpyHeader header = HeaderText(text, where).parse();
  check_size(header, where);
  return header;
}

NpyReader::NpyReader(Source source, std::string where)
    : source_(std::move(source)), where_(std::move(where)) {
  char start[8];
  if (fill(start) != sizeof(start) || std::string_view(start, kMagic.size()) != kMagic) {
    throw InputError("{}: not a .npy file: it does not begin with \\x93NUMPY", where_);
  }
  const int version = static_cast<unsigned char>(start[6]);
  if (version < 1 || version > 3) {
    throw InputError("{}: .npy version {}; expected 1, 2 or 3", where_, version);
  }
  char size_bytes[4] = {};
  const std::span<char> used(size_bytes, version == 1 ? 2 : 4);
  const auto cut_short = [&] { return InputError("{}: the .npy file ends in its header", where_); };
  if (fill(used) != used.size()) throw cut_short();
  const bool swapped = std::endian::native == std::endian::big;
  const auto size = word_at<std::uint32_t>(size_bytes, swapped);
  if (size > kLongestHeader) {
    throw InputError("{}: a .npy header of {} bytes; expected at most {}", where_, size,
                     kLongestHeader);
  }
  std::string text(size, '\0');
  if (fill(text) != size) throw cut_short();
  header_ = parse_npy_header(text, where_);
}

NpyReader NpyReader::open(const std::filesystem::path& path) {
  auto file = std::make_shared<std::ifstream>(open_for_reading(path, "a .npy array"));
  return {[file, path](std::span<char> bytes) { return read_some(*file, bytes, path); },
          path.string()};
}

std::size_t NpyReader::fill(std::span<char> bytes) {
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const std::size_t got = source_(bytes.subspan(filled));
    if (got == 0) break;
    filled += got;
  }
  return filled;
}

std::size_t NpyReader::read(std::span<double> values) {
  const std::uint64_t left = header_.elements() - done_;
  const std::size_t wanted = static_cast<std::size_t>(
      std::min<std::uint64_t>({left, values.size(), kPiece / header_.type.bytes}));
  if (wanted == 0) {
    char more = 0;
    if (left == 0 && !values.empty() && fill({&more, 1}) != 0) {
      throw InputError("{}: the file goes on after its array of {} elements", where_, done_);
    }
    return 0;
  }
  buffer_.resize(wanted * header_.type.bytes);
  if (fill(buffer_) != buffer_.size()) {
    throw InputError("{}: the file is cut short: its header promises {} elements", where_,
                     header_.elements());
  }
  convert(header_.type, buffer_.data(), values.first(wanted));
  done_ += wanted;
  return wanted;
}

}  // namespace amalgam
