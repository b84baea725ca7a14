#pragma once

/// The one entry point of libamalgam_integer.so, the part of the exact Kemeny order that needs an
/// integer programming library. It is loaded when it is first needed, not linked: see
/// kemeny/integer_programme.hpp. Plain data, so that nothing but this file is shared.
extern "C" {

struct AmalgamLinearOrdering {
  // The problem.
  int systems;
  const double* leads;       ///< [systems, systems], antisymmetric, about 1000 at most
  const signed char* known;  ///< [systems, systems]: 1 where only orders with i before j matter
  double upper;              ///< cost of an order that is known
  double step;               ///< costs are multiples of this; 0: of nothing
  double seconds;            ///< stop after about this long
  int integer;               ///< 0: the linear relaxation only
  int (*stop)();             ///< asked now and then; not 0: stop

  // The answer.
  double bound;       ///< no order that matters costs less
  double* with_pair;  ///< [systems, systems]: no order with i before j costs less
  int* order;         ///< [systems], best first, if `found`
  int found;          ///< a better order than `upper` was found
  int optimal;        ///< nothing is better than the found order, or `upper` if none was
  int cuts;           ///< 3-cycles that were separated
  int nodes;          ///< of the search tree
  char message[256];  ///< why it failed
};

/// Least cost of a linear order of systems, where i before j costs max(0, leads[j][i]): a variable
/// per pair, and 0 <= x_ij + x_jk - x_ik <= 1 for the triples i < j < k that were found to be
/// violated. The bounds are computed from the dual prices of the triples, whatever the solver says
/// of them. 0, or 1 with a message.
__attribute__((visibility("default"))) int amalgam_linear_ordering(AmalgamLinearOrdering* work);
}
