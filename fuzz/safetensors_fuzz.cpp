// Any bytes as a safetensors file.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/safetensors_check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  check_safetensors(data, size);
  // The header alone, as if the data were there: most inputs get no further in a short file.
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    (void)amalgam::parse_safetensors_header(text, size, "fuzz");
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
