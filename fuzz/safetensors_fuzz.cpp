// Any bytes as a safetensors file: either a clear InputError, or a source all of whose bytes can be
// read, each belonging to one tensor.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "amalgam/checkpoint/safetensors.hpp"
#include "amalgam/core/error.hpp"
#include "fuzz/memory_file.hpp"

namespace {

using amalgam::TensorInfo;

void read_everything(const amalgam::TensorSource& source, std::size_t file_size) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const TensorInfo& info = source.tensors()[i];
    if (source.find(info.name) != i) std::abort();
    std::vector<std::byte> bytes(info.bytes);
    source.read_bytes(i, 0, bytes);
    total += info.bytes;
    if (info.elements > 0) {
      std::vector<double> values(1);
      source.read(i, info.elements - 1, std::span<double>(values));
    }
  }
  if (total > file_size) std::abort();  // tensors that overlap
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  try {
    read_everything(*amalgam::open_safetensors(file.path()), size);
  } catch (const amalgam::InputError&) {
  }
  // The header alone, as if the data were there: most inputs get no further in a short file.
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    (void)amalgam::parse_safetensors_header(text, size, "fuzz");
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
