#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/scores/kemeny/leads.hpp"
#include "amalgam/scores/rank_aggregator.hpp"

namespace amalgam::scores::kemeny {

struct KemenyOptions {
  /// For integer programmes, after which the best order and bound so far are the result. Whatever
  /// ends earlier does not depend on the machine.
  double seconds = 60;
  /// Up to this many systems (at most kMostDense) that are not separated by majorities are ordered
  /// by the dynamic programme over subsets.
  std::size_t dense_systems = 18;
  /// Most states of the dynamic programme over what is left free by bounds.
  std::size_t most_states = std::size_t{1} << 20U;
  bool integer_programmes = true;  ///< where the library for them is there
};

struct KemenyOrder {
  Order order;  ///< of those of least cost, as far as known, the first by numbers
  Certificate certificate;
  std::vector<std::string> warnings;
  std::size_t components = 0;         ///< that majorities separate
  std::size_t largest_component = 0;  ///< systems in the largest one
  std::size_t cuts = 0;               ///< 3-cycles that integer programmes separated
  std::size_t nodes = 0;              ///< of their search trees
};

/// The order that the least votes are against, a tie being half a vote (Kemeny, "Mathematics
/// without numbers", 1959): components of the majority graph one by one; each by a dynamic
/// programme over subsets, or else by bounds (of 3-cycles, then of the linear relaxation) that
/// leave few pairs open, which split it further or are settled by a dynamic programme over what is
/// left, or else by branch and cut.
KemenyOrder kemeny_order(const PairTable& pairs, const KemenyOptions& options = {});

}  // namespace amalgam::scores::kemeny
