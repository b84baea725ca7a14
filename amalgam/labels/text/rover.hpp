#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Several transcriptions of the same thing to one.
namespace amalgam::labels {

/// The words of a text: what spaces, tabs and line ends part.
std::vector<std::string_view> words_of(std::string_view text);

struct Transcription {
  std::string text;      ///< the words with the most votes, parted by spaces
  double agreement = 1;  ///< the mean over places of the share of votes that their words got
};

/// Recogniser output voting error reduction (Fiscus 1997): the texts are aligned one after the
/// other with the places found so far, at the least number of substitutions, insertions and
/// deletions (a word that a place has already, and leaving out a place that some text left out,
/// cost nothing); then each place takes the word, or nothing, with the most votes. Ties go to what
/// came first. InputError if there is no text, or an alignment needs more than 10^8 steps.
Transcription rover(std::span<const std::string_view> texts);

}  // namespace amalgam::labels
