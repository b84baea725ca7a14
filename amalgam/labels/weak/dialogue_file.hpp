#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "amalgam/labels/weak/protocol.hpp"

namespace amalgam::labels {

/// Dialogues with a person who answers in a file.
struct DialogueSession {
  std::size_t questions = 0;                 ///< that are open; 0: the dialogues are over
  std::size_t answers = 0;                   ///< that were given so far
  std::vector<LabellingFunction> functions;  ///< once the dialogues are over
};

/// Goes on with one dialogue per class (see functions_by_dialogue) by a JSON file, which is made if
/// it is not there:
///
///     {"version": 1, "dialogues": [{"class": "7", "state": {...}, "question": {"function": 12,
///      "about": "tree on column 36 for class 7", "coverage": 0.3, "votes_for": [3, 17],
///      "useful": null}}]}
///
/// Questions whose `useful` has become true or false are answers; the file is written anew with the
/// next ones. `votes_for` are the numbers, of those in `row_numbers` [labelled rows], of the rows
/// that the function gives the class. Classes without more candidates than seeds have no dialogue.
/// InputError naming the file for one that is damaged, or of other data or options.
DialogueSession continue_dialogues(const std::filesystem::path& path, const ProtocolData& data,
                                   std::span<const std::size_t> row_numbers,
                                   const std::vector<std::string>& class_names,
                                   const CandidateOptions& candidates,
                                   const DialogueOptions& options, const UsefulnessModel& model);

}  // namespace amalgam::labels
