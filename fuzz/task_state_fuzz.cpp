#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/masks/mask_state.hpp"
#include "amalgam/labels/text/transcription_state.hpp"
#include "fuzz/memory_file.hpp"

namespace {

using namespace amalgam::labels;

// Some task that is there and a new one get `text`.
TaskTexts some_texts(const TaskTexts& of, const std::string& text) {
  TaskTexts texts;
  if (of.task_count() > 0) texts.add(of.task_names()[of.task_count() / 2], "a worker", text);
  texts.add("a task", "a worker", text);
  return texts;
}

void read_transcriptions(const ColumnReader& reader) {
  TranscriptionState state(reader);
  const std::size_t before = state.texts().rows().size();
  const AbsorbReport report = state.absorb(some_texts(state.texts(), "some words"));
  if (state.texts().rows().size() != before + report.annotations) std::abort();
  for (const Transcription& result : state.results()) {
    if (!(result.agreement >= 0 && result.agreement <= 1)) std::abort();
  }
  if (state.results().size() != state.texts().task_count()) std::abort();
  state.columns();
}

void read_masks(const ColumnReader& reader) {
  constexpr std::size_t kMostPixels = 65'536;
  MaskState state(reader);
  std::string mask = "1x1:1";
  for (const TaskTexts::Row& row : state.masks().rows()) {
    const MaskSize size = mask_size(row.text, "fuzz");
    if (size.rows * size.columns > kMostPixels) return;  // a fit takes too long
    if (row.task == state.masks().task_count() / 2) mask = row.text;
  }
  const std::size_t before = state.masks().rows().size();
  const AbsorbReport report = state.absorb(some_texts(state.masks(), mask));
  if (state.masks().rows().size() != before + report.annotations) std::abort();
  for (const std::string& result : state.results()) mask_size(result, "fuzz");
  if (state.judges_workers() && state.skills().size() != before + report.annotations) std::abort();
  state.columns();
}

}  // namespace

// Any bytes are refused or are a state of texts or masks that takes in one more.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  for (const auto read : {read_transcriptions, read_masks}) {
    try {
      read(ColumnReader(file.path()));
    } catch (const amalgam::InputError&) {
    }
  }
  return 0;
}
