#include <cstddef>
#include <cstdint>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/files/ranking_file.hpp"
#include "amalgam/scores/files/score_files.hpp"
#include "fuzz/linked_file.hpp"
#include "fuzz/score_table_check.hpp"

// Any bytes are refused or are a table that holds together. The first byte says as which form, as
// separated values or as JSON, and what becomes of repeats; or they are a ranking.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace amalgam::scores;
  if (size == 0) return 0;
  static const LinkedFile file;
  static const std::filesystem::path paths[] = {file.named("a.csv"), file.named("a.jsonl"),
                                                file.named("a.json")};
  file.set(data + 1, size - 1);
  ScoreFormat format;
  constexpr ScoreForm kForms[] = {ScoreForm::automatic, ScoreForm::wide, ScoreForm::long_form,
                                  ScoreForm::battles, ScoreForm::arena};
  const unsigned choice = data[0] % 6;
  if (choice < 5) format.form = kForms[choice];
  const std::filesystem::path& path = paths[data[0] / 6 % 3];
  format.repeats = static_cast<Repeats>(data[0] / 18 % 4);
  if (data[0] >= 144 && choice > 2) {
    format.covariates = {"length", "headers"};
    format.relative_covariates = data[0] % 2 == 0;
    format.cluster = "judge";
  }
  try {
    if (choice == 5) {
      const RankingFile ranking = read_ranking(path);
      if (compare_rankings(ranking, ranking).distance != 0) std::abort();
    } else {
      check_score_table(read_scores({path}, format));
    }
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
