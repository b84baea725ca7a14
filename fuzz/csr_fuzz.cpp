// Any bytes as a safetensors file with sparse rows: either a clear InputError, or tensors whose
// first and last elements can be read, in bounded memory, and are the same whichever way.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "amalgam/checkpoint/csr.hpp"
#include "amalgam/checkpoint/safetensors.hpp"
#include "amalgam/core/error.hpp"
#include "fuzz/memory_file.hpp"

namespace {

void read_both_ends(const amalgam::TensorSource& source) {
  constexpr std::uint64_t kMost = 4096;
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const amalgam::TensorInfo& info = source.tensors()[i];
    const std::uint64_t count = std::min(kMost, info.bytes);
    std::vector<std::byte> bytes(count);
    source.read_bytes(i, 0, bytes);
    source.read_bytes(i, info.bytes - count, bytes);
    if (count == 0) continue;
    std::byte last{};
    source.read_bytes(i, info.bytes - 1, {&last, 1});
    if (last != bytes.back()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  try {
    read_both_ends(*amalgam::expand_csr(amalgam::open_safetensors(file.path())));
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
