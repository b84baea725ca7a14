// Any bytes as a GGUF file.

#include <cstddef>
#include <cstdint>

#include "fuzz/gguf_check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  check_gguf(data, size);
  return 0;
}
