#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// An array of unsigned bytes, row-major.
struct IdxArray {
  Shape shape;
  std::vector<std::uint8_t> values;
};

/// What an IDX file may hold at most: it comes from outside, and its compressed form may be a bomb.
struct IdxLimits {
  std::size_t dimensions = 4;
  std::uint64_t values = 1'000'000'000;
};

/// Reads the IDX format of the MNIST files (big-endian: two zero bytes, element type, number of
/// dimensions, sizes, values), plain or gzip-compressed. Only element type 0x08, unsigned bytes, is
/// known. InputError naming `where` if it is truncated, has bytes left over, exceeds a limit, or
/// its compression is damaged.
IdxArray parse_idx(std::span<const std::byte> bytes, std::string_view where,
                   const IdxLimits& limits = {});

/// The same from a file. InputError if it cannot be read.
IdxArray read_idx(const std::filesystem::path& path, const IdxLimits& limits = {});

}  // namespace amalgam
