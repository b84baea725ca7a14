#pragma once

#include <CoinPackedVector.hpp>
#include <OsiClpSolverInterface.hpp>
#include <chrono>
#include <cstdint>
#include <unordered_set>
#include <vector>

#include "amalgam/scores/kemeny/integer/linear_ordering.hpp"

namespace amalgam::scores::kemeny::integer {

/// Three systems i < j < k, whose row is 0 <= x_ij + x_jk - x_ik <= 1.
struct Triple {
  int i;
  int j;
  int k;
};

/// The columns of the programme: x_ij for i < j, 1 where i is before j.
class Columns {
 public:
  explicit Columns(int systems) : systems_(systems) {}
  int systems() const { return systems_; }
  int count() const { return systems_ * (systems_ - 1) / 2; }
  int of(int i, int j) const { return i * (2 * systems_ - i - 1) / 2 + j - i - 1; }
  CoinPackedVector row(const Triple& triple) const;

 private:
  int systems_;
};

/// The triples that `x` violates by more than 1e-6, the most violated first, `most` of them.
std::vector<Triple> violated_triples(const Columns& columns, const double* x, std::size_t most);

/// Seconds that are left, and whether to go on.
class Budget {
 public:
  explicit Budget(const AmalgamLinearOrdering& work) : work_(work) {}
  double seconds_left() const;
  bool is_spent() const {
    return seconds_left() <= 0 || (work_.stop != nullptr && work_.stop() != 0);
  }

 private:
  const AmalgamLinearOrdering& work_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The linear programme with the triples that were violated so far.
class Relaxation {
 public:
  explicit Relaxation(const AmalgamLinearOrdering& work);

  /// Solves, adds violated triples and solves again until there are none or the budget is spent.
  void tighten(const Budget& budget);
  /// Adds rows for triples that are not there yet; how many those were.
  int add(const std::vector<Triple>& triples);
  /// By weak duality from the current prices of the rows: the bound, and that with each pair.
  double bounds(double* with_pair) const;

  OsiClpSolverInterface& solver() { return solver_; }
  const Columns& columns() const { return columns_; }
  double constant() const { return constant_; }  ///< cost = constant + objective
  int cuts() const { return cuts_; }

 private:
  void drop_slack_rows();
  std::uint64_t key(const Triple& triple) const;

  Columns columns_;
  OsiClpSolverInterface solver_;
  double constant_ = 0;
  std::vector<Triple> rows_;
  std::unordered_set<std::uint64_t> present_;
  int cuts_ = 0;
};

}  // namespace amalgam::scores::kemeny::integer
