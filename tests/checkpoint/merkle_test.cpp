#include "amalgam/checkpoint/merkle.hpp"

#include <gtest/gtest.h>

#include "tests/error_of.hpp"

namespace amalgam {
namespace {

std::string root_of(const std::vector<std::string>& blocks) {
  std::vector<Digest> digests;
  for (const std::string& block : blocks) {
    digests.push_back(block_digest(std::as_bytes(std::span(block))));
  }
  return digest_text(merkle_root(digests));
}

// The roots that Certificate Transparency's test vectors give for these entries (RFC 6962).
TEST(Merkle, GivesTheRootsOfCertificateTransparency) {
  using std::string_literals::operator""s;
  const std::vector<std::string> entries = {""s, "\0"s, "\x10"s, "\x20\x21"s, "\x30\x31"s};
  EXPECT_EQ(root_of({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(root_of({entries[0]}),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
  EXPECT_EQ(root_of({entries[0], entries[1]}),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
  EXPECT_EQ(root_of({entries[0], entries[1], entries[2]}),
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
  EXPECT_EQ(root_of({entries[0], entries[1], entries[2], entries[3]}),
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7");
  EXPECT_EQ(root_of({entries[0], entries[1], entries[2], entries[3], entries[4]}),
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4");
}

TEST(Merkle, DigestsAreReadAsTheyAreWritten) {
  const Digest digest = block_digest({});
  EXPECT_EQ(parse_digest(digest_text(digest), "test"), digest);
  EXPECT_NE(error_of([] { parse_digest("00", "m.json"); }).find("m.json"), std::string::npos);
  EXPECT_NE(error_of([] { parse_digest(std::string(64, 'G'), "m.json"); }).find("'G'"),
            std::string::npos);
}

}  // namespace
}  // namespace amalgam
