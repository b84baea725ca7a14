#include "amalgam/data/text.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

TEST(Text, BytesAreTheirOwnTokens) {
  const TemporaryFolder folder;
  const auto path = folder.write("t.txt", std::string("a\xFF\0b", 4));
  const TextTokens tokens = learn_tokens(path, TextTokens::Kind::byte);
  EXPECT_EQ(tokens.count(), 256U);
  EXPECT_EQ(load_text(path, tokens, Split::all).tokens,
            (std::vector<std::int64_t>{'a', 255, 0, 'b'}));
  EXPECT_EQ(token_names(tokens)[65], "byte 0x41");
}

TEST(Text, CharactersAreNumberedByCodePoint) {
  const TemporaryFolder folder;
  const auto path = folder.write("t.txt", "b€aä\nb");
  const TextTokens tokens = learn_tokens(path, TextTokens::Kind::character);
  EXPECT_EQ(tokens.characters, (std::vector<std::string>{"\n", "a", "b", "ä", "€"}));
  EXPECT_EQ(load_text(path, tokens, Split::all).tokens,
            (std::vector<std::int64_t>{2, 4, 1, 3, 0, 2}));
  EXPECT_EQ(token_names(tokens)[0], "\\x0a");
}

TEST(Text, SplitsAreConsecutivePieces) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 120; ++i) text += static_cast<char>(i);
  const auto path = folder.write("t.txt", text);
  const TextTokens tokens = learn_tokens(path, TextTokens::Kind::byte);
  std::vector<std::int64_t> all;
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    const TextData part = load_text(path, tokens, split);
    all.insert(all.end(), part.tokens.begin(), part.tokens.end());
    if (split == Split::train) EXPECT_EQ(all.size(), 90U);
    if (split == Split::test) EXPECT_EQ(part.tokens.size(), 20U);
  }
  EXPECT_EQ(all, load_text(path, tokens, Split::all).tokens);
}

TEST(Text, RefusesWhatItCannotRead) {
  const TemporaryFolder folder;
  const auto kind = TextTokens::Kind::character;
  expect_error<InputError>([&] { learn_tokens(folder.write("bad.txt", "ab\nc\xFFz"), kind); },
                           "bad.txt:2:2: not UTF-8", "data.tokens: byte");
  expect_error<InputError>([&] { learn_tokens(folder.write("cut.txt", "ab\xE2\x82"), kind); },
                           "cut.txt:1:3: not UTF-8");
  expect_error<InputError>([&] { learn_tokens(folder.write("empty.txt", ""), kind); }, "0 bytes");
  expect_error<InputError>([&] { learn_tokens(folder.path(), kind); }, "cannot be opened");
  const TextTokens known = learn_tokens(folder.write("a.txt", "abc"), kind);
  expect_error<InputError>([&] { load_text(folder.write("b.txt", "ab\nabd"), known, Split::all); },
                           "b.txt:1:3", "'\\x0a' is none of the 3");
  expect_error<InputError>([&] { load_text(folder / "a.txt", known, Split::train); }, "too few");
  EXPECT_EQ(parse_token_kind("byte"), TextTokens::Kind::byte);
  expect_error<InputError>([] { parse_token_kind("bytes"); }, "did you mean 'byte'");
}

}  // namespace
}  // namespace amalgam
