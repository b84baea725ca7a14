#pragma once

#include <functional>
#include <optional>

#include "amalgam/scores/kemeny/dynamic_programme.hpp"
#include "amalgam/scores/kemeny/precedence.hpp"

namespace amalgam::scores::kemeny {

/// What a search for an order of least cost that respects some pairs came to.
struct Probe {
  enum class Outcome { found, none, unknown };
  Outcome outcome = Outcome::unknown;
  Order order;  ///< where one was found
};
using FindOptimum = std::function<Probe(const Precedence& pairs)>;

/// From one order of least cost to the one that is first by numbers, and whether there are others,
/// where `known` are pairs that all of them share. Another one has some neighbours of this one the
/// other way round: each such pair is looked for, and then for each place the systems of smaller
/// numbers that may stand there. `find` is asked for what exchanging two systems does not show.
/// Nothing if it did not know.
std::optional<Optimum> first_optimum(const Leads& leads, Precedence known, Order optimum,
                                     const FindOptimum& find);

}  // namespace amalgam::scores::kemeny
