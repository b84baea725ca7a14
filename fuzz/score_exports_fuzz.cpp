#include <cstddef>
#include <cstdint>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/files/score_files.hpp"
#include "fuzz/linked_file.hpp"
#include "fuzz/score_table_check.hpp"

// Any bytes are refused or are a table that holds together, as a file of an evaluation tool beside
// a good one of another system; the first byte says as which.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace amalgam::scores;
  if (size == 0) return 0;
  static const LinkedFile file;
  static const std::filesystem::path paths[] = {file.named("x/results_1.json"),
                                                file.named("y/samples_t_1.jsonl"),
                                                file.named("z/a.json"),
                                                file.named("h/stats.json"),
                                                file.named("i/per_instance_stats.json"),
                                                file.named("j/run_spec.json")};
  static const bool written = [] {
    const char* const spec = R"({"name": "t:model=x", "adapter_spec": {"model": "x"}})";
    file.write("h/run_spec.json", spec);
    file.write("i/run_spec.json", spec);
    file.write("j/stats.json", R"([{"name": {"name": "f1_score"}, "mean": 0.5}])");
    file.write("other.csv", "system,task,score\nother,t,0.5\n");
    return true;
  }();
  static_cast<void>(written);
  file.set(data + 1, size - 1);
  constexpr ScoreForm kForms[] = {ScoreForm::lm_eval, ScoreForm::lm_eval, ScoreForm::inspect,
                                  ScoreForm::helm,    ScoreForm::helm,    ScoreForm::helm};
  const unsigned choice = data[0] % 6;
  ScoreFormat format;
  if (data[0] < 128) format.form = kForms[choice];
  if (data[0] / 6 % 2 == 1) format.metrics = {"f1", "f1_score"};
  format.repeats = static_cast<Repeats>(data[0] / 12 % 4);
  try {
    check_score_table(read_scores({paths[choice], file.folder() / "other.csv"}, format));
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
