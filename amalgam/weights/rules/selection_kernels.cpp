#include "amalgam/weights/rules/selection_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/weights/rules/selection_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::rules::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class Key>
HWY_INLINE std::size_t magnitude_range(D d, const hn::TFromD<D>* HWY_RESTRICT x,
                                       const hn::TFromD<D>* HWY_RESTRICT base, std::size_t i,
                                       std::size_t count, Key* HWY_RESTRICT keys) {
  const hn::RebindToUnsigned<D> bits;
  for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
    const auto difference = hn::Sub(hn::LoadU(d, x + i), hn::LoadU(d, base + i));
    hn::StoreU(hn::BitCast(bits, hn::Abs(difference)), bits, keys + i);
  }
  return i;
}

template <class T, class Key>
HWY_INLINE void magnitudes(const T* HWY_RESTRICT x, const T* HWY_RESTRICT base, std::size_t count,
                           Key* HWY_RESTRICT keys) {
  const std::size_t done = magnitude_range(hn::ScalableTag<T>(), x, base, 0, count, keys);
  magnitude_range(hn::CappedTag<T, 1>(), x, base, done, count, keys);
}

void magnitudes_float(const float* x, const float* base, std::size_t count, std::uint32_t* keys) {
  magnitudes(x, base, count, keys);
}
void magnitudes_double(const double* x, const double* base, std::size_t count,
                       std::uint64_t* keys) {
  magnitudes(x, base, count, keys);
}

void absolutes_double(const double* HWY_RESTRICT x, std::size_t count,
                      std::uint64_t* HWY_RESTRICT keys) {
  const auto range = [&](auto d, std::size_t i) HWY_ATTR {
    const hn::RebindToUnsigned<decltype(d)> bits;
    for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
      hn::StoreU(hn::BitCast(bits, hn::Abs(hn::LoadU(d, x + i))), bits, keys + i);
    }
    return i;
  };
  range(hn::CappedTag<double, 1>(), range(hn::ScalableTag<double>(), 0));
}

// Keys have their top bit clear, so they compare as signed integers, which every target can.
template <class D>
HWY_INLINE std::size_t tally_range(D d, const hn::TFromD<D>* HWY_RESTRICT keys, std::size_t i,
                                   std::size_t count, hn::TFromD<D> below, hn::TFromD<D> high,
                                   hn::TFromD<D>* HWY_RESTRICT kept, KeyTally& tally) {
  const auto below_low = hn::Set(d, below);
  const auto top = hn::Set(d, high);
  auto above = hn::Zero(d);
  auto at_least = hn::Zero(d);
  const std::size_t lanes = hn::Lanes(d);
  std::size_t written = tally.inside;
  for (; i + lanes <= count; i += lanes) {
    const auto key = hn::LoadU(d, keys + i);
    const auto over_top = hn::Gt(key, top);
    const auto over_low = hn::Gt(key, below_low);
    above = hn::Sub(above, hn::VecFromMask(d, over_top));
    at_least = hn::Sub(at_least, hn::VecFromMask(d, over_low));
    if (kept != nullptr) {
      // Even if most vectors hold nothing of a narrow bracket: which do is mispredicted.
      const auto inside = hn::AndNot(over_top, over_low);
      hn::StoreU(hn::Compress(key, inside), d, kept + written);
      written += hn::CountTrue(d, inside);
    }
  }
  // VecFromMask is -1 per true lane, so the sums above are counts.
  const auto over = static_cast<std::size_t>(hn::GetLane(hn::SumOfLanes(d, above)));
  const auto from_low = static_cast<std::size_t>(hn::GetLane(hn::SumOfLanes(d, at_least)));
  tally.above += over;
  tally.inside += from_low - over;
  return i;
}

template <class T>
HWY_INLINE KeyTally tally_tile(const T* HWY_RESTRICT keys, std::size_t count, T below, T high,
                               T* HWY_RESTRICT kept) {
  KeyTally tally;
  const std::size_t done =
      tally_range(hn::ScalableTag<T>(), keys, 0, count, below, high, kept, tally);
  tally_range(hn::CappedTag<T, 1>(), keys, done, count, below, high, kept, tally);
  return tally;
}

KeyTally tally32(const std::int32_t* keys, std::size_t count, std::int32_t below, std::int32_t high,
                 std::int32_t* kept) {
  return tally_tile(keys, count, below, high, kept);
}
KeyTally tally64(const std::int64_t* keys, std::size_t count, std::int64_t below, std::int64_t high,
                 std::int64_t* kept) {
  return tally_tile(keys, count, below, high, kept);
}

}  // namespace
}  // namespace amalgam::rules::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::rules {
namespace {
HWY_EXPORT(magnitudes_float);
HWY_EXPORT(magnitudes_double);
HWY_EXPORT(absolutes_double);
HWY_EXPORT(tally32);
HWY_EXPORT(tally64);
}  // namespace

void magnitude_keys(std::span<const float> x, const float* base, std::uint32_t* keys) {
  HWY_DYNAMIC_DISPATCH(magnitudes_float)(x.data(), base, x.size(), keys);
}
void magnitude_keys(std::span<const double> x, const double* base, std::uint64_t* keys) {
  HWY_DYNAMIC_DISPATCH(magnitudes_double)(x.data(), base, x.size(), keys);
}

void absolute_keys(std::span<const double> x, std::uint64_t* keys) {
  HWY_DYNAMIC_DISPATCH(absolutes_double)(x.data(), x.size(), keys);
}

// Signed and unsigned variants of a type may alias.
KeyTally tally_keys(std::span<const std::uint32_t> keys, std::uint32_t low, std::uint32_t high,
                    std::uint32_t* kept) {
  return HWY_DYNAMIC_DISPATCH(tally32)(reinterpret_cast<const std::int32_t*>(keys.data()),
                                       keys.size(), static_cast<std::int32_t>(low - 1),
                                       static_cast<std::int32_t>(high),
                                       reinterpret_cast<std::int32_t*>(kept));
}
KeyTally tally_keys(std::span<const std::uint64_t> keys, std::uint64_t low, std::uint64_t high,
                    std::uint64_t* kept) {
  return HWY_DYNAMIC_DISPATCH(tally64)(reinterpret_cast<const std::int64_t*>(keys.data()),
                                       keys.size(), static_cast<std::int64_t>(low - 1),
                                       static_cast<std::int64_t>(high),
                                       reinterpret_cast<std::int64_t*>(kept));
}

}  // namespace amalgam::rules
#endif  // HWY_ONCE
