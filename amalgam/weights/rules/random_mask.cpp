#include "amalgam/weights/rules/random_mask.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "amalgam/core/random.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/weights/rules/random_mask.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::rules::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// The state of one Philox block per 64-bit lane: the four words are the low halves. What is left in
// the high halves never reaches a result, since the 32 x 32 -> 64 bit multiplication reads low
// halves only, and it spares the masking.
template <class D>
struct Blocks {
  using V = hn::Vec<D>;
  V c0, c1, c2, c3;

  HWY_INLINE Blocks(D d, std::uint64_t counter, std::uint64_t member)
      : c0(hn::Add(hn::Set(d, counter), hn::Iota(d, 0))),
        c1(hn::ShiftRight<32>(c0)),
        c2(hn::Set(d, member)),
        c3(hn::Zero(d)) {}

  HWY_INLINE void round(V key0, V key1) {
    const hn::Repartition<std::uint32_t, D> d32;
    const V product0 = hn::MulEven(hn::BitCast(d32, c0), hn::Set(d32, 0xD2511F53U));
    const V product1 = hn::MulEven(hn::BitCast(d32, c2), hn::Set(d32, 0xCD9E8D57U));
    c0 = hn::Xor(hn::ShiftRight<32>(product1), hn::Xor(c1, key0));
    c1 = product1;
    c2 = hn::Xor(hn::ShiftRight<32>(product0), hn::Xor(c3, key1));
    c3 = product0;
  }

  HWY_INLINE void store(D d, std::uint32_t* HWY_RESTRICT out) const {
    const V low_half = hn::Set(d, 0xFFFFFFFFULL);
    const V words01 = hn::Or(hn::And(c0, low_half), hn::ShiftLeft<32>(c1));
    const V words23 = hn::Or(hn::And(c2, low_half), hn::ShiftLeft<32>(c3));
    hn::StoreInterleaved2(words01, words23, d, reinterpret_cast<std::uint64_t*>(out));
  }
};

// Writes the words of counters [counter + done, counter + groups) as far as whole steps of two
// vectors go (two, so that their latencies overlap and they share the loads of the round keys).
template <class D>
HWY_INLINE std::size_t philox_range(D d, const std::uint64_t* HWY_RESTRICT round_keys,
                                    std::uint64_t member, std::uint64_t counter, std::size_t done,
                                    std::size_t groups, std::uint32_t* HWY_RESTRICT out) {
  const std::size_t lanes = hn::Lanes(d);
  for (; done + 2 * lanes <= groups; done += 2 * lanes) {
    Blocks<D> left(d, counter + done, member);
    Blocks<D> right(d, counter + done + lanes, member);
    HWY_UNROLL(10)
    for (std::size_t round = 0; round < 10; ++round) {
      const auto key0 = hn::Set(d, round_keys[2 * round]);
      const auto key1 = hn::Set(d, round_keys[2 * round + 1]);
      left.round(key0, key1);
      right.round(key0, key1);
    }
    left.store(d, out + 4 * done);
    right.store(d, out + 4 * (done + lanes));
  }
  return done;
}

// Writes the 4 * groups words of counters [counter, counter + groups), all but at most the last.
std::size_t philox_groups(const std::uint64_t* HWY_RESTRICT round_keys, std::uint64_t member,
                          std::uint64_t counter, std::size_t groups,
                          std::uint32_t* HWY_RESTRICT out) {
  const std::size_t done =
      philox_range(hn::ScalableTag<std::uint64_t>(), round_keys, member, counter, 0, groups, out);
  return philox_range(hn::CappedTag<std::uint64_t, 1>(), round_keys, member, counter, done, groups,
                      out);
}

}  // namespace
}  // namespace amalgam::rules::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::rules {
namespace {
HWY_EXPORT(philox_groups);
}  // namespace

MaskStream mask_stream(std::string_view tensor, std::uint64_t seed, std::size_t member) {
  return {stream_key(tensor, seed), static_cast<std::uint32_t>(member)};
}

void random_words(const MaskStream& stream, std::uint64_t first, std::span<std::uint32_t> out) {
  std::array<std::uint64_t, 20> round_keys{};
  auto [key0, key1] = stream.key;
  for (std::size_t round = 0; round < 10; ++round) {
    round_keys[2 * round] = key0;
    round_keys[2 * round + 1] = key1;
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  std::uint64_t counter = first / 4;
  std::size_t done = 0;
  // A group of four words of which only some are asked for, at either end, or that the kernel's
  // steps leave over.
  const auto single = [&](std::size_t skip) {
    const auto words =
        philox4x32(stream.key, {static_cast<std::uint32_t>(counter),
                                static_cast<std::uint32_t>(counter >> 32), stream.member, 0});
    for (std::size_t word = skip; word < words.size() && done < out.size(); ++word) {
      out[done++] = words[word];
    }
    ++counter;
  };
  if (const std::size_t skip = first % 4; skip != 0) single(skip);
  const std::size_t whole = HWY_DYNAMIC_DISPATCH(philox_groups)(
      round_keys.data(), stream.member, counter, (out.size() - done) / 4, out.data() + done);
  done += 4 * whole;
  counter += whole;
  while (done < out.size()) single(0);
}

std::uint32_t last_kept_word(double p) {
  // word * 2^-32 is exact, so the comparison is that of the integer with p * 2^32, exact as well.
  const double bound = std::ceil(std::min(p, 1.0) * 0x1p32);
  return static_cast<std::uint32_t>(std::max(bound, 1.0) - 1.0);
}

}  // namespace amalgam::rules
#endif  // HWY_ONCE
