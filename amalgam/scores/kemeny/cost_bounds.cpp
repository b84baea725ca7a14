#include "amalgam/scores/kemeny/cost_bounds.hpp"

#include <algorithm>

namespace amalgam::scores::kemeny {

CostBounds cycle_bounds(const Leads& leads) {
  const std::size_t n = leads.systems;
  // What is left of each lead: an order costs at least what was taken, and what is left of every
  // lead that it places against.
  std::vector<std::int64_t> left = leads.values;
  for (std::int64_t& lead : left) lead = std::max<std::int64_t>(lead, 0);
  CostBounds bounds;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      for (std::size_t k = 0; k < n && left[i * n + j] > 0; ++k) {
        const std::int64_t common = std::min({left[i * n + j], left[j * n + k], left[k * n + i]});
        if (common <= 0) continue;
        bounds.bound += common;
        left[i * n + j] -= common;
        left[j * n + k] -= common;
        left[k * n + i] -= common;
      }
    }
  }
  bounds.with_pair.resize(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      bounds.with_pair[i * n + j] = bounds.bound + left[j * n + i];
    }
  }
  return bounds;
}

Precedence known_pairs(const Leads& leads, const CostBounds& bounds, std::int64_t upper) {
  const std::size_t n = leads.systems;
  Precedence known(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      if (i != j && bounds.with_pair[j * n + i] > upper + leads.tolerance) known.add(i, j);
    }
  }
  known.close();
  return known;
}

}  // namespace amalgam::scores::kemeny
