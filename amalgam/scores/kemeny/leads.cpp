#include "amalgam/scores/kemeny/leads.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace amalgam::scores::kemeny {
namespace {

// Half votes up to here are summed without rounding, of any pairs that fit into memory.
constexpr double kMostHalves = 0x1p40;
constexpr double kGrid = 0x1p30;

double halves(const PairTable& pairs, std::size_t i, std::size_t j) {
  return 2 * pairs.preference(i, j);
}

bool all_whole_or_half(const PairTable& pairs) {
  for (std::size_t i = 0; i < pairs.systems; ++i) {
    for (std::size_t j = 0; j < pairs.systems; ++j) {
      const double votes = halves(pairs, i, j);
      if (votes > kMostHalves || votes != std::floor(votes)) return false;
    }
  }
  return true;
}

Leads exact_leads(const PairTable& pairs) {
  const std::size_t n = pairs.systems;
  Leads leads{.systems = n, .values = std::vector<std::int64_t>(n * n)};
  std::int64_t divisor = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      if (i == j) continue;
      const auto lead = static_cast<std::int64_t>(halves(pairs, i, j) - halves(pairs, j, i));
      leads.values[i * n + j] = lead;
      divisor = std::gcd(divisor, lead);
    }
  }
  divisor = std::max<std::int64_t>(divisor, 1);
  for (std::int64_t& lead : leads.values) lead /= divisor;
  leads.unit = 0.5 * static_cast<double>(divisor);
  return leads;
}

Leads rounded_leads(const PairTable& pairs) {
  const std::size_t n = pairs.systems;
  Leads leads{.systems = n, .values = std::vector<std::int64_t>(n * n)};
  double largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      largest = std::max(largest, pairs.win(i, j) - pairs.win(j, i));
    }
  }
  if (largest == 0.0) return leads;
  leads.unit = largest / kGrid;
  leads.tolerance = static_cast<std::int64_t>(n * (n - 1) / 2);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) {
      const double lead = (pairs.win(i, j) - pairs.win(j, i)) / leads.unit;
      leads.values[i * n + j] = std::llround(lead);
      leads.values[j * n + i] = -leads.values[i * n + j];
    }
  }
  return leads;
}

// The sum of f(i, j) over pairs in half votes: by integers, if all are whole.
template <class Pairs>
double sum_of_halves(const PairTable& pairs, Pairs for_each_pair) {
  if (all_whole_or_half(pairs)) {
    std::int64_t sum = 0;
    for_each_pair([&](double votes) { sum += static_cast<std::int64_t>(votes); });
    return 0.5 * static_cast<double>(sum);
  }
  double sum = 0;
  for_each_pair([&](double votes) { sum += votes; });
  return 0.5 * sum;
}

}  // namespace

std::int64_t Leads::cost(std::span<const System> order) const {
  std::int64_t sum = 0;
  for (std::size_t a = 0; a < order.size(); ++a) {
    for (std::size_t b = a + 1; b < order.size(); ++b) sum += cost(order[a], order[b]);
  }
  return sum;
}

Leads Leads::part(std::span<const System> members) const {
  const std::size_t n = members.size();
  Leads some{.systems = n,
             .values = std::vector<std::int64_t>(n * n),
             .unit = unit,
             .tolerance = tolerance == 0 ? 0 : static_cast<std::int64_t>(n * (n - 1) / 2)};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) some.values[i * n + j] = lead(members[i], members[j]);
  }
  return some;
}

Leads leads_of(const PairTable& pairs) {
  return all_whole_or_half(pairs) ? exact_leads(pairs) : rounded_leads(pairs);
}

double order_cost(const PairTable& pairs, std::span<const System> order) {
  return sum_of_halves(pairs, [&](auto add) {
    for (std::size_t a = 0; a < order.size(); ++a) {
      for (std::size_t b = a + 1; b < order.size(); ++b) add(halves(pairs, order[b], order[a]));
    }
  });
}

double cost_floor(const PairTable& pairs) {
  return sum_of_halves(pairs, [&](auto add) {
    for (std::size_t i = 0; i < pairs.systems; ++i) {
      for (std::size_t j = i + 1; j < pairs.systems; ++j) {
        add(std::min(halves(pairs, i, j), halves(pairs, j, i)));
      }
    }
  });
}

}  // namespace amalgam::scores::kemeny
