#include "amalgam/labels/weak/dialogue_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "amalgam/core/error.hpp"
#include "amalgam/data/text_output.hpp"

namespace amalgam::labels {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uintmax_t kLargestFile = 64U << 20U;

// The dialogues of the file by class; empty if it is not there.
nlohmann::json read_dialogues(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return nlohmann::json::array();
  if (!std::filesystem::is_regular_file(path) || std::filesystem::file_size(path) > kLargestFile) {
    throw InputError("{}: not a file of dialogues", path.string());
  }
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("version", nlohmann::json()) != 1 ||
      !json.value("dialogues", nlohmann::json()).is_array()) {
    throw InputError("{}: not a file of dialogues of version 1", path.string());
  }
  return json["dialogues"];
}

const nlohmann::json* find_class(const nlohmann::json& dialogues, const std::string& name) {
  for (const nlohmann::json& one : dialogues) {
    if (one.is_object() && one.value("class", nlohmann::json()) == name) return &one;
  }
  return nullptr;
}

// Takes up the state and, if there is one, the answer. `where` names file and class.
void take_up(Dialogue& dialogue, const nlohmann::json& saved, const std::string& where) {
  dialogue.restore(saved.value("state", nlohmann::json()).dump(), where);
  const nlohmann::json question = saved.value("question", nlohmann::json());
  if (question.is_null()) return;
  if (!question.is_object()) throw InputError("{}: 'question' is no object", where);
  const nlohmann::json useful = question.value("useful", nlohmann::json());
  if (useful.is_null()) return;
  const std::optional<std::size_t> asked = dialogue.next();
  if (!useful.is_boolean() || !asked || question.value("function", nlohmann::json()) != *asked) {
    throw InputError("{}: expected true or false as 'useful' of the function that was asked about",
                     where);
  }
  dialogue.answer(useful.get<bool>());
}

Json question_of(const FunctionCandidates& candidates, std::size_t function,
                 const ProtocolData& data, std::span<const std::size_t> row_numbers) {
  const LabellingFunction& asked = candidates.functions[function];
  Json votes_for = Json::array();
  for (std::size_t i = 0; i < data.labelled.rows; ++i) {
    if (asked.vote(data.labelled.row(i)) != kNoLabel) votes_for.push_back(row_numbers[i]);
  }
  return {{"function", function},
          {"about", describe(asked)},
          {"coverage", candidates.coverage[function]},
          {"votes_for", std::move(votes_for)},
          {"useful", nullptr}};
}

}  // namespace

DialogueSession continue_dialogues(const std::filesystem::path& path, const ProtocolData& data,
                                   std::span<const std::size_t> row_numbers,
                                   const std::vector<std::string>& class_names,
                                   const CandidateOptions& candidates,
                                   const DialogueOptions& options, const UsefulnessModel& model) {
  const nlohmann::json saved = read_dialogues(path);
  DialogueOptions share = options;
  share.unverified = options.unverified / data.classes;
  DialogueSession session;
  Json dialogues = Json::array();
  for (std::size_t k = 0; k < data.classes; ++k) {
    const auto target = static_cast<Label>(k);
    if (std::ranges::find(data.labels, target) == data.labels.end()) continue;
    const FunctionCandidates made = make_candidates(data.known(), candidates, 40, target);
    if (made.functions.size() <= options.seeds) continue;
    Dialogue dialogue(made, model, share);
    if (const nlohmann::json* before = find_class(saved, class_names[k])) {
      take_up(dialogue, *before, fmt::format("{}: class '{}'", path.string(), class_names[k]));
    }
    session.answers += dialogue.answers().size();
    Json entry = {{"class", class_names[k]}, {"state", Json::parse(dialogue.save())}};
    if (const std::optional<std::size_t> next = dialogue.next()) {
      ++session.questions;
      entry["question"] = question_of(made, *next, data, row_numbers);
    } else {
      for (const std::size_t chosen : dialogue.selected()) {
        session.functions.push_back(made.functions[chosen]);
      }
    }
    dialogues.push_back(std::move(entry));
  }
  if (session.questions > 0) session.functions.clear();
  TextOutput file(path);
  file.write(Json{{"version", 1}, {"dialogues", std::move(dialogues)}}.dump(2) + "\n");
  file.commit();
  return session;
}

}  // namespace amalgam::labels
