#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/bags/bag_state_file.hpp"
#include "amalgam/labels/bags/linear_model.hpp"
#include "fuzz/memory_file.hpp"

// Any bytes are refused or are a state of bags that has a model.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace amalgam::labels;
  static const MemoryFile file;
  file.set(data, size);
  try {
    const BagStates states = read_bag_states(file.path());
    const LinearBagState all = states.all();
    if (all.bags() != states.bags.size()) std::abort();
    if (states.features.size() <= 32) fit_linear(all, {.rho = 0.5, .ridge = 1});
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
