#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/core/progress.hpp"

namespace amalgam {

/// A SHA-256 digest.
using Digest = std::array<std::byte, 32>;

/// Bytes per block of a file whose blocks are hashed; the last block may be shorter.
inline constexpr std::uint64_t kMerkleBlockBytes = 1 << 20;

/// The hash of a block as a leaf of a Merkle tree: SHA-256 of a zero byte and the block (RFC 6962,
/// section 2.1).
Digest block_digest(std::span<const std::byte> block);

/// The root of the Merkle tree over blocks (RFC 6962, section 2.1): SHA-256 of a byte 1 and the
/// roots of both halves, the left one the largest power of two below the number of blocks. Of no
/// blocks: SHA-256 of nothing.
Digest merkle_root(std::span<const Digest> blocks);

/// 64 lower-case hexadecimal digits.
std::string digest_text(const Digest& digest);
/// Digits of the above; InputError naming `where` for anything else.
Digest parse_digest(std::string_view text, std::string_view where);

/// Digests of the blocks of a file, from all threads. Errors as File's.
std::vector<Digest> digest_blocks(const std::filesystem::path& path, const Parallel& parallel,
                                  Progress* progress = nullptr);

}  // namespace amalgam
