#include "amalgam/weights/rules/task_vector_kernels.hpp"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/weights/rules/task_vector_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "amalgam/weights/rules/vector_loops-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace amalgam::rules::HWY_NAMESPACE {
namespace {

template <class T, class D>
HWY_INLINE auto difference(D, const T* HWY_RESTRICT x, const T* HWY_RESTRICT base, std::size_t i) {
  const Narrow<T, D> t;
  return hn::Sub(hn::LoadU(t, x + i), hn::LoadU(t, base + i));
}

// Filters: which elements stay, as a mask over vectors of T.
struct All {
  template <class N, class V>
  HWY_INLINE V operator()(N, V value, std::size_t) const {
    return value;
  }
};

template <class Key>
struct InRange {
  Key low;
  Key high;
  template <class N, class V>
  HWY_INLINE V operator()(N n, V value, std::size_t) const {
    const hn::RebindToSigned<N> keys;
    const auto key = hn::BitCast(keys, hn::Abs(value));
    const auto over = hn::Gt(key, hn::Set(keys, high));
    const auto in = hn::AndNot(over, hn::Gt(key, hn::Set(keys, low)));
    return hn::IfThenElseZero(hn::RebindMask(n, in), value);
  }
};

struct ByWords {
  const std::uint32_t* HWY_RESTRICT words;
  std::uint32_t last;
  template <class N, class V>
  HWY_INLINE V operator()(N n, V value, std::size_t i) const {
    const hn::Rebind<std::uint32_t, N> u32;
    const auto word = hn::LoadU(u32, words + i);
    if constexpr (sizeof(hn::TFromD<N>) == 4) {
      return hn::IfThenZeroElse(hn::RebindMask(n, hn::Gt(word, hn::Set(u32, last))), value);
    } else {
      const hn::RebindToSigned<N> i64;  // compares where unsigned 64-bit lanes may not
      const auto wide = hn::BitCast(i64, hn::PromoteTo(hn::RebindToUnsigned<N>(), word));
      const auto over = hn::Gt(wide, hn::Set(i64, std::int64_t{last}));
      return hn::IfThenZeroElse(hn::RebindMask(n, over), value);
    }
  }
};

template <class T, class Filter>
HWY_INLINE void weigh_tile(const T* HWY_RESTRICT x, const T* HWY_RESTRICT base, std::size_t count,
                           const Filter& filter, double factor, double weight,
                           double* HWY_RESTRICT y) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const auto f = hn::Set(d, factor);
    const auto w = hn::Set(d, weight);
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      const auto kept = filter(Narrow<T, decltype(d)>(), difference<T>(d, x, base, i), i);
      hn::StoreU(hn::Mul(w, hn::Mul(f, widen(d, kept))), d, y + i);
    }
    return i;
  });
}

void add_absolute_tile(const double* HWY_RESTRICT values, std::size_t count,
                       double* HWY_RESTRICT lanes) {
  sum_lanes(count, lanes,
            [values](auto d, std::size_t i) HWY_ATTR { return hn::Abs(hn::LoadU(d, values + i)); });
}

void add_squares_tile(const double* HWY_RESTRICT values, std::size_t count,
                      double* HWY_RESTRICT lanes) {
  sum_lanes(count, lanes, [values](auto d, std::size_t i) HWY_ATTR {
    const auto value = hn::LoadU(d, values + i);
    return hn::Mul(value, value);
  });
}

template <class T>
HWY_INLINE void add_absolute_words_tile(const T* HWY_RESTRICT x, const T* HWY_RESTRICT base,
                                        const std::uint32_t* HWY_RESTRICT words, std::uint32_t last,
                                        std::size_t count, double* HWY_RESTRICT all,
                                        double* HWY_RESTRICT kept) {
  const ByWords filter{words, last};
  const auto add = [&](auto d, std::size_t i, auto& all_sum, auto& kept_sum) HWY_ATTR {
    const auto change = difference<T>(d, x, base, i);
    all_sum = hn::Add(all_sum, hn::Abs(widen(d, change)));
    const auto survivor = filter(Narrow<T, decltype(d)>(), change, i);
    kept_sum = hn::Add(kept_sum, hn::Abs(widen(d, survivor)));
  };
  const hn::CappedTag<double, 8> d;
  const std::size_t step = hn::Lanes(d);
  const std::size_t groups = count / 16;
  for (std::size_t lane = 0; lane < 16; lane += 2 * step) {
    auto all_low = hn::LoadU(d, all + lane);
    auto all_high = hn::LoadU(d, all + lane + step);
    auto kept_low = hn::LoadU(d, kept + lane);
    auto kept_high = hn::LoadU(d, kept + lane + step);
    for (std::size_t g = 0; g < groups; ++g) {
      add(d, 16 * g + lane, all_low, kept_low);
      add(d, 16 * g + lane + step, all_high, kept_high);
    }
    hn::StoreU(all_low, d, all + lane);
    hn::StoreU(all_high, d, all + lane + step);
    hn::StoreU(kept_low, d, kept + lane);
    hn::StoreU(kept_high, d, kept + lane + step);
  }
  const hn::CappedTag<double, 1> one;
  for (std::size_t i = 16 * groups; i < count; ++i) {
    auto all_sum = hn::Set(one, all[i % 16]);
    auto kept_sum = hn::Set(one, kept[i % 16]);
    add(one, i, all_sum, kept_sum);
    all[i % 16] = hn::GetLane(all_sum);
    kept[i % 16] = hn::GetLane(kept_sum);
  }
}

// Packed survivors have one byte for the lanes of a vector.
using PackLanes = hn::CappedTag<double, 8>;

std::size_t packed_bytes(std::size_t elements) {
  const std::size_t lanes = hn::Lanes(PackLanes());
  return (elements + lanes - 1) / lanes;
}

void pack_words(const std::uint32_t* HWY_RESTRICT words, std::size_t count, std::uint32_t last,
                std::size_t first, std::uint8_t* HWY_RESTRICT bits) {
  const Narrow<std::uint32_t, PackLanes> u32;
  const std::size_t lanes = hn::Lanes(u32);
  const auto largest = hn::Set(u32, last);
  std::uint8_t* to = bits + first / lanes;
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto over = hn::Gt(hn::LoadU(u32, words + i), largest);
    alignas(8) std::uint8_t packed[8];  // StoreMaskBits may write whole 8 bytes
    hn::StoreMaskBits(u32, hn::Not(over), packed);
    *to++ = packed[0];
  }
  if (i == count) return;
  unsigned rest = 0;
  for (unsigned lane = 0; i < count; ++i, ++lane) rest |= (words[i] <= last ? 1U : 0U) << lane;
  *to = static_cast<std::uint8_t>(rest);
}

void weigh_packed(const float* HWY_RESTRICT x, const float* HWY_RESTRICT base, std::size_t count,
                  const std::uint8_t* HWY_RESTRICT bits, std::size_t first, double factor,
                  double weight, double* HWY_RESTRICT y) {
  const PackLanes d;
  const Narrow<float, PackLanes> narrow;
  const std::size_t lanes = hn::Lanes(d);
  const auto f = hn::Set(d, factor);
  const auto w = hn::Set(d, weight);
  const std::uint8_t* from = bits + first / lanes;
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    // LoadMaskBits may read 8 bytes.
    alignas(8) std::uint8_t packed[8] = {*from++};
    const auto survives = hn::LoadMaskBits(narrow, packed);
    const auto kept = hn::IfThenElseZero(survives, difference<float>(d, x, base, i));
    hn::StoreU(hn::Mul(w, hn::Mul(f, widen(d, kept))), d, y + i);
  }
  for (unsigned lane = 0; i < count; ++i, ++lane) {
    const float change = ((*from >> lane) & 1U) != 0 ? x[i] - base[i] : 0.0F;
    y[i] = weight * (factor * static_cast<double>(change));
  }
}

void weigh_float(const float* x, const float* base, std::size_t count, double factor, double weight,
                 double* y) {
  weigh_tile(x, base, count, All(), factor, weight, y);
}
void weigh_double(const double* x, const double* base, std::size_t count, double factor,
                  double weight, double* y) {
  weigh_tile(x, base, count, All(), factor, weight, y);
}
void weigh_range_float(const float* x, const float* base, std::size_t count, FloatKeyRange range,
                       double factor, double weight, double* y) {
  weigh_tile(x, base, count, InRange<std::int32_t>{range.low, range.high}, factor, weight, y);
}
void weigh_range_double(const double* x, const double* base, std::size_t count,
                        DoubleKeyRange range, double factor, double weight, double* y) {
  weigh_tile(x, base, count, InRange<std::int64_t>{range.low, range.high}, factor, weight, y);
}
void weigh_words_float(const float* x, const float* base, std::size_t count,
                       const std::uint32_t* words, std::uint32_t last, double factor, double weight,
                       double* y) {
  weigh_tile(x, base, count, ByWords{words, last}, factor, weight, y);
}
void weigh_words_double(const double* x, const double* base, std::size_t count,
                        const std::uint32_t* words, std::uint32_t last, double factor,
                        double weight, double* y) {
  weigh_tile(x, base, count, ByWords{words, last}, factor, weight, y);
}
void add_words_float(const float* x, const float* base, const std::uint32_t* words,
                     std::uint32_t last, std::size_t count, double* all, double* kept) {
  add_absolute_words_tile(x, base, words, last, count, all, kept);
}
void add_words_double(const double* x, const double* base, const std::uint32_t* words,
                      std::uint32_t last, std::size_t count, double* all, double* kept) {
  add_absolute_words_tile(x, base, words, last, count, all, kept);
}

}  // namespace
}  // namespace amalgam::rules::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::rules {
namespace {
HWY_EXPORT(weigh_float);
HWY_EXPORT(weigh_double);
HWY_EXPORT(weigh_range_float);
HWY_EXPORT(weigh_range_double);
HWY_EXPORT(weigh_words_float);
HWY_EXPORT(weigh_words_double);
HWY_EXPORT(packed_bytes);
HWY_EXPORT(pack_words);
HWY_EXPORT(weigh_packed);
HWY_EXPORT(add_absolute_tile);
HWY_EXPORT(add_squares_tile);
HWY_EXPORT(add_words_float);
HWY_EXPORT(add_words_double);
}  // namespace

void weigh(std::span<const float> x, const float* base, double factor, double weight, double* y) {
  HWY_DYNAMIC_DISPATCH(weigh_float)(x.data(), base, x.size(), factor, weight, y);
}
void weigh(std::span<const double> x, const double* base, double factor, double weight, double* y) {
  HWY_DYNAMIC_DISPATCH(weigh_double)(x.data(), base, x.size(), factor, weight, y);
}
void weigh_range(std::span<const float> x, const float* base, FloatKeyRange range, double factor,
                 double weight, double* y) {
  HWY_DYNAMIC_DISPATCH(weigh_range_float)(x.data(), base, x.size(), range, factor, weight, y);
}
void weigh_range(std::span<const double> x, const double* base, DoubleKeyRange range, double factor,
                 double weight, double* y) {
  HWY_DYNAMIC_DISPATCH(weigh_range_double)(x.data(), base, x.size(), range, factor, weight, y);
}
void weigh_words(std::span<const float> x, const float* base, const std::uint32_t* words,
                 std::uint32_t last, double factor, double weight, double* y) {
  HWY_DYNAMIC_DISPATCH(weigh_words_float)
  (x.data(), base, x.size(), words, last, factor, weight, y);
}
void weigh_words(std::span<const double> x, const double* base, const std::uint32_t* words,
                 std::uint32_t last, double factor, double weight, double* y) {
  HWY_DYNAMIC_DISPATCH(weigh_words_double)
  (x.data(), base, x.size(), words, last, factor, weight, y);
}
std::size_t survivor_bytes(std::size_t elements) {
  return HWY_DYNAMIC_DISPATCH(packed_bytes)(elements);
}
void pack_survivors(std::span<const std::uint32_t> words, std::uint32_t last, std::size_t first,
                    std::uint8_t* bits) {
  HWY_DYNAMIC_DISPATCH(pack_words)(words.data(), words.size(), last, first, bits);
}
void weigh_bits(std::span<const float> x, const float* base, const std::uint8_t* bits,
                std::size_t first, double factor, double weight, double* y) {
  HWY_DYNAMIC_DISPATCH(weigh_packed)(x.data(), base, x.size(), bits, first, factor, weight, y);
}
double LaneSums::total() const {
  std::array<double, 16> sums = lanes;
  for (std::size_t width = 8; width > 0; width /= 2) {
    for (std::size_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  }
  return sums[0];
}
void add_absolute(std::span<const double> values, LaneSums& sums) {
  HWY_DYNAMIC_DISPATCH(add_absolute_tile)(values.data(), values.size(), sums.lanes.data());
}
void add_squares(std::span<const double> values, LaneSums& sums) {
  HWY_DYNAMIC_DISPATCH(add_squares_tile)(values.data(), values.size(), sums.lanes.data());
}
double largest_absolute(std::span<const double> values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  return largest;
}
void add_absolute_words(std::span<const float> x, const float* base, const std::uint32_t* words,
                        std::uint32_t last, LaneSums& all, LaneSums& kept) {
  HWY_DYNAMIC_DISPATCH(add_words_float)
  (x.data(), base, words, last, x.size(), all.lanes.data(), kept.lanes.data());
}
void add_absolute_words(std::span<const double> x, const double* base, const std::uint32_t* words,
                        std::uint32_t last, LaneSums& all, LaneSums& kept) {
  HWY_DYNAMIC_DISPATCH(add_words_double)
  (x.data(), base, words, last, x.size(), all.lanes.data(), kept.lanes.data());
}

}  // namespace amalgam::rules
#endif  // HWY_ONCE
