#include "amalgam/weights/rules/random_mask.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/weights/rule.hpp"
#include "tests/weights/rule_checks.hpp"
#include "tests/weights/rule_driver.hpp"

namespace amalgam::rules {
namespace {

using amalgam::testing::DriverOptions;
using amalgam::testing::DriverTensor;
using amalgam::testing::run_rule;

// Philox4x32-10 as its paper states it, one word at a time.
std::uint32_t published_word(const std::string& name, std::uint64_t seed, std::uint32_t member,
                             std::uint64_t e) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  hash ^= seed;
  std::uint32_t k0 = static_cast<std::uint32_t>(hash & 0xFFFFFFFFULL);
  std::uint32_t k1 = static_cast<std::uint32_t>(hash >> 32);
  const std::uint64_t counter = e / 4;
  std::uint32_t c[4] = {static_cast<std::uint32_t>(counter & 0xFFFFFFFFULL),
                        static_cast<std::uint32_t>(counter >> 32), member, 0};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = 3528531795ULL * c[0];
    const std::uint64_t p1 = 3449720151ULL * c[2];
    const std::uint32_t next[4] = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0,
                                   static_cast<std::uint32_t>(p1 & 0xFFFFFFFFULL),
                                   static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1,
                                   static_cast<std::uint32_t>(p0 & 0xFFFFFFFFULL)};
    for (int i = 0; i < 4; ++i) c[i] = next[i];
    k0 += 2654435769U;
    k1 += 3144134277U;
  }
  return c[e % 4];
}

TEST(RandomMask, WordsAreThePublishedFunctionOfNameSeedMemberAndIndex) {
  for (const std::uint64_t first : {0ULL, 1ULL, 2ULL, 3ULL, 4093ULL, (1ULL << 34) - 6}) {
    for (const std::size_t count : {0U, 1U, 2U, 3U, 5U, 31U, 64U, 97U}) {
      std::vector<std::uint32_t> words(count);
      random_words(mask_stream("model.layers.3.mlp.weight", 12345, 2), first, words);
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(words[i], published_word("model.layers.3.mlp.weight", 12345, 2, first + i))
            << first << " + " << i;
      }
    }
  }
}

TEST(RandomMask, WordIsKeptIffItsFractionIsBelowP) {
  EXPECT_EQ(last_kept_word(1.0), ~std::uint32_t{0});
  EXPECT_EQ(last_kept_word(0.5), (1U << 31) - 1);  // word 2^31 is u = 0.5, not below
  EXPECT_EQ(last_kept_word(0x1p-32), 0U);
  EXPECT_EQ(last_kept_word(1e-300), 0U);  // u = 0 is below any p
  for (const double p : {0.1, 0.3, 1.0 / 3, 0.9999999999}) {
    const std::uint32_t last = last_kept_word(p);
    EXPECT_LT(last * 0x1p-32, p);
    EXPECT_GE((last + 1.0) * 0x1p-32, p);
  }
}

DriverTensor ones(std::size_t count, std::size_t members, double density,
                  const std::string& rescale) {
  DriverTensor tensor;
  tensor.name = "ones";
  tensor.shape = {count};
  tensor.base = std::vector<double>(count, 0.0);
  for (std::size_t m = 0; m < members; ++m) {
    tensor.members.emplace_back(count, 1.0);
    tensor.member_parameters.push_back(
        {{"weight", 1.0 / static_cast<double>(members)}, {"density", density}});
  }
  tensor.parameters = {{"rescale", rescale}};
  return tensor;
}

struct Moments {
  double mean = 0;
  double variance = 0;
  double nonzero = 0;
};
Moments moments(const std::vector<double>& values) {
  Moments result;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) {
    result.mean += value / n;
    result.nonzero += (value != 0 ? 1 : 0) / n;
  }
  for (const double value : values) {
    result.variance += (value - result.mean) * (value - result.mean) / n;
  }
  return result;
}

TEST(DareLinear, KeepsTheMeanAndTheVarianceOfBernoulliDrops) {
  constexpr std::size_t kCount = 1000000;
  const auto out =
      run_rule(find_merge_rule("dare_linear"), ones(kCount, 1, 0.1, "inverse_density"));
  const Moments found = moments(out);
  EXPECT_NEAR(found.mean, 1.0, 0.009);  // 3 sigma = 3 sqrt(9 / 10^6)
  EXPECT_NEAR(found.nonzero, 0.1, 0.0009);
  EXPECT_NEAR(found.variance, 9.0, 0.1);
  for (const double value : out) {
    if (value != 0) ASSERT_EQ(value, 10.0);
  }
}

TEST(DareLinear, MasksOfMembersAreIndependent) {
  // The average of four copies of one expert under independent masks: variance 9 / 4; under one
  // shared mask it would be 9.
  const auto out =
      run_rule(find_merge_rule("dare_linear"), ones(1000000, 4, 0.1, "inverse_density"));
  EXPECT_NEAR(moments(out).variance, 9.0 / 4, 0.03);
}

TEST(DareLinear, MaskCanBeRecomputed) {
  DriverTensor tensor = ones(5000, 2, 0.3, "false");
  tensor.member_parameters[0] = {{"weight", 1.0}, {"density", 0.3}};
  tensor.member_parameters[1] = {{"weight", 4.0}, {"density", 0.6}};
  const auto out = run_rule(find_merge_rule("dare_linear"), tensor, DriverOptions{.seed = 77});
  for (std::size_t e = 0; e < out.size(); ++e) {
    const double expected = (published_word("ones", 77, 0, e) * 0x1p-32 < 0.3 ? 1.0 : 0.0) +
                            (published_word("ones", 77, 1, e) * 0x1p-32 < 0.6 ? 4.0 : 0.0);
    ASSERT_EQ(out[e], expected) << e;
  }
}

TEST(DareLinear, DefaultRescalePreservesTheL1Norm) {
  DriverTensor tensor;
  tensor.shape = {20000};
  tensor.members = {amalgam::testing::random_values(20000, 5)};
  tensor.base = std::vector<double>(20000, 0.0);
  tensor.member_parameters = {{{"weight", 1.0}, {"density", 0.4}}};
  const auto out = run_rule(find_merge_rule("dare_linear"), tensor);
  double before = 0;
  double after = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    before += std::abs(tensor.members[0][i]);
    after += std::abs(out[i]);
  }
  EXPECT_NEAR(after, before, 1e-9 * before);
}

TEST(DareLinear, OtherSeedsGiveOtherMasksAndTheSameSeedTheSame) {
  const DriverTensor tensor = ones(1000, 1, 0.5, "false");
  const MergeRule& rule = find_merge_rule("dare_linear");
  const auto first = run_rule(rule, tensor, {.seed = 1});
  EXPECT_EQ(run_rule(rule, tensor, {.seed = 1}), first);
  EXPECT_NE(run_rule(rule, tensor, {.seed = 2}), first);
}

}  // namespace
}  // namespace amalgam::rules
