#include "amalgam/labels/text/transcription_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "amalgam/core/utf8.hpp"
#include "amalgam/labels/state_rows.hpp"

namespace amalgam::labels {
namespace {

constexpr std::string_view kCommand = "text";
constexpr const char* kMethod = "rover";
constexpr const char* kResults = "results";
constexpr const char* kAgreement = "results.agreement";

Transcription transcription_of(std::vector<TaskText> texts) {
  std::ranges::sort(texts, {},
                    [](const TaskText& text) { return std::pair(text.worker, text.text); });
  std::vector<std::string_view> in_order;
  in_order.reserve(texts.size());
  for (const TaskText& text : texts) in_order.push_back(text.text);
  return rover(in_order);
}

}  // namespace

TranscriptionState::TranscriptionState(const ColumnReader& reader) {
  const StateHead head = read_state_head(reader, kCommand);
  if (head.method != kMethod) {
    reader.fail(
        fmt::format("it is of the method '{}'; expected '{}'", printable(head.method), kMethod));
  }
  texts_ = TaskTexts(reader);
  std::vector<std::string> results = read_texts(reader, kResults, texts_.task_count());
  const auto agreement = reader.column<double>(kAgreement, DType::f64);
  reader.check(agreement.size() == results.size() &&
                   std::ranges::all_of(agreement, [](double a) { return a >= 0 && a <= 1; }),
               "agreements");
  for (std::size_t task = 0; task < results.size(); ++task) {
    results_.push_back({std::move(results[task]), agreement[task]});
  }
}

AbsorbReport TranscriptionState::absorb(TaskTexts added, const Parallel& parallel) {
  std::vector<Transcription> found(added.task_count());
  parallel_for(parallel, found.size(), [&](std::size_t task, std::size_t) {
    found[task] = transcription_of(texts_.of_task_with(added, static_cast<std::uint32_t>(task)));
  });
  AbsorbReport report{.tasks_updated = found.size(), .converged = true};
  const std::vector<std::uint32_t> tasks = texts_.append(std::move(added), report);
  results_.resize(texts_.task_count());
  for (std::size_t i = 0; i < tasks.size(); ++i) results_[tasks[i]] = std::move(found[i]);
  return report;
}

ColumnSet TranscriptionState::columns() const {
  ColumnSet set{.columns = {}, .metadata = state_metadata({.method = kMethod}, kCommand)};
  texts_.add_columns(set.columns);
  add_texts(set.columns, kResults, results_.size(),
            [this](std::size_t task) -> std::string_view { return results_[task].text; });
  std::vector<double> agreement;
  for (const Transcription& result : results_) agreement.push_back(result.agreement);
  set.columns.push_back(make_column(kAgreement, DType::f64, agreement));
  return set;
}

}  // namespace amalgam::labels
