#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// What a pickle may make at most; everything else is bounded by its length.
struct PickleLimits {
  std::size_t bytes = std::size_t{64} << 20;
  std::size_t values = 4'000'000;  ///< values made, and entries of the memo and of the stack
};

/// The index of a value in its PickleTree.
using PickleId = std::uint32_t;

struct PickleNone {};
/// An integer of more than 64 bits, whose value is not kept.
struct PickleBigInteger {};
/// Bytes, whose contents are not kept: nothing in a checkpoint needs them.
struct PickleBytes {};
struct PickleList {
  std::vector<PickleId> items;
};
struct PickleTuple {
  std::vector<PickleId> items;
};
/// dict and OrderedDict, in the order of insertion; keys may repeat, as hostile files do.
struct PickleDict {
  std::vector<std::pair<PickleId, PickleId>> items;
};
/// The globals that are known.
enum class PickleGlobal : std::uint8_t {
  ordered_dict,
  encode,           ///< _codecs.encode, how protocol 2 writes bytes
  bytes,            ///< the type, how protocol 2 writes empty bytes
  size,             ///< torch.Size
  tensor_v2,        ///< torch._utils._rebuild_tensor_v2
  tensor_v3,        ///< torch._utils._rebuild_tensor_v3
  parameter,        ///< torch._utils._rebuild_parameter
  untyped_storage,  ///< torch.storage.UntypedStorage
};
/// torch.float32 and torch.FloatStorage alike: a name that stands for an element type.
struct PickleType {
  DType dtype = DType::f32;
  bool is_storage = false;
};
/// A storage kept beside the pickle under the string at `key`.
struct PickleStorage {
  PickleId key = 0;
  DType dtype = DType::u8;  ///< U8 for untyped storages, whose size is in bytes
  bool is_untyped = false;
  std::uint64_t elements = 0;  ///< at most 2^60
};
/// A strided view of a storage; offset and strides count elements. Nothing is checked against the
/// storage yet, but shape and strides have the same length, at most 64.
struct PickleTensor {
  std::uint32_t storage = 0;  ///< index in PickleTree::storages
  DType dtype = DType::f32;
  std::uint64_t offset = 0;
  Shape shape;
  std::vector<std::uint64_t> strides;
};
/// Where a tensor or storage lies in the tree's lists (they are too large for every node).
struct PickleStorageRef {
  std::uint32_t index = 0;
};
struct PickleTensorRef {
  std::uint32_t index = 0;
};

using PickleValue = std::variant<PickleNone, bool, std::int64_t, PickleBigInteger, double,
                                 std::string, PickleBytes, PickleList, PickleTuple, PickleDict,
                                 PickleGlobal, PickleType, PickleStorageRef, PickleTensorRef>;

/// "a dict", "a tensor": the kind of a value, for messages.
std::string_view pickle_kind(const PickleValue& value);

/// The values a pickle made. A value may be part of several others and, in hostile files, of
/// itself: who walks the tree must limit depth and number of steps.
struct PickleTree {
  std::vector<PickleValue> values;
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
  PickleId root = 0;

  const PickleValue& at(PickleId id) const { return values[id]; }
  const std::string& key_of(const PickleStorage& storage) const {
    return std::get<std::string>(values[storage.key]);
  }
};

/// Reads the pickle (protocol 2 to 5) of a PyTorch archive. It is not a Python pickle machine: no
/// code is loaded or called; a fixed set of names is understood as data (dict, OrderedDict, list,
/// tuple, torch.Size, numbers, strings, bytes, None, tensors and parameters over storages) and any
/// other is refused by name: "file.pt: pickle asks for 'os.system', ...". InputError naming `where`
/// for that, for anything malformed and for what exceeds `limits`.
PickleTree read_restricted_pickle(std::string_view pickle, std::string_view where,
                                  const PickleLimits& limits = {});

}  // namespace amalgam
