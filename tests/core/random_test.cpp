#include "amalgam/core/random.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace amalgam {
namespace {

using Words = std::array<std::uint32_t, 4>;

// The known answers for philox4x32 with 10 rounds that Random123 publishes (kat_vectors).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0}, {0, 0, 0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes}, {kOnes, kOnes, kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// The test vectors of the FNV authors (draft-eastlake-fnv, appendix C).
TEST(Fnv1a64, KnownAnswers) {
  EXPECT_EQ(fnv1a64(""), 0xcbf29ce484222325ULL);
  EXPECT_EQ(fnv1a64("a"), 0xaf63dc4c8601ec8cULL);
  EXPECT_EQ(fnv1a64("foobar"), 0x85944171f73967e8ULL);
}

TEST(StreamKey, IsTheHashXorTheSeedLowWordFirst) {
  const std::uint64_t key = fnv1a64("a") ^ 0x0123456789abcdefULL;
  EXPECT_EQ(stream_key("a", 0x0123456789abcdefULL),
            (std::array<std::uint32_t, 2>{static_cast<std::uint32_t>(key),
                                          static_cast<std::uint32_t>(key >> 32)}));
}

TEST(RandomStream, IsTheWordsOfTheCounterBlocksInOrder) {
  RandomStream stream(9, "words");
  for (std::uint32_t block = 0; block < 5; ++block) {
    for (const std::uint32_t word : philox4x32(stream_key("words", 9), {block, 0, 0, 0})) {
      EXPECT_EQ(stream.next(), word);
    }
  }
}

TEST(RandomStream, DependsOnSeedAndNameOnly) {
  const auto draw = [](std::uint64_t seed, const std::string& what) {
    RandomStream stream(seed, what);
    std::vector<std::uint32_t> words(16);
    for (std::uint32_t& word : words) word = stream.next();
    return words;
  };
  EXPECT_EQ(draw(1, "dropout"), draw(1, "dropout"));
  const std::set<std::vector<std::uint32_t>> distinct = {draw(1, "dropout"), draw(2, "dropout"),
                                                         draw(1, "dropouts"), draw(1, "")};
  EXPECT_EQ(distinct.size(), 4U);
}

TEST(RandomStream, UniformUsesTwoWordsAs53Bits) {
  RandomStream stream(5, "uniform");
  RandomStream words(5, "uniform");
  double sum = 0;
  constexpr int kDraws = 20'000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = stream.uniform();
    const std::uint64_t high = words.next() >> 5;
    const std::uint64_t low = words.next() >> 6;
    ASSERT_EQ(value, std::ldexp(static_cast<double>(high * 67108864 + low), -53));
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  // Standard error of the mean: 1 / sqrt(12 n) = 0.002.
  EXPECT_NEAR(sum / kDraws, 0.5, 0.01);
}

TEST(RandomStream, BelowReachesEveryValueEquallyOften) {
  RandomStream stream(6, "below");
  std::array<int, 7> counts{};
  constexpr int kDraws = 70'000;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t value = stream.below(counts.size());
    ASSERT_LT(value, counts.size());
    ++counts.at(value);
  }
  // Chi-square with 6 degrees of freedom: above 22.5 with probability 0.001.
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - 10'000.0) * (count - 10'000.0) / 10'000.0;
  EXPECT_LT(chi_square, 22.5);
  EXPECT_EQ(stream.below(1), 0U);
  // A bound of more than 2^63: a draw in two is refused, and no value exceeds it.
  constexpr std::uint64_t kLarge = (std::uint64_t{1} << 63) + 1;
  for (int i = 0; i < 100; ++i) EXPECT_LT(stream.below(kLarge), kLarge);
}

TEST(RandomStream, NormalHasMeanZeroAndVarianceOne) {
  RandomStream stream(7, "normal");
  constexpr int kDraws = 50'000;
  double sum = 0;
  double squares = 0;
  double fourth = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = stream.normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
    fourth += value * value * value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1, 0.03);
  EXPECT_NEAR(fourth / kDraws, 3, 0.2);
}

}  // namespace
}  // namespace amalgam
