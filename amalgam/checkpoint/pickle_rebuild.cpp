#include "amalgam/checkpoint/pickle_rebuild.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kMostDimensions = 64;  // PyTorch's own limit
constexpr std::uint64_t kMostElements = std::uint64_t{1} << 60;

template <class T>
const T* get(const PickleTree& tree, PickleId id) {
  return std::get_if<T>(&tree.at(id));
}

[[noreturn]] void throw_wrong(std::string_view where, std::string_view what,
                              const PickleValue& found, std::string_view expected) {
  throw InputError("{}: {} is {}, expected {}", where, what, pickle_kind(found), expected);
}

std::uint64_t count_of(const PickleTree& tree, PickleId id, std::string_view what,
                       std::string_view where) {
  const auto* number = get<std::int64_t>(tree, id);
  if (number == nullptr) throw_wrong(where, what, tree.at(id), "a non-negative integer");
  if (*number < 0) {
    throw InputError("{}: {} is {}, expected a non-negative integer", where, what, *number);
  }
  return static_cast<std::uint64_t>(*number);
}

std::vector<std::uint64_t> counts_of(const PickleTree& tree, PickleId id, std::string_view what,
                                     std::string_view where) {
  const auto* tuple = get<PickleTuple>(tree, id);
  if (tuple == nullptr) throw_wrong(where, what, tree.at(id), "a tuple of integers");
  if (tuple->items.size() > kMostDimensions) {
    throw InputError("{}: {} has {} dimensions, at most {} are allowed", where, what,
                     tuple->items.size(), kMostDimensions);
  }
  std::vector<std::uint64_t> counts;
  counts.reserve(tuple->items.size());
  for (const PickleId item : tuple->items) counts.push_back(count_of(tree, item, what, where));
  return counts;
}

PickleId add(PickleTree& tree, PickleValue value) {
  tree.values.push_back(std::move(value));
  return static_cast<PickleId>(tree.values.size() - 1);
}

void check_count(const PickleTuple& arguments, std::size_t least, std::size_t most,
                 std::string_view function, std::string_view where) {
  if (arguments.items.size() < least || arguments.items.size() > most) {
    throw InputError("{}: pickle calls {} with {} arguments, expected {} to {}", where, function,
                     arguments.items.size(), least, most);
  }
}

// encode(text, 'latin1').
void check_encode(const PickleTree& tree, const PickleTuple& arguments, std::string_view where) {
  check_count(arguments, 2, 2, "_codecs.encode", where);
  const auto* encoding = get<std::string>(tree, arguments.items[1]);
  if (get<std::string>(tree, arguments.items[0]) == nullptr || encoding == nullptr ||
      *encoding != "latin1") {
    throw InputError("{}: pickle calls _codecs.encode otherwise than with a string and 'latin1'",
                     where);
  }
}

// A tensor's metadata says whether its values are to be negated or conjugated when read.
void check_tensor_metadata(const PickleTree& tree, PickleId id, std::string_view where) {
  if (get<PickleNone>(tree, id) != nullptr) return;
  const auto* dict = get<PickleDict>(tree, id);
  if (dict == nullptr || !dict->items.empty()) {
    throw InputError(
        "{}: a tensor has metadata (a lazily negated or conjugated view), which is not read; save "
        "it again after tensor.resolve_neg().resolve_conj()",
        where);
  }
}

// _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]);
// v3 has the dtype before the metadata.
PickleId make_tensor(PickleTree& tree, const PickleTuple& arguments, bool has_dtype,
                     std::string_view where) {
  const std::size_t least = has_dtype ? 7 : 6;
  check_count(arguments, least, least + 1, has_dtype ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2",
              where);
  const std::vector<PickleId>& items = arguments.items;
  const auto* reference = get<PickleStorageRef>(tree, items[0]);
  if (reference == nullptr)
    throw_wrong(where, "a tensor's storage", tree.at(items[0]), "a storage");
  const PickleStorage& storage = tree.storages[reference->index];
  PickleTensor tensor;
  tensor.storage = reference->index;
  tensor.dtype = storage.dtype;
  tensor.offset = count_of(tree, items[1], "a tensor's storage offset", where);
  tensor.shape = counts_of(tree, items[2], "a tensor's size", where);
  tensor.strides = counts_of(tree, items[3], "a tensor's stride", where);
  if (tensor.shape.size() != tensor.strides.size()) {
    throw InputError("{}: a tensor has {} sizes but {} strides", where, tensor.shape.size(),
                     tensor.strides.size());
  }
  if (has_dtype) {
    const auto* type = get<PickleType>(tree, items[6]);
    if (type == nullptr) throw_wrong(where, "a tensor's dtype", tree.at(items[6]), "a dtype");
    tensor.dtype = type->dtype;
  } else if (storage.is_untyped) {
    throw InputError("{}: a tensor over an untyped storage has no dtype", where);
  }
  if (items.size() > least) check_tensor_metadata(tree, items[least], where);
  tree.tensors.push_back(std::move(tensor));
  return add(tree, PickleTensorRef{static_cast<std::uint32_t>(tree.tensors.size() - 1)});
}

PickleId hand_on(const PickleTree& tree, PickleId id, bool is_wanted, std::string_view function,
                 std::string_view expected, std::string_view where) {
  if (!is_wanted) {
    throw_wrong(where, fmt::format("the argument of {}", function), tree.at(id), expected);
  }
  return id;
}

}  // namespace

PickleId rebuild_pickle_value(PickleTree& tree, PickleGlobal function, const PickleTuple& arguments,
                              std::string_view where) {
  switch (function) {
    case PickleGlobal::ordered_dict:
      check_count(arguments, 0, 0, "OrderedDict", where);
      return add(tree, PickleDict{});
    case PickleGlobal::encode:
      check_encode(tree, arguments, where);
      return add(tree, PickleBytes{});
    case PickleGlobal::bytes:
      check_count(arguments, 0, 0, "bytes", where);
      return add(tree, PickleBytes{});
    case PickleGlobal::size:
      check_count(arguments, 1, 1, "torch.Size", where);
      return hand_on(tree, arguments.items[0],
                     get<PickleTuple>(tree, arguments.items[0]) != nullptr, "torch.Size", "a tuple",
                     where);
    case PickleGlobal::parameter:
      check_count(arguments, 3, 3, "_rebuild_parameter", where);
      return hand_on(tree, arguments.items[0],
                     get<PickleTensorRef>(tree, arguments.items[0]) != nullptr,
                     "_rebuild_parameter", "a tensor", where);
    case PickleGlobal::tensor_v2:
      return make_tensor(tree, arguments, false, where);
    case PickleGlobal::tensor_v3:
      return make_tensor(tree, arguments, true, where);
    case PickleGlobal::untyped_storage:
      break;
  }
  throw InputError("{}: pickle calls torch.UntypedStorage, which is only a type here; refusing",
                   where);
}

PickleStorage read_persistent_id(const PickleTree& tree, PickleId id, std::string_view where) {
  const auto* tuple = get<PickleTuple>(tree, id);
  if (tuple == nullptr || tuple->items.size() != 5) {
    throw InputError(
        "{}: a persistent id is not ('storage', type, key, location, number of elements)", where);
  }
  const std::vector<PickleId>& items = tuple->items;
  const auto* tag = get<std::string>(tree, items[0]);
  const auto* key = get<std::string>(tree, items[2]);
  if (tag == nullptr || *tag != "storage" || key == nullptr) {
    throw InputError("{}: a persistent id does not name a storage", where);
  }
  PickleStorage storage;
  storage.key = items[2];
  const auto* type = get<PickleType>(tree, items[1]);
  const auto* global = get<PickleGlobal>(tree, items[1]);
  if (type != nullptr && type->is_storage) {
    storage.dtype = type->dtype;
  } else if (global != nullptr && *global == PickleGlobal::untyped_storage) {
    storage.is_untyped = true;
  } else {
    throw_wrong(where, "the type of a storage", tree.at(items[1]), "a storage type");
  }
  storage.elements = count_of(tree, items[4], "the number of elements of a storage", where);
  if (storage.elements > kMostElements) {
    throw InputError("{}: storage '{}' claims {} elements", where, printable(*key),
                     storage.elements);
  }
  return storage;
}

}  // namespace amalgam
