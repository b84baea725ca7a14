// Any bytes as the pickle of a PyTorch archive: either a clear InputError, or a tree whose parts
// are all inside it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "amalgam/checkpoint/restricted_pickle.hpp"
#include "amalgam/checkpoint/torch_tensors.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void check_tree(const amalgam::PickleTree& tree, std::size_t size) {
  check(tree.root < tree.values.size());
  check(tree.values.size() <= size);
  for (const amalgam::PickleStorage& storage : tree.storages) {
    check(tree.key_of(storage).size() <= size);
  }
  for (const amalgam::PickleTensor& tensor : tree.tensors) {
    check(tensor.storage < tree.storages.size());
    check(tensor.shape.size() == tensor.strides.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view pickle(reinterpret_cast<const char*>(data), size);
    const amalgam::PickleTree tree = amalgam::read_restricted_pickle(pickle, "fuzz");
    check_tree(tree, size);
    for (const auto& entry : amalgam::find_named_tensors(tree, "fuzz").tensors) {
      check(entry.tensor < tree.tensors.size() && amalgam::is_utf8(entry.name));
    }
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
