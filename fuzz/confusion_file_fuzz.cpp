#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/confusion_file.hpp"
#include "fuzz/memory_file.hpp"

// Any bytes are refused or are matrices from which a fit can start.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace amalgam::labels;
  static const MemoryFile file;
  static const AnnotationTable table = make_table(std::vector<Triple>{
      {"t", "A", "0"}, {"t", "B", "1"}, {"u", "A", "1"}, {"u", "B", "1"}, {"v", "A", "0"}});
  file.set(data, size);
  try {
    const ConfusionFile read = read_confusion(file.path(), table, size % 2 == 0 ? 0 : 3);
    FitContext context;
    context.initial_confusion = &read.confusion;
    const std::vector<std::string> parameters{"iterations=2"};
    const LabelFit fit = fit_labels("dawid-skene", table, parameters, context);
    if (fit.confusion.size() != 8) std::abort();
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
