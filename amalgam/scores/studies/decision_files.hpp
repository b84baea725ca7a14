#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/scores/studies/decision_answers.hpp"

namespace amalgam::scores {

/// Answers in the order in which they were given: the calls of one prompt, or one reply.
struct DecisionSeries {
  std::string name;
  std::vector<std::int8_t> answers;    ///< kYes, kNo, kInvalid
  std::optional<std::uint64_t> asked;  ///< how many answers the prompt asked for
};

/// Series that were sampled in one way.
struct DecisionGroup {
  std::string name;     ///< "gpt-x, few-shot, T 1"
  std::string setting;  ///< the same but for the temperature
  std::optional<double> temperature;
  std::vector<DecisionSeries> series;
  std::uint64_t missing = 0;  ///< of the invalid answers, those of calls that gave no answer at all
};

/// Groups in the order in which they appeared.
using DecisionData = std::vector<DecisionGroup>;

/// How files of answers are read.
struct DecisionFormat {
  AnswerWords words;
  /// Columns whose values name a group. By default those of model, version, prompt, mode and group
  /// that a file has. The column `temperature` is one in any case.
  std::vector<std::string> group;
  std::string answer = "answer";  ///< column of one answer per row
  std::string reply = "reply";    ///< column of many answers per row, in place of `answer`
  std::string series = "series";  ///< column that names the series of an answer
};

/// Reads files of answers and gives their groups:
///   .csv, .tsv: a row per answer (a column `answer`, and `series` if there are several series), or
///     a row per series (a column `reply`), and columns that name groups (DecisionFormat::group),
///     `temperature`, and `asked`, the number of answers that the prompt asked for.
///   .jsonl, .ndjson, .json: an object of the same keys per line; `answers` may hold an array.
///   others: text, each line a series as parse_reply takes it; lines that begin with # do not
///     count.
/// Without columns that name groups, a file is a group of the name of the file. An empty cell
/// (null) is a call that gave no answer: an invalid answer, counted as missing. InputError naming
/// file and place: no such column or key, a negative or unreadable temperature, an answer in an
/// array that is none, no answers at all, more than 10^8 answers or 1000 groups.
DecisionData read_decisions(const std::vector<std::filesystem::path>& paths,
                            const DecisionFormat& format = {});

/// Writes answers as CSV that read_decisions reads: group,temperature,series,answer.
void write_decisions(const std::filesystem::path& path, const DecisionData& data);

}  // namespace amalgam::scores
