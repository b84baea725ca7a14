#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/data/table.hpp"
#include "amalgam/data/text.hpp"
#include "fuzz/memory_file.hpp"

// Any bytes are a table, or a text, or are refused; numbers that come out are finite.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  amalgam::log::set_level(amalgam::log::Level::silent);
  static const MemoryFile file;
  file.set(data, size);
  try {
    const auto layout = amalgam::learn_table_layout(file.path(), {.label = "y"});
    const auto table = amalgam::load_table(file.path(), layout, amalgam::Split::all);
    for (const std::int64_t label : table.labels) {
      if (label < 0 || label >= static_cast<std::int64_t>(layout.class_names.size())) std::abort();
    }
    for (const float value : table.values) {
      if (!(value - value == 0)) std::abort();
    }
  } catch (const amalgam::InputError&) {
  }
  try {
    const auto tokens = amalgam::learn_tokens(file.path(), amalgam::TextTokens::Kind::character);
    (void)amalgam::load_text(file.path(), tokens, amalgam::Split::all);
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
