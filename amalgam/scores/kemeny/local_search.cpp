#include "amalgam/scores/kemeny/local_search.hpp"

#include <algorithm>
#include <numeric>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam::scores::kemeny {
namespace {

void move_place(Order& order, std::size_t from, std::size_t to) {
  if (from < to) {
    std::rotate(order.begin() + static_cast<std::ptrdiff_t>(from),
                order.begin() + static_cast<std::ptrdiff_t>(from + 1),
                order.begin() + static_cast<std::ptrdiff_t>(to + 1));
  } else {
    std::rotate(order.begin() + static_cast<std::ptrdiff_t>(to),
                order.begin() + static_cast<std::ptrdiff_t>(from),
                order.begin() + static_cast<std::ptrdiff_t>(from + 1));
  }
}

// Falling by f(i); ties by number.
template <class F>
Order order_by(std::size_t systems, F f) {
  std::vector<std::int64_t> points(systems);
  for (std::size_t i = 0; i < systems; ++i) points[i] = f(i);
  Order order(systems);
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](System i) { return points[i]; });
  return order;
}

Order order_by_majorities(const Leads& leads) {
  return order_by(leads.systems, [&](std::size_t i) {
    std::int64_t won = 0;
    for (std::size_t j = 0; j < leads.systems; ++j) {
      won += (leads.lead(i, j) > 0 ? 1 : 0) - (leads.lead(i, j) < 0 ? 1 : 0);
    }
    return won;
  });
}

// Where the system at `place` costs least, and by how much less than there.
struct Insertion {
  std::size_t place = 0;
  std::int64_t gain = 0;
};

Insertion best_insertion(const Leads& leads, const Order& order, std::size_t place) {
  const System moved = order[place];
  Insertion best{.place = place};
  std::int64_t gain = 0;
  for (std::size_t before = place; before-- > 0;) {
    gain += leads.lead(moved, order[before]);
    if (gain > best.gain) best = {before, gain};
  }
  gain = 0;
  for (std::size_t behind = place + 1; behind < order.size(); ++behind) {
    gain += leads.lead(order[behind], moved);
    if (gain > best.gain) best = {behind, gain};
  }
  return best;
}

}  // namespace

Order borda_order(const Leads& leads) {
  return order_by(leads.systems, [&](std::size_t i) {
    std::int64_t sum = 0;
    for (std::size_t j = 0; j < leads.systems; ++j) sum += leads.lead(i, j);
    return sum;
  });
}

void improve_by_insertions(const Leads& leads, Order& order) {
  for (bool moved = true; moved;) {
    moved = false;
    check_interrupt();
    for (std::size_t place = 0; place < order.size(); ++place) {
      const Insertion best = best_insertion(leads, order, place);
      if (best.gain <= 0) continue;
      move_place(order, place, best.place);
      moved = true;
    }
  }
}

Order local_optimum(const Leads& leads, std::size_t restarts, std::uint64_t seed) {
  constexpr std::uint64_t kMoves = 4;
  Order best = borda_order(leads);
  improve_by_insertions(leads, best);
  std::int64_t least = leads.cost(best);
  const auto keep_if_better = [&](Order order) {
    improve_by_insertions(leads, order);
    const std::int64_t cost = leads.cost(order);
    if (cost > least) return;
    least = cost;
    best = std::move(order);
  };
  keep_if_better(order_by_majorities(leads));
  if (leads.systems < 3) return best;
  RandomStream random(seed, "kemeny restarts");
  for (std::size_t restart = 0; restart < restarts && least > 0; ++restart) {
    Order order = best;
    for (std::uint64_t move = 0; move < kMoves; ++move) {
      move_place(order, random.below(order.size()), random.below(order.size()));
    }
    keep_if_better(std::move(order));
  }
  return best;
}

}  // namespace amalgam::scores::kemeny
