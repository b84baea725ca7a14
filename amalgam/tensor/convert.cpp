#include "amalgam/tensor/convert.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "amalgam/core/error.hpp"
#include "amalgam/tensor/float_formats.hpp"
#include "amalgam/tensor/quantised.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/convert.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {

// Elements of the files are neither aligned nor, to the compiler, of their type.
template <class Stored>
HWY_INLINE Stored load(const std::byte* bytes, std::size_t index) {
  Stored value;
  std::memcpy(&value, bytes + index * sizeof(Stored), sizeof(Stored));
  return value;
}

template <class Stored>
HWY_INLINE void store(Stored value, std::byte* bytes, std::size_t index) {
  std::memcpy(bytes + index * sizeof(Stored), &value, sizeof(Stored));
}

// Where every machine of the target converts F16 by an instruction, which gives the bits of
// float_formats.hpp (convert_test compares them), it is used.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
#define AMALGAM_F16_INSTRUCTION 1
#else
#define AMALGAM_F16_INSTRUCTION 0
#endif

template <class Value>
void decode_f64(const std::byte* bytes, Value* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<Value>(load<double>(bytes, i));
}

template <class Value>
void decode_f32(const std::byte* bytes, Value* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<Value>(load<float>(bytes, i));
}

template <class Value>
void decode_bf16(const std::byte* bytes, Value* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<Value>(formats::from_bf16(load<std::uint16_t>(bytes, i)));
  }
}

void decode_f16(const std::byte* bytes, float* out, std::size_t count) {
  std::size_t i = 0;
#if AMALGAM_F16_INSTRUCTION
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> floats;
  const hn::Rebind<hwy::float16_t, decltype(floats)> halves;
  const std::size_t lanes = hn::Lanes(floats);
  const auto* stored = reinterpret_cast<const hwy::float16_t*>(bytes);
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::PromoteTo(floats, hn::LoadU(halves, stored + i)), floats, out + i);
  }
#endif
  for (; i < count; ++i) out[i] = formats::from_f16(load<std::uint16_t>(bytes, i));
}

void decode_f8_e4m3(const std::byte* bytes, float* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = formats::from_f8_e4m3(load<std::uint8_t>(bytes, i));
  }
}

void decode_f8_e5m2(const std::byte* bytes, float* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = formats::from_f8_e5m2(load<std::uint8_t>(bytes, i));
  }
}

template <class Value>
void encode_f64(const Value* values, std::byte* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) store(static_cast<double>(values[i]), out, i);
}

template <class Value>
void encode_f32(const Value* values, std::byte* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) store(static_cast<float>(values[i]), out, i);
}

void encode_f16(const float* values, std::byte* out, std::size_t count) {
  std::size_t i = 0;
#if AMALGAM_F16_INSTRUCTION
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> floats;
  const hn::Rebind<hwy::float16_t, decltype(floats)> halves;
  const std::size_t lanes = hn::Lanes(floats);
  auto* stored = reinterpret_cast<hwy::float16_t*>(out);
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::DemoteTo(halves, hn::LoadU(floats, values + i)), halves, stored + i);
  }
#endif
  for (; i < count; ++i) store(formats::to_f16(values[i]), out, i);
}

void encode_bf16(const float* values, std::byte* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) store(formats::to_bf16(values[i]), out, i);
}

void encode_f8_e4m3(const float* values, std::byte* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) store(formats::to_f8_e4m3(values[i]), out, i);
}

void encode_f8_e5m2(const float* values, std::byte* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) store(formats::to_f8_e5m2(values[i]), out, i);
}

// Between double and the narrow types lies float, in pieces that stay in the first-level cache: two
// loops with one width of vector each are faster than one loop with several.
constexpr std::size_t kPiece = 256;

template <class Decode>
void decode_by_float(std::size_t element_bytes, const std::byte* bytes, double* out,
                     std::size_t count, Decode decode_piece) {
  HWY_ALIGN float piece[kPiece];
  for (std::size_t first = 0; first < count; first += kPiece) {
    const std::size_t size = std::min(kPiece, count - first);
    decode_piece(bytes + first * element_bytes, piece, size);
    for (std::size_t i = 0; i < size; ++i) out[first + i] = static_cast<double>(piece[i]);
  }
}

template <class Encode>
void encode_by_float(std::size_t element_bytes, const double* values, std::byte* out,
                     std::size_t count, Encode encode_piece) {
  HWY_ALIGN float piece[kPiece];
  for (std::size_t first = 0; first < count; first += kPiece) {
    const std::size_t size = std::min(kPiece, count - first);
    for (std::size_t i = 0; i < size; ++i) piece[i] = formats::narrow_to_odd(values[first + i]);
    encode_piece(piece, out + first * element_bytes, size);
  }
}

void decode_to_float(DType dtype, const std::byte* bytes, float* out, std::size_t count) {
  switch (dtype) {
    case DType::f64:
      return decode_f64(bytes, out, count);
    case DType::f32:
      return decode_f32(bytes, out, count);
    case DType::f16:
      return decode_f16(bytes, out, count);
    case DType::bf16:
      return decode_bf16(bytes, out, count);
    case DType::f8_e4m3:
      return decode_f8_e4m3(bytes, out, count);
    default:
      return decode_f8_e5m2(bytes, out, count);
  }
}

void decode_to_double(DType dtype, const std::byte* bytes, double* out, std::size_t count) {
  switch (dtype) {
    case DType::f64:
      return decode_f64(bytes, out, count);
    case DType::f32:
      return decode_f32(bytes, out, count);
    case DType::f16:
      return decode_by_float(2, bytes, out, count, decode_f16);
    case DType::bf16:
      return decode_bf16(bytes, out, count);
    case DType::f8_e4m3:
      return decode_by_float(1, bytes, out, count, decode_f8_e4m3);
    default:
      return decode_by_float(1, bytes, out, count, decode_f8_e5m2);
  }
}

void encode_from_float(DType dtype, const float* values, std::byte* out, std::size_t count) {
  switch (dtype) {
    case DType::f64:
      return encode_f64(values, out, count);
    case DType::f32:
      return encode_f32(values, out, count);
    case DType::f16:
      return encode_f16(values, out, count);
    case DType::bf16:
      return encode_bf16(values, out, count);
    case DType::f8_e4m3:
      return encode_f8_e4m3(values, out, count);
    default:
      return encode_f8_e5m2(values, out, count);
  }
}

void encode_from_double(DType dtype, const double* values, std::byte* out, std::size_t count) {
  switch (dtype) {
    case DType::f64:
      return encode_f64(values, out, count);
    case DType::f32:
      return encode_f32(values, out, count);
    case DType::f16:
      return encode_by_float(2, values, out, count, encode_f16);
    case DType::bf16:
      return encode_by_float(2, values, out, count, encode_bf16);
    case DType::f8_e4m3:
      return encode_by_float(1, values, out, count, encode_f8_e4m3);
    default:
      return encode_by_float(1, values, out, count, encode_f8_e5m2);
  }
}

#undef AMALGAM_F16_INSTRUCTION

}  // namespace amalgam::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam {
namespace {

static_assert(std::endian::native == std::endian::little,
              "stored bytes are read as the machine's own numbers");

HWY_EXPORT(decode_to_float);
HWY_EXPORT(decode_to_double);
HWY_EXPORT(encode_from_float);
HWY_EXPORT(encode_from_double);

/// Calls action.template operator()<T>() with the type of a plain integer type.
template <class Action>
void with_integer_type(DType dtype, Action action) {
  switch (dtype) {
    case DType::i8:
      return action.template operator()<std::int8_t>();
    case DType::i16:
      return action.template operator()<std::int16_t>();
    case DType::i32:
      return action.template operator()<std::int32_t>();
    case DType::i64:
      return action.template operator()<std::int64_t>();
    case DType::u8:
      return action.template operator()<std::uint8_t>();
    case DType::u16:
      return action.template operator()<std::uint16_t>();
    case DType::u32:
      return action.template operator()<std::uint32_t>();
    case DType::u64:
      return action.template operator()<std::uint64_t>();
    default:
      throw Error("{} is not an integer type", dtype_name(dtype));
  }
}

/// Rounded to nearest even and clamped; NaN gives 0.
template <class Integer>
Integer to_integer(double value) {
  using Limits = std::numeric_limits<Integer>;
  if (std::isnan(value)) return 0;
  const double rounded = std::nearbyint(value);
  // One above the largest value is a power of two, hence exact in double where max() may not be.
  const double above = std::ldexp(1.0, Limits::digits);
  if (rounded >= above) return Limits::max();
  if (rounded <= static_cast<double>(Limits::min())) return Limits::min();
  return static_cast<Integer>(rounded);
}

template <class Value>
void decode_integers(DType dtype, std::span<const std::byte> bytes, std::span<Value> out) {
  if (dtype == DType::boolean) {
    std::transform(bytes.begin(), bytes.end(), out.begin(),
                   [](std::byte b) { return b == std::byte{0} ? Value{0} : Value{1}; });
    return;
  }
  with_integer_type(dtype, [&]<class Integer>() {
    for (std::size_t i = 0; i < out.size(); ++i) {
      Integer value = 0;
      std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
      out[i] = static_cast<Value>(value);
    }
  });
}

template <class Value>
void encode_integers(DType dtype, std::span<const Value> values, std::span<std::byte> out) {
  if (dtype == DType::boolean) {
    std::transform(values.begin(), values.end(), out.begin(), [](Value value) {
      return static_cast<std::byte>(std::min<std::uint8_t>(1, to_integer<std::uint8_t>(value)));
    });
    return;
  }
  with_integer_type(dtype, [&]<class Integer>() {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Integer value = to_integer<Integer>(values[i]);
      std::memcpy(out.data() + i * sizeof value, &value, sizeof value);
    }
  });
}

// Quantised blocks pass through float in pieces that stay in the first-level cache.
constexpr std::size_t kPieceElements = 4 * kLargestQuantisedBlock;
using Piece = std::array<float, kPieceElements>;

void decode_quantised(DType dtype, std::span<const std::byte> bytes, std::span<double> out) {
  Piece piece;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  for (std::size_t first = 0; first < out.size(); first += kPieceElements) {
    const std::span<double> part = out.subspan(first, std::min(kPieceElements, out.size() - first));
    const std::span<float> floats = std::span(piece).first(part.size());
    dequantise(dtype, bytes.subspan(dtype_bytes(dtype, first), dtype_bytes(dtype, part.size())),
               floats);
    decode(DType::f32, std::as_bytes(floats), part);
  }
}

void encode_quantised(DType dtype, std::span<const double> values, std::span<std::byte> out) {
  Piece piece;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  for (std::size_t first = 0; first < values.size(); first += kPieceElements) {
    const std::span<const double> part =
        values.subspan(first, std::min(kPieceElements, values.size() - first));
    const std::span<float> floats = std::span(piece).first(part.size());
    encode(DType::f32, part, std::as_writable_bytes(floats));
    quantise(dtype, floats,
             out.subspan(dtype_bytes(dtype, first), dtype_bytes(dtype, part.size())));
  }
}

void require_bytes(const char* function, DType dtype, std::size_t elements, std::size_t bytes) {
  const std::uint64_t expected = dtype_bytes(dtype, elements);
  if (bytes != expected) {
    throw Error("{}: {} elements of {} take {} bytes, got {}", function, elements,
                dtype_name(dtype), expected, bytes);
  }
}

}  // namespace

void decode(DType dtype, std::span<const std::byte> bytes, std::span<float> out) {
  require_bytes("decode", dtype, out.size(), bytes.size());
  if (dtype_is_quantised(dtype)) {
    dequantise(dtype, bytes, out);
  } else if (dtype_is_floating(dtype)) {
    HWY_DYNAMIC_DISPATCH(decode_to_float)(dtype, bytes.data(), out.data(), out.size());
  } else {
    decode_integers(dtype, bytes, out);
  }
}

void decode(DType dtype, std::span<const std::byte> bytes, std::span<double> out) {
  require_bytes("decode", dtype, out.size(), bytes.size());
  if (dtype_is_quantised(dtype)) {
    decode_quantised(dtype, bytes, out);
  } else if (dtype_is_floating(dtype)) {
    HWY_DYNAMIC_DISPATCH(decode_to_double)(dtype, bytes.data(), out.data(), out.size());
  } else {
    decode_integers(dtype, bytes, out);
  }
}

void encode(DType dtype, std::span<const double> values, std::span<std::byte> out) {
  require_bytes("encode", dtype, values.size(), out.size());
  if (dtype_is_quantised(dtype)) {
    encode_quantised(dtype, values, out);
  } else if (dtype_is_floating(dtype)) {
    HWY_DYNAMIC_DISPATCH(encode_from_double)(dtype, values.data(), out.data(), values.size());
  } else {
    encode_integers(dtype, values, out);
  }
}

void encode(DType dtype, std::span<const float> values, std::span<std::byte> out) {
  require_bytes("encode", dtype, values.size(), out.size());
  if (dtype_is_quantised(dtype)) {
    quantise(dtype, values, out);
  } else if (dtype_is_floating(dtype)) {
    HWY_DYNAMIC_DISPATCH(encode_from_float)(dtype, values.data(), out.data(), values.size());
  } else {
    encode_integers(dtype, values, out);
  }
}

}  // namespace amalgam
#endif  // HWY_ONCE
