#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/scores/studies/hypothesis_tests.hpp"

// Tests of the order of dependence where there are too few answers for chi-squared (Altschul and
// Erickson, "Significance of nucleotide sequence alignments", 1985; Besag and Mondal, "Exact
// goodness-of-fit tests for Markov chains", 2013).
namespace amalgam::scores {

/// An uninterrupted run of answers, yes = true.
using AnswerSegment = std::vector<bool>;

/// The runs of valid answers that DecisionCounts counts transitions in; `answers` is one series of
/// 1, 0 and -1. Appends to `segments`.
void append_segments(std::span<const std::int8_t> answers, std::vector<AnswerSegment>& segments);

/// Puts the answers of a segment in an order that is drawn uniformly from all orders in which every
/// pattern of `order` answers occurs as often as before (and so all shorter ones): the walks
/// through the graph of patterns of order - 1 answers that use the same transitions. The first and
/// last order - 1 answers stay. `order`: 1 to 6.
void shuffle_keeping_patterns(AnswerSegment& segment, std::size_t order, RandomStream& random);

struct PermutationOptions {
  std::size_t permutations = 9999;
  std::uint64_t seed = 0;
};

/// Whether an answer depends on the one `order` places before, given those between: G-squared of
/// order_test(), judged by how often it is at least as large in permutations that keep the patterns
/// of `order` answers of every segment: p = (1 + as large) / (1 + permutations), which is valid for
/// any number of answers. Draws come from the stream "`what`/ORDER" of the seed. Not defined where
/// all answers are the same.
TestResult order_permutation_test(std::span<const AnswerSegment> segments, std::size_t order,
                                  std::string_view what, const PermutationOptions& options = {});

}  // namespace amalgam::scores
