#include "amalgam/scores/kemeny/precedence.hpp"

#include <algorithm>
#include <numeric>

#include "amalgam/core/error.hpp"

namespace amalgam::scores::kemeny {

void Precedence::close() {
  for (std::size_t j = 0; j < systems_; ++j) {
    for (std::size_t i = 0; i < systems_; ++i) {
      if (!before(i, j)) continue;
      for (std::size_t k = 0; k < systems_; ++k) {
        before_[i * systems_ + k] |= before_[j * systems_ + k];
      }
    }
  }
}

Precedence Precedence::part(std::span<const System> members) const {
  Precedence some(members.size());
  for (std::size_t i = 0; i < members.size(); ++i) {
    for (std::size_t j = 0; j < members.size(); ++j) {
      if (before(members[i], members[j])) some.add(i, j);
    }
  }
  return some;
}

std::vector<std::vector<System>> parts_in_order(
    std::size_t systems, const std::function<bool(std::size_t, std::size_t)>& may_precede) {
  std::vector<char> arcs(systems * systems);
  std::vector<std::size_t> followers(systems);
  for (std::size_t i = 0; i < systems; ++i) {
    for (std::size_t j = 0; j < systems; ++j) {
      if (i == j || !may_precede(i, j)) continue;
      arcs[i * systems + j] = 1;
      ++followers[i];
    }
  }
  // A member of a part may precede all of the later parts, one of a later part none of the earlier
  // ones: so by the number of those that each may precede, parts come one after the other.
  std::vector<System> order(systems);
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](System i) { return followers[i]; });

  std::vector<std::vector<System>> parts;
  std::size_t end = 0;  // of the part, as far as it is known: its last member precedes an earlier
  for (std::size_t place = 0; place < systems; ++place) {
    if (place == end) {
      parts.emplace_back();
      ++end;
    }
    for (std::size_t later = systems; later-- > end;) {
      if (arcs[order[later] * systems + order[place]] != 0) end = later + 1;
    }
    parts.back().push_back(order[place]);
  }
  for (std::vector<System>& part : parts) std::ranges::sort(part);
  return parts;
}

std::vector<std::vector<System>> majority_components(const Leads& leads) {
  return parts_in_order(leads.systems, [&](std::size_t before, std::size_t after) {
    return leads.lead(before, after) >= 0;
  });
}

FirstOrder first_order(const Precedence& precedence) {
  const std::size_t n = precedence.systems();
  std::vector<std::size_t> earlier(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) earlier[j] += precedence.before(i, j) ? 1 : 0;
  }
  FirstOrder first{.only = true};
  std::vector<char> placed(n);
  while (first.order.size() < n) {
    std::size_t next = n;
    for (std::size_t i = n; i-- > 0;) {
      if (placed[i] != 0 || earlier[i] > 0) continue;
      if (next < n) first.only = false;
      next = i;
    }
    if (next == n) throw Error("a precedence of systems has a cycle");
    placed[next] = 1;
    first.order.push_back(static_cast<System>(next));
    for (std::size_t j = 0; j < n; ++j) earlier[j] -= precedence.before(next, j) ? 1 : 0;
  }
  return first;
}

}  // namespace amalgam::scores::kemeny
