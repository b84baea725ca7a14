#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/label_state.hpp"
#include "fuzz/memory_file.hpp"

// Any bytes are refused or are a state that can go on.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace amalgam::labels;
  static const MemoryFile file;
  file.set(data, size);
  try {
    const std::unique_ptr<LabelState> state = load_label_state(file.path());
    state->refine(1e-3, 2, {});
    if (state->result().table.rows() != state->annotations()) std::abort();
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
