#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/annotation_files.hpp"
#include "fuzz/memory_file.hpp"

// Any bytes are refused or are a table that holds together, as a table and as each tool's export;
// the first byte says as which, and what becomes of duplicates.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace amalgam::labels;
  if (size == 0) return 0;
  static const MemoryFile file;
  file.set(data + 1, size - 1);
  AnnotationFormat format;
  switch (data[0] % 4) {
    case 1:
      format.exported = ExportKind::label_studio;
      break;
    case 2:
      format.exported = ExportKind::doccano;
      break;
    case 3:
      format.exported = ExportKind::argilla;
      break;
    default:
      break;
  }
  format.duplicates = static_cast<Duplicates>(data[0] / 4 % 4);
  try {
    const AnnotationTable table = read_annotations({file.path()}, format);
    if (table.task_begins.back() != table.rows() || table.appearance.size() != table.task_count()) {
      std::abort();
    }
    for (std::size_t row = 0; row < table.rows(); ++row) {
      if (table.tasks[row] >= table.task_count() || table.workers[row] >= table.worker_count() ||
          table.labels[row] >= table.label_count()) {
        std::abort();
      }
    }
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
