#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace amalgam {

/// The element type of an array in a .npy file: numpy's kind ('b' boolean, 'i' and 'u' integers,
/// 'f' floating point) and size in bytes.
struct NpyType {
  char kind = 'f';
  std::size_t bytes = 8;
  bool big_endian = false;

  friend bool operator==(const NpyType&, const NpyType&) = default;
};

/// What the header of a .npy file says.
struct NpyHeader {
  NpyType type;
  bool column_major = false;  ///< fortran_order: the first index changes fastest
  std::vector<std::uint64_t> shape;

  std::uint64_t elements() const;
};

/// Reads an array of numbers from NumPy's .npy format (versions 1 to 3) piece by piece, in memory
/// that does not depend on its size. Element types: booleans, integers of 1 to 8 bytes, floating
/// point of 4 and 8 bytes, in either byte order.
class NpyReader {
 public:
  /// Fills the span from the front and returns how many bytes it gave; 0 is the end.
  using Source = std::function<std::size_t(std::span<char>)>;

  /// Reads the header. `where` begins errors. InputError for what is no .npy file, a header that is
  /// damaged or cut short, another element type, more than 32 dimensions, or a shape whose bytes
  /// would not fit into 63 bits.
  NpyReader(Source source, std::string where);
  /// Reads a file. InputError if it cannot be opened.
  static NpyReader open(const std::filesystem::path& path);

  const NpyHeader& header() const { return header_; }
  const std::string& where() const { return where_; }

  /// The next elements in the order of the file, as many as fit and are left; 0 at the end, where
  /// it is an InputError if the file goes on. Integers beyond 2^53 are rounded to the nearest
  /// double. InputError if the file ends before the array does.
  std::size_t read(std::span<double> values);

 private:
  std::size_t fill(std::span<char> bytes);

  Source source_;
  std::string where_;
  NpyHeader header_;
  std::uint64_t done_ = 0;
  std::vector<char> buffer_;
};

/// The text that describes the array, as in the file: "{'descr': '<f8', ...}". InputError as above.
NpyHeader parse_npy_header(std::string_view text, const std::string& where);

}  // namespace amalgam
