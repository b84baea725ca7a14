#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "amalgam/core/error.hpp"
#include "amalgam/data/soft_table.hpp"
#include "fuzz/memory_file.hpp"

// Any bytes are refused, or are probabilities that sum to 1 for each task.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  try {
    const amalgam::SoftTable table = amalgam::read_soft_table(file.path());
    const std::size_t classes = table.class_names.size();
    if (classes < 2 || table.values.size() != table.tasks.size() * classes) std::abort();
    for (std::size_t row = 0; row < table.tasks.size(); ++row) {
      double sum = 0;
      for (std::size_t k = 0; k < classes; ++k) {
        const double value = table.values[row * classes + k];
        if (!(value >= 0 && value <= 1)) std::abort();
        sum += value;
      }
      if (!(std::abs(sum - 1) < 1e-4)) std::abort();
    }
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
