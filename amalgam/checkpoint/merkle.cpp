#include "amalgam/checkpoint/merkle.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <bit>
#include <memory>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam {
namespace {

constexpr std::byte kLeaf{0};
constexpr std::byte kNode{1};

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) fail();
  }
  void add(std::span<const std::byte> bytes) {
    if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) fail();
  }
  Digest finish() {
    Digest digest;
    auto* to = reinterpret_cast<unsigned char*>(digest.data());
    if (EVP_DigestFinal_ex(context_.get(), to, nullptr) != 1) fail();
    return digest;
  }

 private:
  [[noreturn]] static void fail() { throw Error("OpenSSL computes no SHA-256"); }
  std::unique_ptr<EVP_MD_CTX, FreeContext> context_;
};

}  // namespace

Digest block_digest(std::span<const std::byte> block) {
  Sha256 hash;
  hash.add({&kLeaf, 1});
  hash.add(block);
  return hash.finish();
}

Digest merkle_root(std::span<const Digest> blocks) {
  if (blocks.empty()) return Sha256().finish();
  if (blocks.size() == 1) return blocks.front();
  const std::size_t left = std::bit_floor(blocks.size() - 1);
  Sha256 hash;
  hash.add({&kNode, 1});
  hash.add(merkle_root(blocks.first(left)));
  hash.add(merkle_root(blocks.subspan(left)));
  return hash.finish();
}

std::string digest_text(const Digest& digest) {
  std::string text;
  for (const std::byte byte : digest)
    text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

Digest parse_digest(std::string_view text, std::string_view where) {
  const auto value_of = [&](char digit) -> unsigned {
    if (digit >= '0' && digit <= '9') return static_cast<unsigned>(digit - '0');
    if (digit >= 'a' && digit <= 'f') return static_cast<unsigned>(digit - 'a') + 10;
    throw InputError("{}: '{}' is no hexadecimal digit of a digest", where, digit);
  };
  Digest digest;
  if (text.size() != 2 * digest.size()) {
    throw InputError("{}: a digest has {} digits, expected {}", where, text.size(),
                     2 * digest.size());
  }
  for (std::size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<std::byte>(value_of(text[2 * i]) * 16 + value_of(text[2 * i + 1]));
  }
  return digest;
}

std::vector<Digest> digest_blocks(const std::filesystem::path& path, const Parallel& parallel,
                                  Progress* progress) {
  const File file = File::open(path);
  std::vector<Digest> blocks((file.size() + kMerkleBlockBytes - 1) / kMerkleBlockBytes);
  std::vector<std::vector<std::byte>> buffers(parallel.workers());
  parallel_for(parallel, blocks.size(), [&](std::size_t i, std::size_t worker) {
    check_interrupt();
    std::vector<std::byte>& buffer = buffers[worker];
    buffer.resize(kMerkleBlockBytes);
    const std::uint64_t begin = i * kMerkleBlockBytes;
    const auto part = std::span(buffer).first(std::min(kMerkleBlockBytes, file.size() - begin));
    file.read_exactly(begin, part);
    blocks[i] = block_digest(part);
    if (progress != nullptr) progress->advance(part.size());
  });
  return blocks;
}

}  // namespace amalgam
