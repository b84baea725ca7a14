#include "amalgam/scores/kemeny/first_optimum.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace amalgam::scores::kemeny {
namespace {

using Outcome = Probe::Outcome;

class Search {
 public:
  Search(const Leads& leads, Precedence known, Order optimum, const FindOptimum& find)
      : leads_(leads),
        known_(std::move(known)),
        order_(std::move(optimum)),
        cost_(leads.cost(order_)),
        find_(find) {}

  // Whether some other order costs as little.
  Outcome others() {
    for (std::size_t place = 0; place + 1 < order_.size(); ++place) {
      const System ahead = order_[place];
      const System behind = order_[place + 1];
      if (known_.before(ahead, behind)) continue;
      if (std::abs(leads_.lead(ahead, behind)) <= leads_.tolerance) return Outcome::found;
      Precedence reversed = known_;
      reversed.add(behind, ahead);
      reversed.close();
      const Outcome outcome = find(reversed).outcome;
      if (outcome != Outcome::none) return outcome;
      known_.add(ahead, behind);
      known_.close();
    }
    return Outcome::none;
  }

  // Makes the order the first one. False if a search did not know.
  bool go_to_first() {
    for (std::size_t place = 0; place + 1 < order_.size(); ++place) {
      if (!settle_place(place)) return false;
      for (std::size_t later = place + 1; later < order_.size(); ++later) {
        known_.add(order_[place], order_[later]);
      }
      known_.close();
    }
    return true;
  }

  Optimum result(bool unique) && {
    return {.order = std::move(order_), .cost = cost_, .unique = unique};
  }

 private:
  Probe find(const Precedence& pairs) const {
    Probe probe = find_(pairs);
    if (probe.outcome == Outcome::found && !is_optimal(probe.order)) return {};
    return probe;
  }

  bool is_optimal(const Order& order) const {
    return leads_.cost(order) <= cost_ + leads_.tolerance;
  }

  // The smallest number that may stand here, after the systems that do already.
  bool settle_place(std::size_t place) {
    Order rest(order_.begin() + static_cast<std::ptrdiff_t>(place), order_.end());
    std::ranges::sort(rest);
    for (const System candidate : rest) {
      if (candidate == order_[place]) return true;
      const bool follows =
          std::ranges::any_of(rest, [&](System other) { return known_.before(other, candidate); });
      if (follows) continue;
      if (exchange_to(place, candidate)) return true;
      Precedence first = known_;
      for (const System other : rest) {
        if (other != candidate) first.add(candidate, other);
      }
      first.close();
      Probe probe = find(first);
      if (probe.outcome == Outcome::unknown) return false;
      if (probe.outcome == Outcome::none) continue;
      order_ = std::move(probe.order);
      return true;
    }
    return true;
  }

  // Whether moving the candidate there, or exchanging it with what is there, costs nothing.
  bool exchange_to(std::size_t place, System candidate) {
    const auto there = order_.begin() + static_cast<std::ptrdiff_t>(place);
    const auto here = std::ranges::find(there, order_.end(), candidate);
    const auto from = here - order_.begin();
    Order moved = order_;
    std::rotate(moved.begin() + static_cast<std::ptrdiff_t>(place), moved.begin() + from,
                moved.begin() + from + 1);
    Order swapped = order_;
    std::swap(swapped[place], swapped[static_cast<std::size_t>(from)]);
    for (Order* other : {&moved, &swapped}) {
      if (!is_optimal(*other)) continue;
      order_ = std::move(*other);
      return true;
    }
    return false;
  }

  const Leads& leads_;
  Precedence known_;
  Order order_;
  std::int64_t cost_;  // the least one
  const FindOptimum& find_;
};

}  // namespace

std::optional<Optimum> first_optimum(const Leads& leads, Precedence known, Order optimum,
                                     const FindOptimum& find) {
  Search search(leads, std::move(known), std::move(optimum), find);
  const Outcome others = search.others();
  if (others == Outcome::unknown) return std::nullopt;
  if (others == Outcome::none) return std::move(search).result(true);
  if (!search.go_to_first()) return std::nullopt;
  return std::move(search).result(false);
}

}  // namespace amalgam::scores::kemeny
