#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "amalgam/scores/kemeny/leads.hpp"

namespace amalgam::scores::kemeny {

/// Pairs whose order is known, as far as it is.
class Precedence {
 public:
  explicit Precedence(std::size_t systems) : systems_(systems), before_(systems * systems) {}

  std::size_t systems() const { return systems_; }
  bool before(std::size_t i, std::size_t j) const { return before_[i * systems_ + j] != 0; }
  bool is_free(std::size_t i, std::size_t j) const { return !before(i, j) && !before(j, i); }
  void add(std::size_t i, std::size_t j) { before_[i * systems_ + j] = 1; }
  /// Adds what follows: i before k where i before j and j before k.
  void close();
  Precedence part(std::span<const System> members) const;

 private:
  std::size_t systems_;
  std::vector<char> before_;
};

/// The parts, in their order, into which all orders fall that respect a relation in which of any
/// two systems at least one may precede the other: each system of a part may only precede those of
/// later parts. These are the strongly connected components of `may_precede`. Members are in
/// increasing order.
std::vector<std::vector<System>> parts_in_order(
    std::size_t systems,
    const std::function<bool(std::size_t before, std::size_t after)>& may_precede);

/// Components of the majority graph with an arc i -> j where j has no majority over i: every order
/// of least cost places each component before the next (the extended Condorcet criterion: Truchon,
/// "An extension of the Condorcet criterion and Kemeny orders", 1998). The first is the Smith set.
std::vector<std::vector<System>> majority_components(const Leads& leads);

/// The order that is first by numbers among those that respect a precedence without cycles, and
/// whether it is the only one.
struct FirstOrder {
  Order order;
  bool only = false;
};
FirstOrder first_order(const Precedence& precedence);

}  // namespace amalgam::scores::kemeny
