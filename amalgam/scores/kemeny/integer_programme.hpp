#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "amalgam/scores/kemeny/cost_bounds.hpp"

namespace amalgam::scores::kemeny {

/// Bounds from the linear relaxation of the integer programme of an order, and what branch and cut
/// made of it.
struct ProgrammeResult {
  CostBounds bounds;
  std::optional<Order> better;  ///< an order that costs less than the one that was known
  bool optimal = false;         ///< nothing costs less than `better`, or else than the known one
  std::size_t cuts = 0;
  std::size_t nodes = 0;
};

enum class ProgrammeDepth {
  relaxation,      ///< the linear relaxation: bounds
  branch_and_cut,  ///< and then the search by Cbc for an order that costs less than the known one
};

/// Solves the linear ordering problem by COIN-OR's Clp and Cbc, with 3-cycles separated as they are
/// violated (Grötschel, Jünger and Reinelt, "A cutting plane algorithm for the linear ordering
/// problem", 1984). `known`: pairs that are in this order in every order worth finding; `upper`:
/// what an order that is known costs. Stops after about `seconds` with what was proven by then.
/// Nothing if this build has no integer programming library, whose absence has a reason then.
std::optional<ProgrammeResult> solve_programme(const Leads& leads, const Precedence& known,
                                               std::int64_t upper, ProgrammeDepth depth,
                                               double seconds, std::string& reason);

}  // namespace amalgam::scores::kemeny
