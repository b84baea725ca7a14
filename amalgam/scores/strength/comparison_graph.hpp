#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/core/string_pool.hpp"
#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

/// Who ever won against whom.
struct ComparisonGraph {
  std::size_t systems = 0;
  std::vector<char> won;  ///< [winner, loser]: 1 if the winner ever won against the loser

  explicit ComparisonGraph(std::size_t count) : systems(count), won(count * count) {}
  void add(std::size_t winner, std::size_t loser) { won[winner * systems + loser] = 1; }
  bool wins(std::size_t i, std::size_t j) const { return won[i * systems + j] != 0; }
};

/// A partition of the systems; groups are numbered from 0.
struct Components {
  std::vector<std::uint32_t> group;  ///< [systems]
  std::size_t count = 0;
};

/// Groups within which everyone wins against everyone else, directly or through others; a group's
/// number is above those of all groups that ever won against it (Tarjan 1972).
Components strong_components(const ComparisonGraph& graph);

/// Groups without a comparison between them.
Components weak_components(const ComparisonGraph& graph);

/// "{a, b}, {c, d, e and 12 more}": groups in the order of their numbers; long lists are cut.
std::string describe_components(const Components& components, const StringPool& names);

/// What can be ranked, and with which pseudo-votes.
struct Identification {
  std::vector<System> systems;  ///< those that were compared with others, by number
  double pseudo_votes = 0;      ///< to be added in both directions to every pair of them
  /// Their groups between which only pseudo-votes decide (or how far apart they are), best first
  /// where one ever won against another; empty: one group.
  std::vector<std::uint32_t> groups;
  std::vector<std::string> warnings;
};

/// Pseudo-votes that are added where a fit would not be finite and nobody said how many.
inline constexpr double kAutomaticPseudoVotes = 0.01;

/// Which pairs a method adds pseudo-votes to.
enum class PseudoVotes {
  every_pair,      ///< so that they link groups without a comparison between them
  compared_pairs,  ///< those that were compared
};

/// Whether finite strengths exist: exactly if the graph is strongly connected (Ford 1957; Hunter
/// 2004, assumption 1). `pseudo_votes`: as asked for; if not given, none where the graph is
/// strongly connected, and kAutomaticPseudoVotes with a warning where it is only connected.
/// InputError naming the groups: fewer than two systems were compared, groups without a comparison
/// between them that no pseudo-votes were asked to link, or a graph that is not strongly connected
/// with none asked for (0). Systems
/// that were never compared are left out with a warning.
Identification identify(const ComparisonGraph& graph, const StringPool& names,
                        std::optional<double> pseudo_votes,
                        PseudoVotes pairs = PseudoVotes::every_pair);

}  // namespace amalgam::scores
