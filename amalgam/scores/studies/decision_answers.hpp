#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/scores/studies/decision_counts.hpp"

namespace amalgam::scores {

/// The words that count as answers, in lower case.
struct AnswerWords {
  std::vector<std::string> yes = {"yes", "y", "true"};
  std::vector<std::string> no = {"no", "n", "false"};
};

/// One answer of a text: its first word, in lower case and without punctuation, that is in one of
/// the sets; the texts "1", "0" and "-1" are yes, no and invalid. kInvalid if there is none.
/// InputError for words that are in both sets.
std::int8_t parse_answer(std::string_view text, const AnswerWords& words);

/// The answers of a reply that holds many, in their order. They are parted by white space, commas,
/// semicolons and other punctuation; numbers are those of a list, and do not count. Other words
/// between two answers or lines are one invalid answer: nothing is dropped silently. In a text
/// without any words the digits 1 and 0 are answers ("0110", "0, 1, -1").
std::vector<std::int8_t> parse_reply(std::string_view text, const AnswerWords& words);

}  // namespace amalgam::scores
