#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/label_state.hpp"
#include "fuzz/memory_file.hpp"

// Any bytes are refused or are a state that can go on, and take in an annotation.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace amalgam::labels;
  static const MemoryFile file;
  file.set(data, size);
  try {
    const std::unique_ptr<LabelState> state = load_label_state(file.path());
    state->refine(1e-3, 2, {});
    const LabelState::Result result = state->result();
    if (result.table.rows() != state->annotations()) std::abort();
    const std::string label(result.table.label_names[0]);
    const std::array<Triple, 1> one{{{"a task", "a worker", label}}};
    AbsorbOptions options;
    options.max_sweeps = 2;
    state->absorb(make_table(one), options);
    if (result.table.rows() + 1 != state->annotations()) std::abort();
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
