#include "amalgam/checkpoint/pickle_globals.hpp"

#include <array>

namespace amalgam {
namespace {

struct Known {
  std::string_view module;
  std::string_view name;
  PickleGlobal meaning;
};
constexpr std::array kKnown = {
    Known{"collections", "OrderedDict", PickleGlobal::ordered_dict},
    Known{"_codecs", "encode", PickleGlobal::encode},
    Known{"builtins", "bytes", PickleGlobal::bytes},
    Known{"__builtin__", "bytes", PickleGlobal::bytes},
    Known{"torch", "Size", PickleGlobal::size},
    Known{"torch._utils", "_rebuild_tensor_v2", PickleGlobal::tensor_v2},
    Known{"torch._utils", "_rebuild_tensor_v3", PickleGlobal::tensor_v3},
    Known{"torch._utils", "_rebuild_parameter", PickleGlobal::parameter},
    Known{"torch.storage", "UntypedStorage", PickleGlobal::untyped_storage},
    Known{"torch", "UntypedStorage", PickleGlobal::untyped_storage},
};

struct TypeName {
  std::string_view storage;  // empty: only untyped storages hold it
  std::string_view dtype;
  DType type;
};
constexpr std::array kTypes = {
    TypeName{"DoubleStorage", "float64", DType::f64},
    TypeName{"FloatStorage", "float32", DType::f32},
    TypeName{"HalfStorage", "float16", DType::f16},
    TypeName{"BFloat16Storage", "bfloat16", DType::bf16},
    TypeName{"", "float8_e4m3fn", DType::f8_e4m3},
    TypeName{"", "float8_e5m2", DType::f8_e5m2},
    TypeName{"CharStorage", "int8", DType::i8},
    TypeName{"ShortStorage", "int16", DType::i16},
    TypeName{"IntStorage", "int32", DType::i32},
    TypeName{"LongStorage", "int64", DType::i64},
    TypeName{"ByteStorage", "uint8", DType::u8},
    TypeName{"", "uint16", DType::u16},
    TypeName{"", "uint32", DType::u32},
    TypeName{"", "uint64", DType::u64},
    TypeName{"BoolStorage", "bool", DType::boolean},
};

}  // namespace

std::optional<PickleValue> find_pickle_global(std::string_view module, std::string_view name) {
  for (const Known& known : kKnown) {
    if (known.module == module && known.name == name) return known.meaning;
  }
  if (module != "torch") return std::nullopt;
  for (const TypeName& known : kTypes) {
    if (known.dtype == name) return PickleType{known.type, false};
    if (!known.storage.empty() && known.storage == name) return PickleType{known.type, true};
  }
  return std::nullopt;
}

}  // namespace amalgam
