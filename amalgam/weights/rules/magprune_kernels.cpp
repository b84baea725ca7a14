#include "amalgam/weights/rules/magprune_kernels.hpp"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/weights/rules/magprune_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::rules::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// Calls range(d, first), which works in steps of Lanes(d) as far as whole steps go and returns
// where it stopped: with the widest vectors of T, then for the rest one by one.
template <class T, class Range>
HWY_INLINE void steps_and_rest(const Range& range) {
  range(hn::CappedTag<T, 1>(), range(hn::ScalableTag<T>(), std::size_t{0}));
}

std::size_t decide(std::uint32_t* HWY_RESTRICT words, std::size_t count, std::uint32_t surely,
                   std::uint32_t perhaps, std::uint32_t* HWY_RESTRICT open) {
  std::size_t written = 0;
  steps_and_rest<std::uint32_t>([&](auto d, std::size_t i) HWY_ATTR {
    const auto low = hn::Set(d, surely);
    const auto high = hn::Set(d, perhaps);
    const auto dropped = hn::Set(d, ~std::uint32_t{0});
    for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
      const auto word = hn::LoadU(d, words + i);
      const auto over_low = hn::Gt(word, low);
      const auto over_high = hn::Gt(word, high);
      const auto undecided = hn::AndNot(over_high, over_low);
      const auto left = hn::IfThenElse(over_high, dropped, hn::IfThenElseZero(undecided, word));
      hn::StoreU(left, d, words + i);
      const auto index = hn::Iota(d, static_cast<std::uint32_t>(i));
      hn::StoreU(hn::Compress(index, undecided), d, open + written);
      written += hn::CountTrue(d, undecided);
    }
    return i;
  });
  return written;
}

template <class T, class Key>
HWY_INLINE double bound_of(const Key* HWY_RESTRICT keys, std::size_t count) {
  T largest = 0;
  double total = 0;
  steps_and_rest<T>([&](auto d, std::size_t i) HWY_ATTR {
    const hn::RebindToUnsigned<decltype(d)> bits;
    auto most = hn::Zero(d);
    auto sum = hn::Zero(d);
    for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
      const auto value = hn::BitCast(d, hn::LoadU(bits, keys + i));
      most = hn::Max(most, value);
      sum = hn::Add(sum, value);
    }
    largest = std::max(largest, hn::GetLane(hn::MaxOfLanes(d, most)));
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
    return i;
  });
  return std::min(static_cast<double>(largest), 8 * total / static_cast<double>(count));
}

// Vectors of float or double become indices of 32 bits.
template <class D>
HWY_INLINE auto to_index(D /*d*/, hn::Vec<D> value) {
  const hn::Rebind<std::int32_t, D> index;
  if constexpr (sizeof(hn::TFromD<D>) == 4) {
    return hn::ConvertTo(index, value);
  } else {
    return hn::DemoteTo(index, value);
  }
}

template <class T, class Key>
HWY_INLINE void bucket_all(const Key* HWY_RESTRICT keys, std::size_t count, double scale,
                           std::uint32_t last, std::uint32_t* HWY_RESTRICT bucket) {
  steps_and_rest<T>([&](auto d, std::size_t i) HWY_ATTR {
    const hn::RebindToUnsigned<decltype(d)> bits;
    const hn::Rebind<std::uint32_t, decltype(d)> index;
    const auto factor = hn::Set(d, static_cast<T>(scale));
    const auto end = hn::Set(d, static_cast<T>(last));
    for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
      const auto place = hn::Mul(hn::BitCast(d, hn::LoadU(bits, keys + i)), factor);
      const auto bounded = hn::IfThenElse(hn::Lt(place, end), place, end);
      hn::StoreU(hn::BitCast(index, to_index(d, bounded)), index, bucket + i);
    }
    return i;
  });
}

// Keys and indices have their top bit clear, so they compare as signed integers.
template <class Key>
HWY_INLINE std::size_t before(const std::uint32_t* HWY_RESTRICT elements, std::size_t count,
                              const Key* HWY_RESTRICT keys, std::uint32_t element) {
  std::size_t total = 0;
  steps_and_rest<Key>([&](auto d, std::size_t i) HWY_ATTR {
    const hn::Rebind<std::int32_t, decltype(d)> narrow;
    const auto own_key = hn::Set(d, keys[element]);
    const auto own_index = hn::Set(d, static_cast<Key>(element));
    for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
      const auto loaded = hn::LoadU(narrow, reinterpret_cast<const std::int32_t*>(elements) + i);
      hn::Vec<decltype(d)> index;
      if constexpr (sizeof(Key) == 4) {
        index = loaded;
      } else {
        index = hn::PromoteTo(d, loaded);
      }
      const auto key = hn::GatherIndex(d, keys, index);
      const auto tie = hn::And(hn::Eq(key, own_key), hn::Lt(index, own_index));
      total += hn::CountTrue(d, hn::Or(hn::Lt(key, own_key), tie));
    }
    return i;
  });
  return total;
}

double bound_float(const std::uint32_t* keys, std::size_t count) {
  return bound_of<float>(keys, count);
}
double bound_double(const std::uint64_t* keys, std::size_t count) {
  return bound_of<double>(keys, count);
}
void bucket_float(const std::uint32_t* keys, std::size_t count, double scale, std::uint32_t last,
                  std::uint32_t* bucket) {
  bucket_all<float>(keys, count, scale, last, bucket);
}
void bucket_double(const std::uint64_t* keys, std::size_t count, double scale, std::uint32_t last,
                   std::uint32_t* bucket) {
  bucket_all<double>(keys, count, scale, last, bucket);
}
std::size_t before_float(const std::uint32_t* elements, std::size_t count, const std::int32_t* keys,
                         std::uint32_t element) {
  return before(elements, count, keys, element);
}
std::size_t before_double(const std::uint32_t* elements, std::size_t count,
                          const std::int64_t* keys, std::uint32_t element) {
  return before(elements, count, keys, element);
}

}  // namespace
}  // namespace amalgam::rules::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::rules {
namespace {
HWY_EXPORT(decide);
HWY_EXPORT(bound_float);
HWY_EXPORT(bound_double);
HWY_EXPORT(bucket_float);
HWY_EXPORT(bucket_double);
HWY_EXPORT(before_float);
HWY_EXPORT(before_double);
}  // namespace

std::size_t decide_words(std::span<std::uint32_t> words, std::uint32_t surely,
                         std::uint32_t perhaps, std::uint32_t* open) {
  return HWY_DYNAMIC_DISPATCH(decide)(words.data(), words.size(), surely, perhaps, open);
}
double usual_bound(std::span<const std::uint32_t> keys) {
  return HWY_DYNAMIC_DISPATCH(bound_float)(keys.data(), keys.size());
}
double usual_bound(std::span<const std::uint64_t> keys) {
  return HWY_DYNAMIC_DISPATCH(bound_double)(keys.data(), keys.size());
}
void bucket_keys(std::span<const std::uint32_t> keys, double scale, std::uint32_t last,
                 std::uint32_t* bucket) {
  HWY_DYNAMIC_DISPATCH(bucket_float)(keys.data(), keys.size(), scale, last, bucket);
}
void bucket_keys(std::span<const std::uint64_t> keys, double scale, std::uint32_t last,
                 std::uint32_t* bucket) {
  HWY_DYNAMIC_DISPATCH(bucket_double)(keys.data(), keys.size(), scale, last, bucket);
}

// Signed and unsigned variants of a type may alias.
std::size_t elements_before(std::span<const std::uint32_t> elements, const std::uint32_t* keys,
                            std::uint32_t element) {
  return HWY_DYNAMIC_DISPATCH(before_float)(elements.data(), elements.size(),
                                            reinterpret_cast<const std::int32_t*>(keys), element);
}
std::size_t elements_before(std::span<const std::uint32_t> elements, const std::uint64_t* keys,
                            std::uint32_t element) {
  return HWY_DYNAMIC_DISPATCH(before_double)(elements.data(), elements.size(),
                                             reinterpret_cast<const std::int64_t*>(keys), element);
}

}  // namespace amalgam::rules
#endif  // HWY_ONCE
