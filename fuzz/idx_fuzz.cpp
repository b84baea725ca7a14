#include <cstddef>
#include <cstdint>
#include <span>

#include "amalgam/core/error.hpp"
#include "amalgam/data/idx.hpp"

// Any bytes either parse or are refused, in bounded memory.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    (void)amalgam::parse_idx(std::as_bytes(std::span(data, size)), "fuzz",
                             {.dimensions = 4, .values = 10'000'000});
  } catch (const amalgam::InputError&) {
    return 0;
  }
  return 0;
}
