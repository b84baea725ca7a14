#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/scores/score_table.hpp"
#include "amalgam/scores/strength/bradley_terry.hpp"
#include "amalgam/scores/strength/comparison_graph.hpp"

namespace amalgam::scores {

/// Ballots as successive choices: from best to worst, each system was chosen from itself and all
/// that are strictly worse. Systems with equal values are not compared with each other. Comparisons
/// of two systems are choices from two.
///
/// Four bytes per value: a system's number, the top bit of which says that it equals the one
/// before. Ballots that say nothing (one system, all equal, or no weight) are left out.
struct Choices {
  static constexpr std::uint32_t kEqual = std::uint32_t{1} << 31U;
  static constexpr System system_of(std::uint32_t entry) { return entry & ~kEqual; }
  static constexpr bool equals_previous(std::uint32_t entry) { return (entry & kEqual) != 0; }

  std::size_t systems = 0;
  std::vector<std::uint64_t> begins{0};  ///< [ballots + 1] into entries
  std::vector<std::uint32_t> entries;    ///< of each ballot, best first
  std::vector<double> weights;           ///< [ballots]
  Preferences pairs;                     ///< votes on pairs by comparisons, and pseudo-votes

  std::size_t ballots() const { return weights.size(); }
  std::span<const std::uint32_t> ballot(std::size_t index) const {
    return std::span(entries).subspan(begins[index], begins[index + 1] - begins[index]);
  }
};

/// The choices of a table's ballots, and of its comparisons, whose ties are half a win for each.
/// Error beyond 2^31 - 1 systems.
Choices choices_of(const ScoreTable& table, const Reweighting& factors = {});

/// Who was chosen when whom could have been.
ComparisonGraph graph_of(const Choices& choices);

/// The choices among `systems` alone, numbered in their order, with `pseudo_votes` for every pair
/// in both directions. All others must be without choices.
Choices restricted(Choices choices, std::span<const System> systems, double pseudo_votes);

}  // namespace amalgam::scores
