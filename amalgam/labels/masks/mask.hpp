#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam::labels {

/// Which pixels of an image belong to something.
struct Mask {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<std::uint8_t> pixels;  ///< [rows, columns], 0 or 1

  friend bool operator==(const Mask&, const Mask&) = default;
};

struct MaskSize {
  std::size_t rows = 0;
  std::size_t columns = 0;

  friend bool operator==(const MaskSize&, const MaskSize&) = default;
};

/// Reads "ROWSxCOLUMNS:a,b,c,...": row by row a pixels outside, then b inside, then c outside, and
/// so on; together all pixels. `place` begins errors. InputError for anything else, and beyond 2^28
/// pixels.
Mask parse_mask(std::string_view text, std::string_view place);
/// Its rows and columns alone, without making its pixels. InputError as parse_mask.
MaskSize mask_size(std::string_view text, std::string_view place);
/// The same text of a mask.
std::string mask_text(const Mask& mask);

/// Reads a two-dimensional .npy array of 0 and 1 (or booleans). InputError for another shape or
/// value, and as NpyReader.
Mask read_npy_mask(const std::filesystem::path& path);

}  // namespace amalgam::labels
