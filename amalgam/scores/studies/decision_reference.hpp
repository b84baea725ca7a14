#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "amalgam/scores/studies/decision_answers.hpp"
#include "amalgam/scores/studies/decision_files.hpp"
#include "amalgam/scores/studies/hypothesis_tests.hpp"

namespace amalgam::scores {

/// Where answers to compare with come from.
enum class ReferenceSource {
  prng,    ///< independent answers from the pseudo-random generator
  human,   ///< a chain of two states that switches as often as people do: pseudo-random too
  system,  ///< independent answers from the operating system's entropy; different every time
};
/// "prng", "human" or "system"; InputError naming the nearest otherwise.
ReferenceSource parse_reference(std::string_view text);
std::string_view reference_name(ReferenceSource source);

struct ReferenceOptions {
  double yes = 0.5;  ///< share of yes, in (0, 1); of `human` the stationary one
  double switch_rate =
      0.6;                 ///< of `human`; at most 2 min(p, 1 - p), where one answer never repeats
  std::uint64_t seed = 0;  ///< of `prng` and `human`
};

/// One group named after its source, with series of these lengths. InputError for a share or a rate
/// that is not possible; Error if the system has no entropy.
DecisionGroup make_reference(ReferenceSource source, const std::vector<std::uint64_t>& lengths,
                             const ReferenceOptions& options = {});

/// How often the words of yes occur in a text among those of yes and no: whole words, in any case.
Proportion corpus_frequency(const std::filesystem::path& path,
                            const AnswerWords& words = {{"yes"}, {"no"}});

}  // namespace amalgam::scores
