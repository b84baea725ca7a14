#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "amalgam/scores/pair_table.hpp"

namespace amalgam::scores::kemeny {

/// Systems from best to worst. Within a part of the systems they are numbered from 0 in the order
/// of their numbers, so that the order that is first by numbers is the same in the part.
using Order = std::vector<System>;

/// By how much the votes for each system over each other one outnumber those against it, as whole
/// numbers of `unit` votes. The cost of an order beyond the floor, which no order can avoid, is the
/// sum of the leads that it places against.
struct Leads {
  std::size_t systems = 0;
  std::vector<std::int64_t> values;  ///< [systems, systems], antisymmetric
  double unit = 1;                   ///< votes
  /// Costs that differ by no more are equal: 0 where all votes are whole or half, else what
  /// rounding to units may have made of equal ones.
  std::int64_t tolerance = 0;

  std::int64_t lead(std::size_t i, std::size_t j) const { return values[i * systems + j]; }
  /// Cost of i before j beyond the floor.
  std::int64_t cost(std::size_t i, std::size_t j) const {
    const std::int64_t against = lead(j, i);
    return against > 0 ? against : 0;
  }
  /// Cost of an order beyond the floor.
  std::int64_t cost(std::span<const System> order) const;
  /// Those of some of the systems, given in increasing order.
  Leads part(std::span<const System> members) const;
};

/// Leads of a table of votes. Where every count is whole or half, the unit is the greatest common
/// divisor of all leads and costs are exact; else it is 2^-30 of the largest lead.
Leads leads_of(const PairTable& pairs);

/// Kemeny's objective: the votes that an order places against, a tie being half a vote; a sum in
/// half votes where every count is whole or half.
double order_cost(const PairTable& pairs, std::span<const System> order);

/// What no order can avoid: the smaller side of each pair, summed.
double cost_floor(const PairTable& pairs);

}  // namespace amalgam::scores::kemeny
