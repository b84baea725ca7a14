#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/studies/accuracy_table.hpp"
#include "amalgam/scores/studies/decision_study.hpp"
#include "amalgam/scores/studies/robustness.hpp"
#include "fuzz/linked_file.hpp"

// Any bytes are refused, or are answers or accuracies of which a report can be made; the first byte
// says as which form they are read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace amalgam::scores;
  if (size == 0) return 0;
  static const LinkedFile file;
  static const std::filesystem::path paths[] = {file.named("a.csv"), file.named("a.jsonl"),
                                                file.named("a.txt"), file.named("t.csv")};
  file.set(data + 1, size - 1);
  const unsigned choice = data[0] % 4;
  try {
    if (choice == 3) {
      const AccuracyTable table = read_accuracies(paths[3], {.percent = data[0] >= 128});
      check_accuracies(table);
      robustness(table);
      return 0;
    }
    const DecisionData answers = read_decisions({paths[choice]});
    std::uint64_t given = 0;
    for (const DecisionGroup& group : answers) {
      for (const DecisionSeries& series : group.series) given += series.answers.size();
    }
    const DecisionReport report = study_decisions(answers);
    std::uint64_t counted = 0;
    for (const DecisionFindings& group : report.groups) {
      counted += group.counts.valid() + group.counts.invalid();
    }
    if (counted != given) std::abort();
  } catch (const amalgam::InputError&) {
    // Refused, with a reason.
  }
  return 0;
}
