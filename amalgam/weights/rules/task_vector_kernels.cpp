#include "amalgam/weights/rules/task_vector_kernels.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

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

template <class D, class T>
HWY_INLINE hn::Vec<D> load_wide(D d, const T* HWY_RESTRICT values) {
  return widen(d, hn::LoadU(Narrow<T, D>(), values));
}

// base + lambda * merged; where the second is zero, base with its sign of zero.
template <class D>
HWY_INLINE hn::Vec<D> add_to_base(D d, hn::Vec<D> base, hn::Vec<D> merged, hn::Vec<D> lambda) {
  const auto change = hn::Mul(merged, lambda);
  return hn::IfThenElse(hn::Eq(change, hn::Zero(d)), base, hn::Add(base, change));
}

template <class D>
HWY_INLINE hn::Vec<D> signs(D d, hn::Vec<D> value) {
  const auto plus = hn::IfThenElseZero(hn::Gt(value, hn::Zero(d)), hn::Set(d, 1.0));
  return hn::IfThenElse(hn::Lt(value, hn::Zero(d)), hn::Set(d, -1.0), plus);
}

template <Consensus::Elect kElect, class D>
HWY_INLINE hn::Vec<D> ballot(D d, const double* const* HWY_RESTRICT y, std::size_t members,
                             std::size_t i) {
  auto total = hn::Zero(d);
  for (std::size_t m = 0; m < members; ++m) {
    const auto value = hn::LoadU(d, y[m] + i);
    if constexpr (kElect == Consensus::Elect::count) {
      total = hn::Add(total, signs(d, value));
    } else {
      total = hn::Add(total, value);
    }
  }
  return total;
}

template <class T, Consensus::Elect kElect, Consensus::Merge kMerge>
HWY_INLINE void merge_elected(const Consensus& consensus, const double* const* HWY_RESTRICT y,
                              const double* HWY_RESTRICT weights, std::size_t members,
                              const T* HWY_RESTRICT base, std::size_t count,
                              double* HWY_RESTRICT out) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const auto zero = hn::Zero(d);
    const auto one = hn::Set(d, 1.0);
    const auto lambda = hn::Set(d, consensus.lambda);
    const auto sign_bit = hn::SignBit(d);
    // total >= 0, or total > 0, according to the sign of a balance: one comparison with a number
    // just on the other side of zero.
    const auto bound = hn::Set(d, consensus.zero_is_plus ? -5e-324 : 0.0);
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      const auto total = ballot<kElect>(d, y, members, i);
      const auto plus = hn::Gt(total, bound);
      const auto flip = hn::IfThenZeroElse(plus, sign_bit);
      auto merged = zero;
      auto divisor = zero;
      for (std::size_t m = 0; m < members; ++m) {
        const auto value = hn::LoadU(d, y[m] + i);
        const auto along = hn::Xor(value, flip);  // positive if its sign is the elected one
        const auto agrees = hn::Gt(along, zero);
        if constexpr (kMerge == Consensus::Merge::max) {
          merged = hn::Max(merged, hn::IfThenElseZero(agrees, along));
        } else {
          merged = hn::Add(merged, hn::IfThenElseZero(agrees, value));
        }
        if constexpr (kMerge == Consensus::Merge::mean) {
          divisor = hn::Add(divisor, hn::IfThenElseZero(agrees, hn::Set(d, weights[m])));
        }
      }
      if constexpr (kMerge == Consensus::Merge::max) merged = hn::Xor(merged, flip);
      if constexpr (kMerge == Consensus::Merge::mean) {
        merged = hn::Div(merged, hn::IfThenElse(hn::Eq(divisor, zero), one, divisor));
      }
      hn::StoreU(add_to_base(d, load_wide(d, base + i), merged, lambda), d, out + i);
    }
    return i;
  });
}

template <class T>
HWY_INLINE void merge_all(const Consensus& consensus, const double* const* HWY_RESTRICT y,
                          std::size_t members, const T* HWY_RESTRICT base, std::size_t count,
                          double* HWY_RESTRICT out) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const auto lambda = hn::Set(d, consensus.lambda);
    const auto divisor = hn::Set(d, consensus.divisor);
    const bool divide = consensus.merge == Consensus::Merge::mean;
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      auto total = ballot<Consensus::Elect::sum>(d, y, members, i);
      if (divide) total = hn::Div(total, divisor);
      hn::StoreU(add_to_base(d, load_wide(d, base + i), total, lambda), d, out + i);
    }
    return i;
  });
}

template <class T, Consensus::Elect kElect>
void merge_elected_any(const Consensus& consensus, const double* const* y, const double* weights,
                       std::size_t members, const T* base, std::size_t count, double* out) {
  using Merge = Consensus::Merge;
  if (consensus.merge == Merge::sum) {
    merge_elected<T, kElect, Merge::sum>(consensus, y, weights, members, base, count, out);
  } else if (consensus.merge == Merge::mean) {
    merge_elected<T, kElect, Merge::mean>(consensus, y, weights, members, base, count, out);
  } else {
    merge_elected<T, kElect, Merge::max>(consensus, y, weights, members, base, count, out);
  }
}

template <class T>
void merge_any(const Consensus& consensus, const double* const* y, const double* weights,
               std::size_t members, const T* base, std::size_t count, double* out) {
  using Elect = Consensus::Elect;
  if (consensus.elect == Elect::none) {
    merge_all(consensus, y, members, base, count, out);
  } else if (consensus.elect == Elect::sum) {
    merge_elected_any<T, Elect::sum>(consensus, y, weights, members, base, count, out);
  } else {
    merge_elected_any<T, Elect::count>(consensus, y, weights, members, base, count, out);
  }
}

template <class T>
HWY_INLINE void merge_differences_of(const T* const* HWY_RESTRICT x, std::size_t offset,
                                     const double* HWY_RESTRICT weights, std::size_t members,
                                     double divisor_value, double lambda_value,
                                     const T* HWY_RESTRICT base, std::size_t count,
                                     double* HWY_RESTRICT out) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const Narrow<T, decltype(d)> t;
    const auto lambda = hn::Set(d, lambda_value);
    const auto divisor = hn::Set(d, divisor_value);
    const bool divide = divisor_value < 1.0 || divisor_value > 1.0;
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      const auto b = hn::LoadU(t, base + i);
      auto total = hn::Zero(d);
      for (std::size_t m = 0; m < members; ++m) {
        const auto change = widen(d, hn::Sub(hn::LoadU(t, x[m] + offset + i), b));
        total = hn::Add(total, hn::Mul(hn::Set(d, weights[m]), change));
      }
      if (divide) total = hn::Div(total, divisor);
      hn::StoreU(add_to_base(d, widen(d, b), total, lambda), d, out + i);
    }
    return i;
  });
}

// Plus elections less minus elections.
template <Consensus::Elect kElect>
HWY_INLINE double balance(const double* const* HWY_RESTRICT y, std::size_t members,
                          std::size_t count) {
  double result = 0;  // whole numbers below 2^53: exact in any order
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      sum = hn::Add(sum, signs(d, ballot<kElect>(d, y, members, i)));
    }
    result += hn::GetLane(hn::SumOfLanes(d, sum));
    return i;
  });
  return result;
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
void merge_float(const Consensus& consensus, const double* const* y, const double* weights,
                 std::size_t members, const float* base, std::size_t count, double* out) {
  merge_any(consensus, y, weights, members, base, count, out);
}
void merge_double(const Consensus& consensus, const double* const* y, const double* weights,
                  std::size_t members, const double* base, std::size_t count, double* out) {
  merge_any(consensus, y, weights, members, base, count, out);
}
void merge_differences_float(const float* const* x, std::size_t offset, const double* weights,
                             std::size_t members, double divisor, double lambda, const float* base,
                             std::size_t count, double* out) {
  merge_differences_of(x, offset, weights, members, divisor, lambda, base, count, out);
}
void merge_differences_double(const double* const* x, std::size_t offset, const double* weights,
                              std::size_t members, double divisor, double lambda,
                              const double* base, std::size_t count, double* out) {
  merge_differences_of(x, offset, weights, members, divisor, lambda, base, count, out);
}
double balance_any(Consensus::Elect elect, const double* const* y, std::size_t members,
                   std::size_t count) {
  return elect == Consensus::Elect::count ? balance<Consensus::Elect::count>(y, members, count)
                                          : balance<Consensus::Elect::sum>(y, members, count);
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
HWY_EXPORT(merge_float);
HWY_EXPORT(merge_double);
HWY_EXPORT(merge_differences_float);
HWY_EXPORT(merge_differences_double);
HWY_EXPORT(balance_any);
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
void merge_tile(const Consensus& consensus, std::span<const double* const> y,
                std::span<const double> weights, const float* base, std::size_t count,
                double* out) {
  HWY_DYNAMIC_DISPATCH(merge_float)
  (consensus, y.data(), weights.data(), y.size(), base, count, out);
}
void merge_tile(const Consensus& consensus, std::span<const double* const> y,
                std::span<const double> weights, const double* base, std::size_t count,
                double* out) {
  HWY_DYNAMIC_DISPATCH(merge_double)
  (consensus, y.data(), weights.data(), y.size(), base, count, out);
}
void merge_differences(std::span<const float* const> members, std::size_t offset,
                       std::span<const double> weights, double divisor, double lambda,
                       const float* base, std::size_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(merge_differences_float)
  (members.data(), offset, weights.data(), members.size(), divisor, lambda, base, count, out);
}
void merge_differences(std::span<const double* const> members, std::size_t offset,
                       std::span<const double> weights, double divisor, double lambda,
                       const double* base, std::size_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(merge_differences_double)
  (members.data(), offset, weights.data(), members.size(), divisor, lambda, base, count, out);
}
std::int64_t sign_balance(Consensus::Elect elect, std::span<const double* const> y,
                          std::size_t count) {
  return static_cast<std::int64_t>(
      HWY_DYNAMIC_DISPATCH(balance_any)(elect, y.data(), y.size(), count));
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
