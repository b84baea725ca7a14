#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/masks/mask.hpp"

// Any text is a mask or refused, and a mask's own text is the mask again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  try {
    const amalgam::labels::Mask mask = amalgam::labels::parse_mask(text, "fuzz");
    if (mask.pixels.size() != mask.rows * mask.columns) std::abort();
    if (amalgam::labels::parse_mask(amalgam::labels::mask_text(mask), "fuzz") != mask) std::abort();
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
